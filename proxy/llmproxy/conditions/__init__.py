"""Conditions on requests: what ``when`` of rules and ``for`` of limits and faults are made of.

``subject`` is a request as conditions see it, ``condition`` what a condition is. ``places`` is the
table of all that can be looked at, ``matcher_kinds`` of what it can be compared with; ``logic`` puts
conditions together, ``matchers`` (with ``globs``, ``regexes``, ``wording``) test values and say why
they do not fit, ``implications`` tell where one condition covers another. ``reading`` makes a
condition of a file's data, ``whom`` one of a ``for``.

Pure: no file, no clock. A condition is added as a row in ``places``.
"""
