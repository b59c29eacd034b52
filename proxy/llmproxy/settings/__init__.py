"""Everything that can be set, and how it is read.

``model`` holds the settings themselves, ``loading`` fills them in, ``sources`` knows the file,
the environment and the flags, ``checking`` puts mistakes into words, ``catalogue`` lists settings
for the command line and the docs, ``endpoints`` reads what is different at single ones. ``match``
and ``redact`` stand with the code that they steer.
"""

from llmproxy.settings.loading import Loaded, load
from llmproxy.settings.model import (
    RecordSettings,
    ReplaySettings,
    Settings,
    TimeoutSettings,
    json_schema,
    walk,
)

__all__ = [
    "Loaded",
    "RecordSettings",
    "ReplaySettings",
    "Settings",
    "TimeoutSettings",
    "json_schema",
    "load",
    "walk",
]
