"""The statements the store runs, by table. Each takes a connection in a transaction.

The map of this package:

``changes``     appends to the change feed, in the transaction of the change
``workspaces``  workspaces and their root keys; deletion
``tokens``      tokens and when they were last used
``policies``    policies and what they were before; ``policy_text`` reads one of a row
``api_keys``    keys to the admin endpoints, as digests
``calls``       what was answered to calls that name themselves
``sources``     sources, their credentials and the versions of these
``documents``   workflows and dashboards with their versions
``runs``        runs of workflows
"""
