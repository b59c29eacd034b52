"""How a setting is written down: once, as a dataclass field with its default and its help.

Groups of settings live beside what they steer (``match:`` in ``canonical.py``); they
compose in ``settings.py``. Standard library only: the command line reads these fields
before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(default: Any, help: str, *, reload: bool = False) -> Any:
    """A dataclass field that is a setting.

    Args:
        default: the value; a list or dict is copied for each instance.
        help: one line in lower case without a full stop, shown by ``--help``, in
            ``proxy.yml`` and in the JSON Schema.
        reload: whether a running server takes a changed value.
    """
    metadata = {"help": help, "reload": reload}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)
