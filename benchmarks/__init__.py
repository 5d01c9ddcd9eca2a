"""Benchmarks: the same loads, direct and through each proxy, interleaved in one run.

The map:

- ``__main__``, ``options``, ``completion``: the command line; ``schedule``: who is measured when;
- ``bench``: what a server, a subject and a case are; ``engines``: what differs between PostgreSQL
  and MySQL; ``cases``: the lists of loads, made of ``pgbench``, ``sysbench``, ``rows`` and
  ``memory``; ``window``: a load generator's run;
- ``subjects``, ``pgbouncer``, ``mysql_router``, ``accode``: what is measured;
- ``builds``, ``comparison``: which Accode Proxy, and two of them beside each other;
- ``servers``, ``mysql_server``: the one server behind all of them;
- ``processes``: child processes, ports, folders;
- ``peers``: where current programs to compare with come from;
- ``sessions``, ``wire``, ``mysql_wire``: clients so small that they are not the bottleneck;
- ``meters``: CPU time and memory from the kernel; ``machine``: what it all ran on;
- ``store_case``: the store's own benchmark, ``store_scale``, as one more case;
- ``summary``, ``requirements``, ``record``, ``report``, ``method``, ``plot``: from raw rounds to
  figures.

The load generator, the proxies and the server share one machine and the loopback interface.
"""
