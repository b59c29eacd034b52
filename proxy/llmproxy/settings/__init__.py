"""Everything that can be set, and how it is read.

``model`` holds the settings themselves and loads them, ``kinds`` how single values are written,
``sources`` the file, the environment and the flags, ``checking`` puts mistakes into words and
``catalogue`` lists settings for the command line and the docs. ``match`` and ``redact`` stand
with the code that they steer.
"""

from llmproxy.settings.model import (
    Loaded,
    RecordSettings,
    ReplaySettings,
    Settings,
    TimeoutSettings,
    json_schema,
    load,
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
