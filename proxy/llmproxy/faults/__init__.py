"""Faults: a provider's bad days, as a person wrote them in YAML or in a request's header.

What a fault is: ``fault`` (whom it strikes, when, and what it does), ``calls`` (which calls of a
session). What it does: an error or a delay before the head is left to whoever plays replies;
``bodies`` is the table of machines that change a body on its way (``machines``, ``strokes``),
``outputs`` the table of what a made-up reply says wrongly.

What reads: ``reading`` makes faults of a file's data, ``whom`` the condition in ``for``, ``effects``
what a fault does, ``header`` the same from a request's header; ``schema`` describes all of it to
editors.

Pure: no clock, no sleep, no HTTP; chance comes from seeds and is equal in every process.
"""
