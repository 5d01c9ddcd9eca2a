"""What a text of MySQL's or MariaDB's SQL does.

``lexer`` tokens of one certain reading; ``classify`` the classifier; ``walk`` what a parsed
statement names; ``settings`` SET, transactions and SHOW; ``named`` and ``ddl`` what a policy
allows by name, read by ``reader`` and ``definition``; ``catalogs`` the servers' own databases;
``functions`` the harmless functions. ``protocols/mysql/pin.py`` holds the server's session to
that reading.
"""

from policies.mysql.classify import MySqlClassifier

__all__ = ["MySqlClassifier"]
