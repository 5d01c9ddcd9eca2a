"""Administration over HTTP, in a process of its own: parse, authorize, call, serialize.

The map of this package:

``app``         the application: its endpoints, held against ``roles`` before it starts
``server``      uvicorn around it, with deadlines and TLS
``threshold``   what every call passes first and last: limits, key, record, headers
``route``       what a call passes once its endpoint is known: role, workspace, strict input
``roles``       the one table of who may call what
``call``        a call that has been admitted, and what its endpoint works with
``bounds``      how large bodies may be
``streamed``    an answer written while it is made
``upload``      a body that is passed on while it comes
``strict_json``, ``rates``, ``paging``, ``etags``, ``idempotency``  each one rule
``guesses``     who may try to log in now, so that guessing is slow and nobody is locked out
``streams``     answers that go on: bounded in number, life and patience
``problems``    every refusal as a problem document (RFC 9457)
``endpoints/``  the resources; the work is done in ``proxy/administration``

Imports nothing of ``proxy.gateway``: it talks to the running proxy over the control socket.
"""
