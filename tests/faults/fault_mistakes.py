"""Mistakes in faults, with the words that meet each: its column, its place, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """What stands at ``faults:``, what is said of it, and whether the JSON Schema refuses it too."""

    yaml: str
    said: tuple[str, ...]
    in_schema: bool = True


def _mistake(yaml: str, *said: str, in_schema: bool = True) -> Mistake:
    return Mistake(yaml, said, in_schema)


MISTAKES = (
    _mistake("5", "9 faults: 5 is not a list; begin each fault with a dash"),
    _mistake("{error: 500}", "9 faults: this group is not a list; begin each fault with a dash"),
    _mistake(
        "[5, ~]",
        "10 faults[0]: 5 is no fault; write {error: 500}",
        "13 faults[1]: has no value; write one or remove the line",
    ),
    _mistake(
        "[{}]",
        "10 faults[0]: does nothing; write error: 500, or one of error, disabled, hang, slow, reset, cut, stall, garble, drop, duplicate, split, lump, error_event, output",
    ),
    _mistake(
        "[{error: 500, colour: red}]",
        "23 faults[0].colour: no such member of a fault; there are name, for, rate, seed, calls, error, disabled, hang, slow, reset, cut, stall, garble, drop, duplicate, split, lump, error_event, output",
    ),
    _mistake("[{eror: 500}]", "11 faults[0].eror: no such member of a fault; did you mean error?"),
    _mistake(
        "[{error: 500, when: {text: a}}]", "23 faults[0].when: is a rule's; write for: in a fault"
    ),
    _mistake(
        "[{error: 500, times: 2}]",
        "23 faults[0].times: is a rule's; write calls: first 2 in a fault",
    ),
    _mistake(
        "[{error: 500, model: gpt-5}]",
        "23 faults[0].model: stands in the fault itself; write it under for:",
    ),
    _mistake(
        "[{before_chunk: 3}]",
        "11 faults[0].before_chunk: stands in the fault itself; write it under cut:",
    ),
    _mistake(
        "[{cut: {before_chunk: 3}, at_byte: 5}]",
        "35 faults[0].at_byte: stands in the fault itself; write it under cut:",
    ),
    _mistake(
        "[{status: 500}]", "11 faults[0].status: stands in the fault itself; write it under error:"
    ),
    _mistake(
        "[{error: 500, reset: true}]",
        "23 faults[0].reset: stands beside error; a fault does one thing, make two of them",
    ),
    _mistake("[{error: 200}]", "18 faults[0].error: 200 is not a whole number from 400 to 599"),
    _mistake(
        "[{error: true}]",
        "18 faults[0].error: true is no error; write 500, overloaded or {status: 500}",
    ),
    _mistake("[{error: []}]", "18 faults[0].error: is empty; write 1 to 100 errors"),
    _mistake(
        "[{error: 1.5}]",
        "18 faults[0].error: 1.5 is no error; write 500, overloaded or {status: 500}",
    ),
    _mistake(
        "[{error: overlaoded}]",
        '18 faults[0].error: "overlaoded" is none of server_error, bad_request, authentication_error, permission_denied, rate_limit, overloaded; did you mean overloaded?',
    ),
    _mistake("[{error: }]", "18 faults[0].error: has no value; write one or remove the line"),
    _mistake(
        "[{error: [500, {status: 99}, {sttaus: 500}]}]",
        "33 faults[0].error[1].status: must be a number from 400 to 599",
        "39 faults[0].error[2].sttaus: no such member; did you mean status?",
    ),
    _mistake(
        "[{error: {status: 500, times: 2}}]",
        "32 faults[0].error.times: is for rules; write calls: first 2 beside the effect",
    ),
    _mistake(
        "[{error: {headers: {retry-after: 1}}}]",
        "42 faults[0].error.headers.retry-after: 1 is not text; put it in quotes",
    ),
    _mistake(
        '[{error: {headers: {content-length: "1"}}}]',
        "28 faults[0].error.headers: 'content-length' cannot be set",
        in_schema=False,
    ),
    _mistake(
        "[{error: {retry_after: soon}}]",
        "32 faults[0].error.retry_after: must be a number of seconds",
    ),
    _mistake(
        "[{error: {message: 5}}]", "28 faults[0].error.message: 5 is not text; put it in quotes"
    ),
    _mistake("[{disabled: false}]", "21 faults[0].disabled: false is not true; write true"),
    _mistake(
        "[{hang: soon}]", '17 faults[0].hang: "soon" is not a duration; write 500ms, 10s, 2m or 1h'
    ),
    _mistake(
        "[{hang: 0s}]",
        '17 faults[0].hang: "0s" is no such time; write one above 0 and up to 24h',
        in_schema=False,
    ),
    _mistake(
        "[{hang: 25h}]",
        '17 faults[0].hang: "25h" is no such time; write one above 0 and up to 24h',
        in_schema=False,
    ),
    _mistake("[{hang: }]", "17 faults[0].hang: has no value; write one or remove the line"),
    _mistake(
        "[{slow: 10-5s}]",
        '17 faults[0].slow: "10-5s" is the wrong way round; write the shorter time first',
        in_schema=False,
    ),
    _mistake(
        "[{slow: 5-}]", '17 faults[0].slow: "5-" is not a duration; write 500ms, 10s, 2m or 1h'
    ),
    _mistake(
        "[{slow: 1-99h}]",
        '17 faults[0].slow: "99h" is no such time; write one above 0 and up to 24h',
        in_schema=False,
    ),
    _mistake(
        "[{slow: 0}]", "17 faults[0].slow: 0 is no such time; write one above 0 and up to 24h"
    ),
    _mistake("[{reset: yes}]", '18 faults[0].reset: "yes" is not true; write true'),
    _mistake("[{cut: 3}]", "16 faults[0].cut: 3 is not a mapping; write {before_chunk: 3}"),
    _mistake(
        "[{cut: {}}]", "16 faults[0].cut: says nothing; write {before_chunk: 3} or {at_byte: 100}"
    ),
    _mistake(
        "[{cut: {before_chunk: 3, at_byte: 1}}]",
        "16 faults[0].cut: has both; leave one of the two, {before_chunk: 3} or {at_byte: 100}",
    ),
    _mistake(
        "[{cut: {before_chunk: 0}}]",
        "31 faults[0].cut.before_chunk: 0 is out of bounds; they count from 1 to 1,000,000",
    ),
    _mistake(
        "[{cut: {before_chunk: 7-3}}]",
        '31 faults[0].cut.before_chunk: "7-3" is the wrong way round; write 3-7',
        in_schema=False,
    ),
    _mistake(
        "[{cut: {before_chunk: [1, 2, 3]}}]",
        "31 faults[0].cut.before_chunk: this list cannot be read; write the number of a chunk, such as 3, or 3-7 for one from 3 to 7",
    ),
    _mistake(
        "[{cut: {before_chunk: [7, 3]}}]",
        '31 faults[0].cut.before_chunk: "7-3" is the wrong way round; write 3-7',
        in_schema=False,
    ),
    _mistake(
        "[{cut: {before_chunk: 1000001}}]",
        "31 faults[0].cut.before_chunk: 1000001 is out of bounds; they count from 1 to 1,000,000",
    ),
    _mistake(
        "[{cut: {at_byte: -1}}]",
        "26 faults[0].cut.at_byte: -1 is not a whole number from 0 to 1,000,000,000,000",
    ),
    _mistake(
        "[{cut: {after_chunk: 1}}]",
        "17 faults[0].cut.after_chunk: no such member; did you mean before_chunk?",
    ),
    _mistake(
        "[{stall: {after_chunk: 2}}]",
        "18 faults[0].stall: says no time; write {after_chunk: 2, time: 2s}",
    ),
    _mistake(
        "[{stall: {after_chunk: -1, time: 2s}}]",
        "32 faults[0].stall.after_chunk: -1 is out of bounds; they count from 1 to 1,000,000",
    ),
    _mistake(
        "[{stall: {after_chunk: true, time: 2x}}]",
        "32 faults[0].stall.after_chunk: true cannot be read; write the number of a chunk, such as 3, or 3-7 for one from 3 to 7",
        '44 faults[0].stall.time: "2x" is not a duration; write 500ms, 10s, 2m or 1h',
    ),
    _mistake(
        "[{stall: {after_chunk: , time: 2s}}]",
        "32 faults[0].stall.after_chunk: has no value; write one or remove the line",
    ),
    _mistake("[{garble: 2}]", "19 faults[0].garble: 2 is not a mapping; write {chunk: 2}"),
    _mistake("[{garble: {}}]", "19 faults[0].garble: says no chunk; write {chunk: 2}"),
    _mistake(
        "[{drop: {chunks: 2}}]", "18 faults[0].drop.chunks: no such member; did you mean chunk?"
    ),
    _mistake(
        "[{duplicate: {chunk: }}]",
        "30 faults[0].duplicate.chunk: has no value; write one or remove the line",
    ),
    _mistake("[{split: 0}]", "18 faults[0].split: 0 is not a whole number from 1 to 1,000,000"),
    _mistake(
        "[{split: 1KB}]", '18 faults[0].split: "1KB" is not a whole number from 1 to 1,000,000'
    ),
    _mistake("[{lump: 5}]", "17 faults[0].lump: 5 is not true; write true"),
    _mistake(
        "[{error_event: {status: 500, headers: {a: b}}}]",
        "38 faults[0].error_event.headers: have left before a stream's error; leave them out",
    ),
    _mistake(
        "[{error_event: {status: 200, after_chunk: 1.5}}]",
        "33 faults[0].error_event.status: must be a number from 400 to 599",
        "51 faults[0].error_event.after_chunk: 1.5 cannot be read; write the number of a chunk, such as 3, or 3-7 for one from 3 to 7",
    ),
    _mistake(
        "[{output: emtpy}]",
        '19 faults[0].output: "emtpy" is none of empty, truncated_json, fenced_json, wrong_types, unknown_tool; did you mean empty?',
    ),
    _mistake(
        "[{error: 500, rate: 2}]",
        "29 faults[0].rate: 2 is not a number from 0 to 1; write one such as 0.1",
    ),
    _mistake(
        "[{error: 500, rate: 10%}]",
        '29 faults[0].rate: "10%" is not a number from 0 to 1; write one such as 0.1',
    ),
    _mistake(
        "[{error: 500, rate: }]", "29 faults[0].rate: has no value; write one or remove the line"
    ),
    _mistake(
        "[{error: 500, rate: .nan}]",
        '29 faults[0].rate: ".nan" is not a number from 0 to 1; write one such as 0.1',
    ),
    _mistake(
        "[{error: 500, seed: random}]",
        '29 faults[0].seed: "random" is not a whole number from 0 to 999,999,999,999,999,999',
    ),
    _mistake(
        "[{error: 500, calls: first}]",
        '30 faults[0].calls: "first" cannot be read; write first 2, every 5th, 2-4 or [1, 3]',
    ),
    _mistake(
        "[{error: 500, calls: 0}]",
        "30 faults[0].calls: 0 is out of bounds; they count from 1 to 1,000,000,000",
    ),
    _mistake(
        "[{error: 500, calls: 4-2}]",
        '30 faults[0].calls: "4-2" is the wrong way round; write 2-4',
        in_schema=False,
    ),
    _mistake(
        "[{error: 500, calls: []}]", "30 faults[0].calls: the list has 0 members; write 1 to 1,000"
    ),
    _mistake(
        "[{error: 500, calls: [1, two]}]",
        '30 faults[0].calls: "two" cannot be read; write first 2, every 5th, 2-4 or [1, 3]',
    ),
    _mistake(
        "[{error: 500, calls: {first: 2}}]",
        "30 faults[0].calls: this group cannot be read; write first 2, every 5th, 2-4 or [1, 3]",
    ),
    _mistake(
        "[{error: 500, calls: every 0th}]",
        '30 faults[0].calls: "every 0th" is out of bounds; they count from 1 to 1,000,000,000',
        in_schema=False,
    ),
    _mistake(
        "[{error: 500, calls: }]", "30 faults[0].calls: has no value; write one or remove the line"
    ),
    _mistake("[{error: 500, name: 5}]", "29 faults[0].name: 5 is not text; put it in quotes"),
    _mistake(
        "[{error: 500, for: }]", "28 faults[0].for: has no value; write one or remove the line"
    ),
    _mistake(
        "[{error: 500, for: text}]", '28 faults[0].for: "text" is no condition; write {text: hello}'
    ),
    _mistake(
        "[{error: 500, for: {endpont: a}}]",
        "29 faults[0].for.endpont: no such condition; did you mean endpoint?",
    ),
    _mistake(
        "[{error: 500, for: {colour: red}}]",
        "29 faults[0].for.colour: no such condition; there are method, path, session, headers, query, dialect, model, stream, json, text, system, message, tools, called, tool_choice, turn, messages, has_tool_result, tool_result, format, reasoning, media, max_tokens, n, endpoint, all, any, not",
    ),
    _mistake(
        "[{error: 500, for: {endpoint: anthropic-mesages}}]",
        '39 faults[0].for.endpoint: "anthropic_mesages" is no dialect or operation; did you mean anthropic_messages?',
    ),
    _mistake(
        "[{error: 500, for: {not: {any: [{endpoint: [openai-chat, openai-caht]}]}}}]",
        '66 faults[0].for.not.any[0].endpoint[1]: "openai_caht" is no dialect or operation; did you mean openai_chat?',
    ),
    _mistake(
        "[{error: 500, for: {endpoint: openai-chat, dialect: openai}}]",
        "29 faults[0].for.endpoint: stands beside dialect; leave one of the two",
        in_schema=False,
    ),
    _mistake(
        "[{error: 500, for: {endpoint: {}}}]",
        "39 faults[0].for.endpoint: says nothing to compare with; write a dialect or an operation",
        in_schema=False,
    ),
)
