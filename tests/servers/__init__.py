"""Real servers for tests, on loopback, each in its own temporary directory.

``waiting``       wait, bounded, until another process has done something
``ports``         a free loopback port
``accounts``      the operating-system user a server runs as when the tests run as root
``certificates``  a certificate authority and what it signs, right and wrong
``programs``      where the machine's PostgreSQL programs are
``obtain``        installs what is missing, where it may
``unpacked``      newer servers from Debian sid, unpacked in a cache folder
``mysqlclient``   the driver that must be built
``postgres``      one PostgreSQL server: start, stop, kill, freeze, its log
``external``      a PostgreSQL that somebody else runs, named by ACCODE_TEST_POSTGRES
``roles``         who may log in to a PostgreSQL, and how
``sql``           one MySQL or MariaDB server: start, stop, ask
``mysql``         MySQL's
``mariadb``       MariaDB's, the machine's and a newer one
``sql_accounts``  who may log in to those, and how
``proxy``         a proxy: start, stop, kill, its workspaces, metrics and audit records
``tenant``        a workspace of a proxy, and what may change it
``serve_proxy``   the process that it is
``plain_python``  our modules uncompiled, where ACCODE_PROXY_PURE asks for that
``fixtures``      the fixtures of proxies
"""

from tests.servers.plain_python import prefer_plain_python_if_asked

# Here, since every module below imports this package before it imports one of ours.
prefer_plain_python_if_asked()
