"""Several processes that serve as one proxy.

The map of this package:

``link``        messages between the supervisor and a worker: bounded, asked or told
``counts``      the memory they share: what is counted over all, one writer for each cell
``desk``        one worker's part of it: places, quotas, and the sessions that are open
``reach``       the other workers' sessions, as one of them stops them
``tally``       the metrics of all workers as one proxy's
``member``      a worker, as the supervisor sees it
``seats``       what each has of what they share, and which one is free
``slots``       the places to accept connections, and who takes those of which
``watch``       whether each still answers
``fleet``       all workers: started, replaced, let go
``supervisor``  the parent: keeps the sockets, hears the signals, reloads, drains
``enquiries``   what is asked of the proxy as a whole: control socket, metrics, readiness
``program``     a worker's own program

The parent holds no key, opens no store and reads nothing that a client sends.
"""
