"""Workflows, dashboards, their runs; rows as CSV. Called by the command line and by HTTP.

The map of this package, what is pure first:

``problems``, ``reading``  JSON text into values, bounded; what is wrong with it, and where
``values``, ``sqltext``, ``schedules``, ``webaddress``  the parts of documents
``document``, ``workflow``, ``dashboard``  the documents themselves; ``schemas/``
``retrying``    what is tried again, and when

``answers``     a statement's answer, and the interface to who runs it
``postgres``, ``mysql``, ``mysqlbinary``, ``mysqlrows``, ``sessions``  statements through the proxy
``webhook``     one HTTP call through the egress guard
``executing``   a workflow's steps, one after the other, over these interfaces

``naming``      the workspace of a call
``library``     documents saved, listed, shown, removed, each change audited
``runs``        runs asked for, listed, cancelled
``runner``      the process that runs what is due: claims, leases, schedules
``panels``, ``dashboards``  a dashboard's data
``visits``, ``entrance``    a short-lived token, and the listeners it is used at
``portable``    documents exported and imported as JSON
``archive``, ``restoring``  a whole workspace as one document, and made of one
``published``   the JSON Schemas

``csvtext``, ``csvtypes``, ``tables``  CSV and what its columns are; tables' names (pure)
``csvpatterns``  many good lines found at once (pure)
``csvexport``, ``csvimport``, ``csvtargets``  rows out of a source and into one
``csvvisit``    a session at the source for one file, and word of how far it is
``csvstream``   an import of what comes once
``transfers``   how far each is, kept in the store
"""
