"""Attacks from both sides on a real proxy: hostile clients and hostile data sources.

``raw``          a PostgreSQL client over a bare socket, that sends whatever it is told to
``fake_server``  a scripted PostgreSQL server that says whatever it is told to, and
                 remembers every byte it was sent
``stage``        a proxy with workspaces and a bystander, and what an attack left behind
``play``         one login to a hostile server, and what must hold after every one
``mysql``        the same for MySQL
"""
