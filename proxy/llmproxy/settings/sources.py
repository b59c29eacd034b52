"""Where settings come from: a file, environment variables and flags.

Strategy: each source becomes a ``Layer``: data nested as in ``proxy.yml``, the place of each
part of it, and what could not even be read. Whether the values are right is not judged here.
yaml is imported only where YAML is read. The environment is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmproxy.errors import SettingsError
from llmproxy.findings import nearest
from llmproxy.settings.catalogue import Setting

if TYPE_CHECKING:
    from llmproxy.yamlfile import Document, YamlPath

FILE_NAME = "proxy.yml"
PREFIX = "LLMPROXY_"
RESERVED = ("LLMPROXY_LOG", "LLMPROXY_TEST")
"""Variables that are no settings; others that are none begin with the last: ``LLMPROXY_TEST_...``."""

Place = tuple[str, int, int]
"""A file's name, line and column; or a variable or flag and zeros."""
Known = Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says.

    Args:
        data: nested as in ``proxy.yml``.
        source: a document, or the variable or flag of each setting's path.
        problems: what could not be read, one line each.
    """

    data: Mapping[str, object]
    source: Document | Mapping[YamlPath, str]
    problems: tuple[str, ...] = ()

    def place(self, path: YamlPath, *, key: bool = False) -> Place:
        """Where the value, or the key before it, stands."""
        if isinstance(self.source, Mapping):
            return (self.source.get(path[:1]) or self.source[path[:2]], 0, 0)
        return (self.source.name, *self.source.mark(path, key=key))

    def origins(self, known: Known) -> dict[str, str]:
        """The settings that this source gives, and where: ``proxy.yml:12``, ``--port``."""
        paths = {name: tuple(name.split(".")) for name in known}
        given = {name: path for name, path in paths.items() if _has(self.data, path)}
        return {
            name: write_place((*self.place(path, key=True)[:2], 0)) for name, path in given.items()
        }


def write_place(place: Place) -> str:
    """``proxy.yml:12:3``, ``proxy.yml:12`` for column 0, or ``--port``."""
    return ":".join(str(part) for part in place if part)


def find_file(config: Path | None, folder: Path) -> Path | None:
    """``config``, or ``proxy.yml`` where the folder has one."""
    if config is not None:
        return folder / config
    file = folder / FILE_NAME
    return file if file.exists() else None


def read_file(file: Path, name: str, known: Known) -> Layer:
    """What a YAML file says; errors call it ``name``."""
    from llmproxy import yamlfile  # noqa: PLC0415 - help texts need no yaml

    try:
        document = yamlfile.read(file, name)
    except SettingsError as error:
        return Layer({}, {}, (_one_line(error),))
    if document.data is not None and not isinstance(document.data, dict):
        place = write_place((name, *document.mark(())))
        said = f"{place}: holds no settings; write key: value, with the space"
        return Layer({}, document, (said,))
    return Layer(_without_empty_groups(document.data or {}, known), document)


def read_variables(environment: Mapping[str, str], known: Known) -> Layer:
    """What the variables that begin with ``LLMPROXY_`` say; an empty one says nothing."""
    by_variable = {each.variable: each for each in known.values()}
    given, problems = [], []
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or not text.strip() or _is_reserved(variable):
            continue
        if variable in by_variable:
            given.append((by_variable[variable], variable, text))
        else:
            close = nearest(variable, by_variable)
            mend = f"; did you mean {close}?" if close else ""
            problems.append(f"{variable}: no such setting{mend}")
    return _named_layer(given, problems)


def read_flags(flags: Mapping[str, object], known: Known) -> Layer:
    """What flags say, by dotted name; None and an empty tuple mean not given."""
    given = [
        (known[name], known[name].flag, value)
        for name, value in flags.items()
        if value is not None and value != ()
    ]
    return _named_layer(given, [])


def _named_layer(given: Iterable[tuple[Setting, str, object]], problems: list[str]) -> Layer:
    data: dict[str, object] = {}
    labels: dict[YamlPath, str] = {}
    for setting, label, value in given:
        path = tuple(setting.name.split("."))
        try:
            _put(data, path, _read_value(setting, label, value))
        except SettingsError as error:
            problems.append(_one_line(error))
        labels[path] = label
    return Layer(data, labels, tuple(problems))


def _read_value(setting: Setting, label: str, value: object) -> object:
    """What a typed value means for a setting of this type.

    A list is YAML in brackets or text cut at commas; regexes are never cut, for commas are
    part of them. A map is YAML in braces.
    """
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if setting.is_map or (setting.is_list and text.startswith("[")):
        from llmproxy import yamlfile  # noqa: PLC0415 - help texts need no yaml

        return yamlfile.parse(text, label).data
    if setting.is_list:
        parts = [text] if "regex" in setting.type else text.split(",")
        return [part.strip() for part in parts if part.strip()]
    return None if text == "null" and setting.type.endswith("| null") else text


def _without_empty_groups(data: Mapping[str, object], known: Known) -> dict[str, object]:
    """A group all of whose settings are commented out says nothing."""
    groups = {name.partition(".")[0] for name in known if "." in name}
    return {key: value for key, value in data.items() if value is not None or key not in groups}


def _has(data: object, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(data, Mapping) or part not in data:
            return False
        data = data[part]
    return True


def _put(data: dict[str, object], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        inner = data.setdefault(part, {})
        assert isinstance(inner, dict)
        data = inner
    data[path[-1]] = value


def _is_reserved(variable: str) -> bool:
    return variable in RESERVED or variable.startswith(f"{RESERVED[-1]}_")


def _one_line(error: SettingsError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message
