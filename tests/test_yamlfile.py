"""YAML as a person means it, with the place of everything, and no way to exhaust us."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmproxy import yamlfile
from llmproxy.errors import SettingsError

LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]


def parse_all(text: str) -> Any:
    """The data, which must be the same with and without libyaml."""
    answers = [yamlfile._parse(text, "f.yml", loader).data for loader in LOADERS]
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        yamlfile.parse(text, "f.yml")
    return f"{caught.value.message}; {caught.value.hint}"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("2e3", 2000.0),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("010", "010"),
        ("0x1f", "0x1f"),
        ("0o17", "0o17"),
        ("+1", "+1"),
        (".5", ".5"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2024-01-06", "2024-01-06"),
        ("=", "="),
        ("'12'", "12"),
        ('"true"', "true"),
        ("''", ""),
        ("$.messages[*].name", "$.messages[*].name"),
        ("|\n    a\n    b\n", "a\nb\n"),
    ],
)
def test_a_value_is_what_a_person_means(written: str, meant: object) -> None:
    value = parse_all(f"key: {written}")["key"]
    assert value == meant
    assert type(value) is type(meant)


def test_keys_are_always_text() -> None:
    assert parse_all("on: a\n1: b\nnull: c\n<<: d\n2024-01-06: e\n") == {
        "on": "a",
        "1": "b",
        "null": "c",
        "<<": "d",
        "2024-01-06": "e",
    }


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_an_empty_file_holds_nothing(text: str) -> None:
    assert parse_all(text) is None


def test_every_value_and_key_has_its_line_and_column() -> None:
    document = yamlfile.parse("a:\n  - 1\n  - b:  x\nc: {d: [2, 3]}\n", "f.yml")
    assert document.marks == {
        (): (1, 1),
        ("a",): (2, 3),
        ("a", 0): (2, 5),
        ("a", 1): (3, 5),
        ("a", 1, "b"): (3, 9),
        ("c",): (4, 4),
        ("c", "d"): (4, 8),
        ("c", "d", 0): (4, 9),
        ("c", "d", 1): (4, 12),
    }
    assert document.key_marks == {
        ("a",): (1, 1),
        ("a", 1, "b"): (3, 5),
        ("c",): (4, 1),
        ("c", "d"): (4, 5),
    }


def test_columns_count_characters_not_bytes() -> None:
    assert yamlfile.parse("größe: x", "f.yml").mark(("größe",)) == (1, 8)


def test_the_place_of_what_is_missing_is_that_of_what_is_around_it() -> None:
    document = yamlfile.parse("a:\n  - b: 1\n", "f.yml")
    assert document.mark(("a", 0, "c")) == (2, 5)
    assert document.mark(("x", "y"), key=True) == (1, 1)
    assert document.mark(("a", 0, "b"), key=True) == (2, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "f.yml:1:5: a second colon in one line; put the value in quotes"),
        (
            "port:4555\nhost: x",
            (
                "f.yml:2:1: this line continues the one above; "
                "write key: value above, with the space, and indent both alike"
            ),
        ),
        (
            "a: 1\nfoo\nb: 2",
            "f.yml:2:1: a key without a colon; write key: value, with the space",
        ),
        ("a: 'x", "f.yml:1:4: a quote is opened here and never closed; close it"),
        (
            "a:\n  - [1, 2",
            "f.yml:2:5: a list [ is not closed or lacks a comma; quote values with [ or {",
        ),
        (
            "a: {b: 1",
            "f.yml:1:4: a mapping { is not closed or lacks a comma; quote values with { or [",
        ),
        ("a: @x", "f.yml:1:4: a value begins with a sign of YAML; put it in quotes"),
        ("a: `x`", "f.yml:1:4: a value begins with a sign of YAML; put it in quotes"),
        ("a: *.example", "f.yml:1:5: a value begins with *; put it in quotes"),
        ("a: }", "f.yml:1:4: a sign of YAML where a value should be; put the value in quotes"),
        (
            'a: "\\d+"',
            "f.yml:1:5: an escape that YAML does not know; use single quotes: they keep backslashes",
        ),
        (
            "a:\n  b: 1\n c: 2",
            "f.yml:3:2: the line does not fit the lines above; indent keys of one group alike",
        ),
        ("- 1\nb: 2", "f.yml:2:1: the line does not fit the list above; indent its items alike"),
        ("a: - b", "f.yml:1:4: a list in the line of its key; begin it in the next line"),
        ("a:\n\tb: 1", "f.yml:2:1: a tab in the indentation; write spaces"),
        ("a:\n  b: 1\n \tc: 2", "f.yml:3:2: a tab in the indentation; write spaces"),
        (
            "a: 1\nb: 2\na: 3",
            'f.yml:3:1: the key "a" stands already in line 1; leave one of the two',
        ),
        ("{a: 1, 'a': 2}", 'f.yml:1:8: the key "a" stands already in line 1; leave one of the two'),
        (
            "a: &x 1",
            "f.yml:1:4: anchors (&) are not accepted; write the value out, or put it in quotes",
        ),
        (
            "a: *x",
            "f.yml:1:4: aliases (*) are not accepted; write the value out, or put it in quotes",
        ),
        (
            "a: !!python/object/apply:os.system [x]",
            "f.yml:1:4: tags (!) are not accepted; leave it out, or put the value in quotes",
        ),
        (
            "!x a: 1",
            "f.yml:1:1: tags (!) are not accepted; leave it out, or put the value in quotes",
        ),
        ("a: 1\n---\nb: 2", "f.yml:2:1: a second document begins here; leave one"),
        (
            "? [a]\n: 1",
            "f.yml:1:3: a list or mapping stands as a key; put a value with { or [ in quotes",
        ),
        ("a: 1\x00", "f.yml:1:5: the character U+0000 is not allowed; remove it"),
        ("a: 1\nb: \ud800", "f.yml:2:4: the character U+D800 is not allowed; remove it"),
        (
            "a: 1234567890123456789",
            "f.yml:1:4: a number too large; put it in quotes to mean the digits",
        ),
        ("a: 1e999", "f.yml:1:4: a number too large; put it in quotes to mean the digits"),
        ("%YAML 9.9\n---\na", "f.yml:1:1: is not YAML: found incompatible YAML document; "),
        ("[" * 65, "f.yml:1:65: more than 64 levels inside each other; nest less"),
        ("- " * 65, "f.yml:1:129: more than 64 levels inside each other; nest less"),
    ],
)
@pytest.mark.skipif(not yaml.__with_libyaml__, reason="the exact places are those of libyaml")
def test_a_mistake_is_said_with_place_and_mend(text: str, said: str) -> None:
    assert refusal(text) == said


@pytest.mark.parametrize("text", ['a: "\\U99999999"', 'a: "\\ud800"', "%YAML 1." + "1" * 5000])
@pytest.mark.parametrize("loader", LOADERS)
def test_what_trips_a_parser_itself_is_refused_by_us(text: str, loader: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        yamlfile._parse(text, "f.yml", loader)
    assert caught.value.message.startswith("f.yml:")
    assert len(caught.value.message) < 200


def test_64_levels_are_not_too_many() -> None:
    data = parse_all("[" * 64 + "]" * 64)
    for _ in range(63):
        (data,) = data
    assert data == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{a: " * 250_000,
        "- " * 500_000,
        "? " * 500_000,
        "[1" + ",1" * 400_000 + "]",
        "[" * 63 + "1" + ",1" * 400_000,
        "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n",
        "a: " + "9" * 900_000,
        "a: 1e" + "9" * 900_000,
        "a: '" + "\\" * 900_000,
        "x" * 1_000_001,
    ],
    ids=lambda text: text[:8],
)
def test_a_file_made_to_exhaust_us_is_refused(text: str) -> None:
    assert refusal(text).startswith("f.yml:")


def test_a_file_is_read_with_its_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "f.yml"
    file.write_bytes(b"\xef\xbb\xbfa: \xc3\xb6\r\nb: 1\r\n")
    document = yamlfile.read(file, "f.yml")
    assert document.data == {"a": "ö", "b": 1}
    assert document.mark(("b",)) == (2, 4)


def test_a_file_that_is_not_utf8_is_refused_at_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "f.yml"
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(SettingsError, match=r"^f\.yml:2:4: is not UTF-8 from here on") as caught:
        yamlfile.read(file, "f.yml")
    assert caught.value.hint == "save the file as UTF-8"


def test_a_file_above_1_mb_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f.yml"
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(SettingsError, match=r"^f\.yml: is larger than 1 MB$"):
        yamlfile.read(file, "f.yml")


@pytest.mark.parametrize("name", ["missing.yml", ".", "nul\0.yml"])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"^f\.yml: cannot be read: \S"):
        yamlfile.read(tmp_path / name, "f.yml")


yaml_like = st.lists(
    st.sampled_from([*"abc019 \t\n:-?,[]{}#&*!|>'\"%@`\\~.\x85\ufeff\ud800", "\n  ", ": ", "- "])
    | st.text(max_size=3),
    max_size=40,
).map("".join)


@given(st.text() | yaml_like)
def test_no_text_raises_anything_but_settings_errors(text: str) -> None:
    for loader in LOADERS:
        complaint = "f.yml: accepted"
        try:
            yamlfile._parse(text, "f.yml", loader)
        except SettingsError as error:
            complaint = error.message
        assert complaint.startswith("f.yml:")
        assert complaint.splitlines() == [complaint]


printable = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]),
    max_size=10,
)
json_data = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | printable,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4),
    max_leaves=12,
)


@given(json_data)
def test_json_means_what_it_means_to_json(data: object) -> None:
    assert yamlfile.parse(json.dumps(data, ensure_ascii=False), "f.yml").data == data


@given(json_data)
def test_every_part_of_the_data_has_a_mark(data: object) -> None:
    document = yamlfile.parse(json.dumps(data, ensure_ascii=False, indent=1), "f.yml")

    def visit(value: object, path: yamlfile.YamlPath) -> None:
        assert path in document.marks
        pairs: Any = value.items() if isinstance(value, dict) else ()
        for key, inner in enumerate(value) if isinstance(value, list) else pairs:
            assert ((*path, key) in document.key_marks) == isinstance(value, dict)
            visit(inner, (*path, key))

    visit(document.data, ())


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.yml")
    with pytest.raises(SettingsError, match="no regular file"):
        yamlfile.read(tmp_path / "f.yml", "f.yml")
