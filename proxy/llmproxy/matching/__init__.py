"""Which kept request equals a live one, and where none does, which come near and why not.

``canonical`` makes fingerprints (with ``spelling``, ``calls`` and ``volatile``), ``ranking`` finds
the nearest of many, ``differences`` says where two requests differ and ``accepting`` which lines
of ``proxy.yml`` would let them match.
"""
