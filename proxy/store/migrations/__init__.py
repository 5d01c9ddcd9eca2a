"""Alembic's folder: ``env`` runs the steps, ``versions`` holds them, oldest first.

Run by ``proxy.store.migrate`` when a store is opened; there is no alembic.ini.
"""
