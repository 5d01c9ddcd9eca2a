"""The resources. Each module has its bodies, its answers, its endpoints, and their table.

An endpoint parses, calls ``proxy.administration`` or the store, and serializes; who may
call it is in ``proxy.admin.roles``.
"""
