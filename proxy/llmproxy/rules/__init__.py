"""Rules: who gets which answer, as a person wrote it in YAML.

``rule`` is what a rule is, ``deciding`` which one answers a request; its conditions are
``conditions``. ``templates`` fill in texts, ``paces`` change a rhythm, ``shadows`` find rules that can
never answer. ``reading`` makes rules of a file's data, ``replies`` and ``scripts`` a reply, ``mockllm``
rules of another project's file; ``schema`` describes all of it to editors.

Pure: no file, no clock, no counter; those are handed in.
"""
