"""Attacks from both sides in MySQL's protocol, on the stage of ``tests.hostile``.

``raw``          a MySQL client over a bare socket, that sends whatever it is told to
``fake_server``  scripted MySQL servers: an honest one that remembers every command, and
                 the parts to make hostile ones of
"""
