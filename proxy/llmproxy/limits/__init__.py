"""Limits: who may send how many requests and tokens in which time, and what a reply says of it.

``rate`` is how a limit is written, ``strategy`` what counts against it: ``windows``, ``buckets``
and ``scripted`` hold the ways of counting, ``strategies`` their names. ``limit`` is what an entry
of a file says and ``reading`` makes it; ``bucket`` counts for one limit and one client,
``meters`` keeps all buckets. ``headers`` and ``refusals`` are what clients see.
Pure: no clock and no sleep. Each call is handed ``now``, in seconds; nobody waits here.
"""
