"""Faults out of a file: what is read, what each mistake is told, what editors are told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from conditions.subjects import Asked, chat
from faults.fault_mistakes import MISTAKES, Mistake
from faults.fault_texts import VALID, faults, read
from llmproxy import yamlfile
from llmproxy.conditions.subject import Subject
from llmproxy.faults import effects, failures
from llmproxy.faults.calls import Calls
from llmproxy.faults.effects import READERS
from llmproxy.faults.fault import Effect, Fault, Hang, InBody, Output, Plan, Refuse, Reset, Slow
from llmproxy.faults.reading import faults_schema, read_faults
from llmproxy.faults.schema import FAULT
from llmproxy.findings import Finding
from llmproxy.synthesis.problems import problem_of
from llmproxy.synthesis.scripted import Failure

NODE, DEFINITIONS = faults_schema()
SCHEMA = Draft202012Validator({"properties": {"faults": NODE}, "$defs": DEFINITIONS})


def data_of(text: str) -> Any:
    return yamlfile.parse(text, "proxy.yml").data


def only(text: str) -> Fault:
    (fault,) = faults(f"faults: [{text}]")
    return fault


# what is right


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_what_is_right_is_read_and_the_schema_takes_it(text: str) -> None:
    made = faults(text)
    data = data_of(text)
    assert len(made) == len(data["faults"] or ())
    assert [error.message for error in SCHEMA.iter_errors(data)] == []


def test_a_fault_has_what_its_file_says() -> None:
    rated, busy, cut = faults(VALID["of the issue"])
    assert (rated.name, rated.place) == ("fault 1", "proxy.yml:2")
    assert rated.plan == Plan(0.1, 7)
    assert rated.effect == Refuse((Failure(problem_of(500)), Failure(problem_of(529))))
    assert (busy.name, busy.place) == ("busy", "proxy.yml:3")
    assert busy.plan == Plan(calls=Calls(starts=(1,), ends=(2,)))
    assert busy.effect == Refuse((Failure(problem_of(429), (("retry-after", "1"),)),))
    assert (cut.name, cut.plan) == ("fault 3", Plan(calls=Calls(every=5)))
    assert cut.effect == InBody("cut", (3, 3))


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("error: rate_limit", Refuse((Failure(problem_of(429)),))),
        (
            "disabled: true",
            Refuse((Failure(problem_of(503, "This endpoint is currently disabled")),), closed=True),
        ),
        ("hang: true", Hang(600.0)),
        ("hang: 30s", Hang(30.0)),
        ("slow: true", Slow(5.0, 10.0)),
        ("slow: 2s", Slow(2.0, 2.0)),
        ("slow: 5-10s", Slow(5.0, 10.0)),
        ("slow: 5-10", Slow(5.0, 10.0)),
        ("slow: 500ms-2s", Slow(0.5, 2.0)),
        ("slow: 0-2m", Slow(0.0, 120.0)),
        ("reset: true", Reset()),
        ("cut: {before_chunk: [3, 7]}", InBody("cut", (3, 7))),
        ("cut: {before_chunk: 3-7}", InBody("cut", (3, 7))),
        ("cut: {at_byte: 100}", InBody("cut", at_byte=100)),
        ("stall: 2s", InBody("stall", (2, 2), time=2.0)),
        ("stall: {after_chunk: 2, time: 2s}", InBody("stall", (3, 3), time=2.0)),
        ("stall: {after_chunk: 0, time: 2s}", InBody("stall", (1, 1), time=2.0)),
        ("garble: {chunk: 2}", InBody("garble", (2, 2))),
        ("drop: {chunk: 2-3}", InBody("drop", (2, 3))),
        ("duplicate: {chunk: 2}", InBody("duplicate", (2, 2))),
        ("split: 1", InBody("split", size=1)),
        ("lump: true", InBody("lump")),
        (
            "error_event: {status: 529, after_chunk: 3}",
            InBody("error_event", (4, 4), failure=Failure(problem_of(529))),
        ),
        (
            "error_event: overloaded",
            InBody("error_event", (2, 2), failure=Failure(problem_of(529))),
        ),
        ("output: wrong_types", Output("wrong_types")),
    ],
)
def test_an_effect_is_what_its_words_say(text: str, effect: Effect) -> None:
    assert only(f"{{{text}}}").effect == effect


def holds(text: str, subject: Subject) -> bool:
    return only(f"{{error: 500, for: {text}}}").when.holds(subject, 1.0)


def test_a_fault_is_for_whom_its_file_says() -> None:
    assert holds("{}", Asked())
    assert holds("{model: gpt-*}", chat())
    assert not holds("{model: claude-*}", chat())
    for written in (
        "openai-chat",
        "openai_chat",
        "openai",
        '"openai-*"',
        "[gemini-stream, openai-chat]",
    ):
        assert holds(f"{{endpoint: {written}}}", chat())
        assert holds(
            f"{{not: {{any: [{{endpoint: {written}}}]}}}}", Asked(operation="", dialect="")
        )
    assert not holds("{endpoint: openai-responses}", chat())
    assert holds("{endpoint: {regex: '^[a-z]+_chat$'}}", chat())


def test_a_fault_read_again_has_its_key_and_equal_ones_differ() -> None:
    text = "faults: [{error: 500}, {error: 500}, {error: 501}]"
    keys = [fault.key for fault in faults(text)]
    assert len(set(keys)) == 3
    assert keys == [fault.key for fault in faults(text)]


def test_a_fault_with_a_mistake_is_left_out_and_the_others_are_read() -> None:
    made, said = read("faults: [{error: 500}, {eror: 500}, {reset: true}]")
    assert [fault.name for fault in made] == ["fault 1", "fault 3"]
    assert len(said) == 1


# mistakes


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.yaml[:60])
def test_a_mistake_is_told_with_its_place_and_its_mend(mistake: Mistake) -> None:
    made, said = read(f"faults: {mistake.yaml}")
    assert said == list(mistake.said)
    assert made == ()


@pytest.mark.parametrize(
    "mistake", [each for each in MISTAKES if each.in_schema], ids=lambda each: each.yaml[:60]
)
def test_a_mistake_that_a_schema_can_tell_is_refused(mistake: Mistake) -> None:
    assert not SCHEMA.is_valid(data_of(f"faults: {mistake.yaml}"))


def test_all_mistakes_of_a_fault_are_told_at_once() -> None:
    text = (
        "faults: [{nmae: a, for: {txt: a}, rate: 2, seed: -1, calls: 0, error: 200, reset: true}]"
    )
    assert [line.split(": ")[0].rpartition("]")[2] for line in read(text)[1]] == [
        ".nmae", ".for.txt", ".rate", ".seed", ".calls", ".error", ".reset",
    ]  # fmt: skip


def test_too_many_faults_are_refused() -> None:
    _, said = read("faults: [" + "{error: 500}," * 1_001 + "]")
    assert said == ["9 faults: has 1,001 faults; at most 1,000"]


def test_too_many_errors_and_calls_are_refused() -> None:
    _, said = read("faults: [{error: [" + "500," * 101 + "]}]")
    assert said == ["18 faults[0].error: has 101; write 1 to 100 errors"]
    _, said = read("faults: [{error: 500, calls: [" + "1," * 1_001 + "]}]")
    assert said == ["30 faults[0].calls: the list has 1,001 members; write 1 to 1,000"]


# the schema


def test_the_schema_is_one_and_every_reference_has_its_definition() -> None:
    Draft202012Validator.check_schema({**NODE, "$defs": DEFINITIONS})

    def references(part: object) -> set[str]:
        if isinstance(part, dict):
            inner: set[str] = set().union(*map(references, part.values()))
            return inner | {part["$ref"]} if isinstance(part.get("$ref"), str) else inner
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    assert references([NODE, DEFINITIONS]) <= {f"#/$defs/{name}" for name in DEFINITIONS}


def test_all_members_stand_in_the_schema() -> None:
    members = DEFINITIONS["fault"]["properties"]
    assert tuple(members) == FAULT
    assert all(each.get("description") for name, each in members.items() if name in READERS)
    event = DEFINITIONS["fault"]["properties"]["error_event"]["anyOf"][2]["properties"]
    assert tuple(event) == effects.ERROR_EVENT
    assert tuple(DEFINITIONS["fault_error"]["anyOf"][2]["properties"]) == failures.ERROR


def test_definitions_collide_with_none_of_rules() -> None:
    """Both stand in the schema of all settings."""
    from llmproxy.rules.schema import rules_schema

    of_rules = rules_schema()[1]
    for name in DEFINITIONS.keys() & of_rules.keys():
        assert DEFINITIONS[name] == of_rules[name]


# whatever a file holds

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2s", "5-10s", "3-7", "first 2", "every 5th", "overloaded", "empty", "-"])
)
names = st.sampled_from(
    [*FAULT, "before_chunk", "at_byte", "after_chunk", "time", "chunk", "status", "headers",
     "endpoint", "dialect", "any", "not", "text", "regex", "message", "times"]
) | st.text(max_size=6)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(names, values, max_size=5), max_size=3) | values)
def test_no_data_makes_the_reader_raise(data: object) -> None:
    found: list[Finding] = []
    made = read_faults(data, ("faults",), str, found)
    assert all(each.say() for each in found)
    assert all(each.path[0] == "faults" for each in found)
    if isinstance(data, list) and not found:
        assert len(made) == len(data)


@given(st.sampled_from(sorted(READERS)), values)
def test_what_the_reader_takes_the_schema_takes(name: str, value: object) -> None:
    found: list[Finding] = []
    data = [{name: value}]
    if read_faults(data, ("faults",), str, found):
        assert SCHEMA.is_valid({"faults": data})


@pytest.mark.timeout(20)
def test_a_large_file_of_mistakes_is_read_to_its_end() -> None:
    wide = {f"x{n}": {"y": n} for n in range(20_000)}
    deep: Any = {"endpoint": "a"}
    for _ in range(400):
        deep = {"not": {"any": [deep]}}
    data = [{"error": wide, "for": wide, **wide}, {"error": 500, "for": {"any": [wide] * 3}}]
    data += [{"error": 500, "for": deep}, {"error": 500, "for": {"endpoint": deep}}]
    found: list[Finding] = []
    assert read_faults(data, ("faults",), str, found) == ()
