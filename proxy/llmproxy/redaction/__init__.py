"""What takes secrets out of all that is kept, logged or told, and never changes what matches.

``redactor`` casts the nets: by name (``names`` for headers, queries and forms, ``fields`` for JSON),
by value (``credentials`` says which literals, ``values`` finds them), by shape (``shapes``) and by the
user's ``patterns``; ``streams`` joins what a stream cuts into events. All of them give ``edits``.
"""

from llmproxy.redaction.credentials import secrets_in
from llmproxy.redaction.names import is_credential_header
from llmproxy.redaction.redactor import Redactor, RedactSettings

__all__ = ["RedactSettings", "Redactor", "is_credential_header", "secrets_in"]
