"""What a rule is known by when its file is read again, and where it stands."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from llmproxy.findings import Path

Mark = Callable[[Path], str]
"""Where a path stands, such as ``proxy.yml:12``."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Gives the rules of one file their keys."""

    _equal: Counter[str] = field(default_factory=Counter)

    def next(self, data: object) -> str:
        """The key of a rule with this data: by the data, and how many equal ones came before.

        The order of the keys of a mapping is no part of it.
        """
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self._equal[digest] += 1
        return f"{digest}-{self._equal[digest]}"
