"""What a text of MySQL's or MariaDB's SQL does.

``lexer`` tokens of one certain reading; ``classify`` the classifier; ``walk`` what a parsed
statement names; ``settings`` SET and transactions; ``show`` SHOW and DESCRIBE; ``functions``
the harmless functions; ``session`` what pins the server's session to that one reading.
"""

from policies.mysql.classify import MySqlClassifier
from policies.mysql.session import session_statements

__all__ = ["MySqlClassifier", "session_statements"]
