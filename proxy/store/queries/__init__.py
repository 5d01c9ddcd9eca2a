"""The statements the store runs, by table. Each takes a connection in a transaction.

The map of this package:

``changes``     appends to the change feed, in the transaction of the change
``workspaces``  workspaces and their root keys; deletion
``tokens``      tokens and when they were last used
``sources``     sources, their credentials and the versions of these
"""
