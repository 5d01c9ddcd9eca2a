"""What administrators do, each change with its audit records.

``trail``       where their audit records go: the running proxy's log, or our own
``workspaces``, ``tokens``, ``sources``, ``policies``, ``keys``  the changes themselves
``api_keys``    keys to the admin endpoints
``staff``, ``login``, ``support``  people of the platform, and what workspaces grant to them
``oidc``, ``oidc_login``  identity providers of workspaces, and logins with them
``passwords``, ``second_factor``   what they prove themselves with
``sessions``, ``probing``  what the running proxy is asked for; ``session_changes``
``explaining``, ``audit_log``  what changes nothing
``trying``      a policy held against what was run; ``trying_apart`` in a process of its own

Called by the command line and by the admin endpoints.
"""
