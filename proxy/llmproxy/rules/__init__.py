"""Rules: who gets which answer, as a person wrote it in YAML.

What decides: ``subject`` is a request as rules see it, ``rule`` what a rule is, ``deciding`` which
one answers. ``places`` is the table of all conditions, ``logic`` puts them together, ``matchers``
(with ``globs``, ``regexes``, ``wording``) test values, ``implications`` and ``shadows`` find rules
that can never answer, ``templates`` fill in texts.

What reads: ``reading`` makes rules of a file's data, ``conditions`` and ``matcher_reading`` a
``when``, ``replies`` and ``scripts`` a reply, ``paces`` a pace, ``mockllm`` another project's file;
``schema`` describes all of it to editors.

Pure: no file, no clock, no counter; those are handed in. A condition is added as a row in
``places``.
"""
