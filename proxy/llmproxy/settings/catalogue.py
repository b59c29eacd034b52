"""What there is to know of each setting, read from the dataclasses that define them.

Strategy: type hints are walked as plain Python objects, so that ``--help`` costs no import.
This module knows the shape of settings, but no setting by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from llmproxy.kinds import Kind

_UNNAMED = ("record", "replay", "mock", "pace")
"""Groups whose flags go without their name."""
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_FLAGS = {"match.level": "--match", "control.allowed_hosts": "--allowed-host"}
"""Flags with a name of their own."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What there is to know of a setting.

    ``name`` is dotted (``replay.pace``), ``type`` and ``default_text`` are as in
    ``proxy.yml``, ``choices`` are the words that the value or its items may be, and
    ``reload`` says whether a running server takes a changed value.
    """

    name: str
    type: str
    choices: tuple[str, ...]
    default: object
    default_text: str
    help: str
    reload: bool

    @property
    def is_list(self) -> bool:
        return self.type.startswith("[")

    @property
    def is_map(self) -> bool:
        return self.type.startswith("{")

    @property
    def variable(self) -> str:
        """Its environment variable, ``LLMPROXY_REPLAY_PACE``."""
        return "LLMPROXY_" + self.name.replace(".", "_").upper()

    @property
    def flag(self) -> str:
        """Its flag: ``--on-miss``; groups that are no commands stay, ``--match-ignore``.

        The level of matching is what ``--match`` says; the pace of made-up replies, other than
        that of a replay, is what ``--ttft`` and the like say.
        """
        if self.name in _FLAGS:
            return _FLAGS[self.name]
        group, _, name = self.name.rpartition(".")
        if group not in _UNNAMED:
            name = f"{group}-{name}" if group else name
        return "--" + name.replace(".", "-").replace("_", "-")


def list_settings(group: Any, kinds: Mapping[str, Kind], prefix: str = "") -> Iterator[Setting]:
    """The settings of an instance and of the groups inside it, in order.

    Args:
        group: an instance of a dataclass made with ``setting``; its values are the defaults.
        kinds: kinds of list items by dotted name, where the type hint names none.
        prefix: what stands before the names.
    """
    hints = get_type_hints(type(group), include_extras=True)
    for each in fields(group):
        value, name = getattr(group, each.name), prefix + each.name
        if is_dataclass(value):
            yield from list_settings(value, kinds, f"{name}.")
            continue
        hint = hints[each.name]
        if name in kinds:
            hint = tuple[Annotated[str, kinds[name]], ...]
        yield Setting(
            name=name,
            type=_type_text(hint),
            choices=_choices(hint),
            default=value,
            default_text=_write(value, hint),
            help=each.metadata["help"],
            reload=each.metadata["reload"],
        )


def plain_values(group: Any) -> dict[str, Any]:
    """The values of an instance as JSON has them, nested and written as in ``proxy.yml``."""
    hints = get_type_hints(type(group), include_extras=True)
    return {
        each.name: _plain(getattr(group, each.name), hints[each.name]) for each in fields(group)
    }


def _plain(value: Any, hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(value):
        return plain_values(value)
    if origin is Annotated and not isinstance(value, tuple | Mapping):
        text = _kind(hint).write(value)
        number = _NUMBER.fullmatch(text)
        return (float(text) if number[1] else int(text)) if number else text
    if origin in (Union, UnionType) and value is not None:
        return _plain(value, arguments[0])
    if origin is tuple:
        return [_plain(item, arguments[0]) for item in value]
    if origin is Mapping:
        return {key: _plain(item, arguments[1]) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def names_beside(model: type, path: Iterable[str | int]) -> list[str]:
    """The names that may stand in the group at ``path``; none where there is no group."""
    hint: Any = model
    for part in path:
        if isinstance(part, str) and is_dataclass(hint):
            hint = get_type_hints(hint).get(part)
        elif isinstance(part, int) and get_origin(hint) is tuple:
            hint = get_args(hint)[0]
        elif isinstance(part, str) and get_origin(hint) is Mapping:
            hint = get_args(hint)[1]
        else:
            return []
    return [each.name for each in fields(hint)] if is_dataclass(hint) else []


def _type_text(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kind(hint).name
    if origin is Literal:
        return " | ".join(arguments)
    if origin in (Union, UnionType):
        return " | ".join(map(_type_text, arguments))
    if origin is tuple:
        return f"[{_type_text(arguments[0])}, …]"
    if origin is Mapping:
        return f"{{{_type_text(arguments[0])}: {_type_text(arguments[1])}, …}}"
    if is_dataclass(hint):
        inner = get_type_hints(hint, include_extras=True)
        return "{" + ", ".join(f"{name}: {_type_text(inner[name])}" for name in inner) + "}"
    return {bool: "true | false", str: "text", NoneType: "null"}[hint]


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    return get_args(hint) if get_origin(hint) is Literal else ()


def _write(value: Any, hint: Any) -> str:
    """A default as ``proxy.yml`` writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if get_origin(hint) in (Union, UnionType):
        hint = get_args(hint)[0]
    if get_origin(hint) is Annotated:
        return _kind(hint).write(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {each}" for key, each in value.items()) + "}"
    return str(value)


def _kind(hint: Any) -> Kind:
    kind = hint.__metadata__[0]
    assert isinstance(kind, Kind)
    return kind
