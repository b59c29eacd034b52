"""Rules: who gets which answer, as a person wrote it in YAML.

``subject`` is a request as conditions see it, ``rule`` what a rule is. ``conditions`` decide,
``templates`` fill in, ``reading`` makes rules of a file's data, ``mockllm`` of another project's
file, ``shadows`` finds those that can never answer, ``schema`` describes all of it to editors.
Pure: no file, no clock, no counter; those are handed in.
"""
