"""PostgreSQL's SQL, read by PostgreSQL's own grammar.

``classify``    ``PostgresClassifier``: a text to its facts
``parse``       the grammar: libpg_query's tree as plain values
``nodes``       the tree's shape: which types hold nothing but parts
``walk``        every node of a tree, each name in its scope
``findings``    what that has found, and what it means
``statements``  what each kind of statement does, ``ddl`` those that define
``settings``    what SET, RESET and set_config may do
``catalogs``    which of its own tables show what
``functions``   which functions are harmless
``remains``     what a text leaves behind in its session, by the words of ``remains_words``
``plain_set``   a SET of one literal, which can be carried to another session

Node types, statements, settings and functions are allowed by list: what is on none of
them, a newer grammar's node included, is refused.
"""

from policies.postgres.classify import PostgresClassifier

__all__ = ["PostgresClassifier"]
