"""Benchmarks: the same loads, direct and through each proxy, interleaved in one run.

The map:

- ``__main__``: the command line; ``schedule``: who is measured when;
- ``cases``: the list of loads, made of ``pgbench``, ``rows`` and ``memory``; ``bench``: what
  they share;
- ``subjects``, ``accode``: what is measured: direct, PgBouncer, HAProxy, Accode Proxy;
- ``builds``, ``comparison``: which Accode Proxy, and two of them beside each other;
- ``servers``: the one PostgreSQL behind all of them;
- ``processes``: child processes, ports, folders;
- ``peers``: where a current PgBouncer comes from;
- ``wire``: a client so small that it is not the bottleneck;
- ``meters``: CPU time and memory from the kernel; ``machine``: what it all ran on;
- ``store_case``: the store's own benchmark, ``store_scale``, as one more case;
- ``summary``, ``requirements``, ``record``, ``report``, ``plot``: from raw rounds to figures.

The load generator, the proxies and PostgreSQL share one machine and the loopback interface.
"""
