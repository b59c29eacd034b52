"""Rules that people write: files that are right, and mistakes with the words that meet them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VALID: Mapping[str, str] = {
    "nothing": "rules:\n",
    "no rules": "rules: []",
    "a greeting": "rules: [{reply: Hello.}]",
    "an exact text": """\
rules:
  - name: sky
    when:
      text: what colour is the sky?
    reply: {text: The sky is blue because of Rayleigh scattering.}
""",
    "a tool, then its answer": """\
rules:
  - name: weather tool, then its answer
    when: {model: "gpt-4*", dialect: openai_chat, tools: get_weather,
           system: {contains: assistant}, turn: 1, headers: {x-team: search},
           json: {"$.temperature": {lt: 0.5}}, has_tool_result: false, stream: true,
           session: checkout}
    reply: {tool_calls: [{name: get_weather, arguments: {city: Paris}}], usage: {output_tokens: 12},
            finish: tool_calls}
    pace: {ttft: 0.3, tokens_per_second: 40, jitter: 0.2}
""",
    "errors first": """\
rules:
  - name: rate limited twice, then fine
    when: {text: {contains: retry}}
    count: prompt
    replies:
      - {error: {status: 429, message: slow down, headers: {retry-after: "1"}}}
      - {error: {status: 503, headers: {retry-after-ms: "150"}}}
      - {text: recovered}
    after: last
""",
    "all kinds of replies": """\
rules:
  - {when: {path: /v1/embeddings}, reply: {cassette: cassettes/run1.db, interaction: 12}}
  - {when: {path: /v1/files}, reply: {forward: openai}}
  - {when: {method: delete}, reply: {raw: {status: 204, headers: {x-a: b}}}}
  - {when: {path: /health}, reply: {raw: {body: {ok: true}}}}
  - {when: {path: /text}, reply: {raw: {status: 418, body: short}}}
  - {when: {path: /me}, reply: {raw: {template: '{"path":"{{ path }}"}'}}}
  - {when: {text: {starts_with: say}}, reply: {template: "You said {{ last_user_text }}"}}
  - {when: {format: json_schema}, reply: {json_schema: request}}
  - {when: {format: json}, reply: {json_schema: {type: object}}}
  - {when: {text: {regex: "bomb|poison"}}, reply: {refusal: I cannot help with that.}}
  - {when: {reasoning: true}, reply: {reasoning: hm, text: "42"}}
  - {when: {text: {glob: "echo *"}}, reply: {echo: true}}
  - {when: {stream: true, text: break}, reply: {text: one two three, stream_error: 503, after_chunks: 3}}
  - {when: {text: status}, reply: {error: 529}}
  - {when: {text: words}, reply: {error: out of order}}
""",
    "recordings in a rule": """\
rules:
  - when: {session: flaky}
    replies: [{error: {status: 500}}, {recorded: true}]
    after: next
    times: 5
  - {reply: {recorded: true}, pace: 2x}
  - {reply: {recorded: true, stream_error: {status: 503, message: gone}, after_chunks: 3}, pace: recorded}
  - {reply: {recorded: true}, pace: {tokens_per_second: 20}}
""",
    "paces": """\
rules:
  - {reply: a, pace: instant}
  - {reply: b, pace: {ttft: 300ms, prefill: 1ms, characters_per_second: 100, chunk_unit: word,
     chunk_size: 3, distribution: lognormal, max_stream_time: null, truncation_message: cut}}
  - {reply: {raw: {status: 500}}, pace: {ttft: 2s}}
""",
    "other files": "rules:\n  - more/rules.yml\n  - {reply: hi, count: session, after: cycle}",
}


@dataclass(frozen=True)
class Mistake:
    """YAML, what is said of it line by line, and whether the JSON Schema refuses it too."""

    yaml: str
    said: tuple[str, ...]
    in_schema: bool = True


def _mistake(yaml: str, *said: str, in_schema: bool = True) -> Mistake:
    return Mistake(yaml, said, in_schema)


def _in_responses(yaml: str, *said: str) -> Mistake:
    return Mistake(yaml, said, in_schema=False)


def _in_rule(yaml: str, said: str, *, in_schema: bool = True) -> Mistake:
    """A mistake in the only rule of a file: ``said`` is its column and sentence."""
    column, _, sentence = said.partition(" ")
    line = f"rules.yml:1:{column}: rules[0]{sentence}"
    return Mistake(f"rules: [{{{yaml}}}]", (line,), in_schema)


MISTAKES = (
    # the file
    _mistake("[]", "rules.yml:1:1: rules: is missing; write rules: and a list below it",
             in_schema=False),
    _mistake("{}", "rules.yml:1:1: rules: is missing; write rules: and a list below it"),
    _mistake("ruels: []", "rules.yml:1:1: ruels: no such key; did you mean rules?"),
    _mistake("rules: []\nport: 80",
             "rules.yml:2:1: port: only rules: is read in a file of rules", in_schema=False),
    _mistake("rules: []\nresponses: {a: b}",
             "rules.yml:2:1: responses: stands beside rules; make two files of them",
             in_schema=False),
    _mistake("port: 80",
             "rules.yml:1:1: port: only rules: is read in a file of rules",
             "rules.yml:1:1: rules: is missing; write rules: and a list below it"),
    _mistake("rules: more.yml",
             'rules.yml:1:8: rules: "more.yml" is not a list; write [more.yml]'),
    _mistake("rules: {name: a, reply: hi}",
             "rules.yml:1:8: rules: this group is not a list; begin each rule with - name:"),
    _mistake("rules: 5", "rules.yml:1:8: rules: 5 is not a list; begin each rule with - name:"),
    _mistake("rules: [3, null, '']",
             "rules.yml:1:9: rules[0]: 3 is neither a rule nor the name of a file of rules",
             "rules.yml:1:12: rules[1]: has no value; write one or remove the line",
             "rules.yml:1:18: rules[2]: is empty; write the name of a file"),
    # the rule
    _in_rule("repy: hi", "10 .repy: no such member of a rule; did you mean reply?"),
    _in_rule("reply: hi, tiems: 3", "21 .tiems: no such member of a rule; did you mean times?"),
    _in_rule("reply: hi, colour: red",
             "21 .colour: no such member of a rule; there are name, when, reply, replies, count,"
             " after, times, pace, fault"),
    _in_rule("when: {text: a}, text: hi", "27 .text: stands in the rule itself; write it under reply:"),
    _in_rule("text: a, reply: hi", "10 .text: stands in the rule itself; write it under when:"),
    _in_rule("model: a, reply: hi", "10 .model: stands in the rule itself; write it under when:"),
    _in_rule("reply: hi, error: 429", "21 .error: stands in the rule itself; write it under reply:"),
    _in_rule("when: {}", "9 : has no reply; write reply: {text: hello}"),
    _in_rule("reply: hi, replies: [ho]", "10 .reply: stands beside replies; leave one of the two"),
    _in_rule("replies: []", "19 .replies: is empty; write 1 to 100 replies"),
    _in_rule("replies: hi", '19 .replies: "hi" is not a list; write reply: for a single one'),
    _in_rule("replies: ", "19 .replies: has no value; write one or remove the line"),
    _in_rule("reply: [hi, ho]", "17 .reply: this list is no reply; write replies: for several"),
    _in_rule("name: 5, reply: hi", "16 .name: 5 is not text; put it in quotes"),
    _in_rule("name: '', reply: hi", "16 .name: is empty; write a name"),
    _in_rule(f"name: {'x' * 201}, reply: hi", "16 .name: has 201 characters; at most 200"),
    _in_rule('name: "a\\nb", reply: hi', '16 .name: "a\\nb" is not one line of printable characters',
             in_schema=False),
    _in_rule("reply: hi, count: prompts",
             '28 .count: "prompts" is none of rule, prompt, session; did you mean prompt?'),
    _in_rule("reply: hi, after: 3", "28 .after: 3 is none of last, cycle, next"),
    _in_rule("reply: hi, times: 0",
             "28 .times: 0 is not a whole number from 1 to 1,000,000,000"),
    _in_rule("reply: hi, times: '3'",
             '28 .times: "3" is not a whole number from 1 to 1,000,000,000'),
    # when
    _in_rule("reply: a, when: {txt: a}", "27 .when.txt: no such condition; did you mean text?"),
    _in_rule("reply: a, when: hello", '26 .when: "hello" is no condition; write {text: hello}'),
    _in_rule("reply: a, when: [a]", "26 .when: is a list; write all: or any: before it"),
    _in_rule("reply: a, when: ", "26 .when: has no value; write one or remove the line"),
    _in_rule("reply: a, when: {text: {contain: a}}",
             "34 .when.text.contain: no such test of a text; did you mean contains?"),
    _in_rule("reply: a, when: {text: {regex: '(a'}}",
             "41 .when.text.regex: the regex does not compile: missing ) at position 2",
             in_schema=False),
    _in_rule("reply: a, when: {stream: yes}", '35 .when.stream: "yes" is neither true nor false'),
    _in_rule("reply: a, when: {turn: one}",
             '33 .when.turn: "one" is no number; write it as 2 or 0.5, without quotes'),
    _in_rule("reply: a, when: {headers: search}",
             "36 .when.headers: takes names; write {x-team: search}"),
    _in_rule("reply: a, when: {json: {a: 1}}",
             "34 .when.json.a: JSON path 'a' must start with $ (position 0), such as $.model",
             in_schema=False),
    _in_rule("reply: a, when: {dialect: opnai}",
             '36 .when.dialect: "opnai" is no dialect or operation; did you mean openai?',
             in_schema=False),
    _in_rule("reply: a, when: {format: xml}",
             '35 .when.format: "xml" is no format; there are text, json, json_schema'),
    _in_rule("reply: a, when: {any: [{text: a}, {not: {modle: a}}]}",
             "51 .when.any[1].not.modle: no such condition; did you mean model?"),
    # the reply
    _in_rule("reply: ", "17 .reply: has no value; write one or remove the line"),
    _in_rule("reply: 5", "17 .reply: 5 is no reply; write a text, or {text: hello}"),
    _in_rule("reply: {}", "17 .reply: says nothing; write {text: hello}"),
    _in_rule("replies: [hi, {}]", "24 .replies[1]: says nothing; write {text: hello}"),
    _in_rule("reply: {txt: hi}", "18 .reply.txt: no such member of a reply; did you mean text?"),
    _in_rule("reply: {text: hi, times: 3}",
             "28 .reply.times: stands in the rule, not in its reply: write times: there"),
    _in_rule("reply: {text: 5}", "24 .reply.text: 5 is not text; put it in quotes"),
    _in_rule("reply: {text: }", "24 .reply.text: has no value; write one or remove the line"),
    _in_rule("reply: {text: [a]}", "24 .reply.text: must be a text"),
    _in_rule("reply: {finish: end}",
             "26 .reply.finish: must be one of stop, stop_sequence, length, tool_calls, refusal,"
             " content_filter"),
    _in_rule("reply: {usage: {output_token: 3}}",
             "26 .reply.usage.output_token: no such member; did you mean output_tokens?"),
    _in_rule("reply: {usage: {output_tokens: -3}}",
             "41 .reply.usage.output_tokens: must be a whole number"),
    _in_rule("reply: {usage: 3}", "25 .reply.usage: must be an object"),
    _in_rule("reply: {tool_calls: {name: f}}", "30 .reply.tool_calls: must be a list"),
    _in_rule("reply: {tool_calls: [{nmae: f}]}",
             "32 .reply.tool_calls[0].nmae: no such member; did you mean name?"),
    _in_rule("reply: {tool_calls: [{arguments: {}}]}",
             "31 .reply.tool_calls[0]: must be an object with name and arguments"),
    _in_rule("reply: {error: {status: 200}}",
             "34 .reply.error.status: must be a number from 400 to 599"),
    _in_rule("reply: {error: {staus: 429}}",
             "26 .reply.error.staus: no such member; did you mean status?"),
    _in_rule("reply: {error: {headers: {retry-after: 1}}}",
             "49 .reply.error.headers.retry-after: 1 is not text; put it in quotes"),
    _in_rule("reply: {error: {headers: {content-length: '1'}}}",
             "35 .reply.error.headers: 'content-length' cannot be set", in_schema=False),
    _in_rule("reply: {text: a, after_chunks: 3}",
             "27 .reply.after_chunks: says where stream_error comes; write stream_error: beside it"),
    _in_rule("reply: {json_schema: fruit}",
             "31 .reply.json_schema: must be a JSON Schema, or the word request"),
    _in_rule("reply: {echo: please}", "24 .reply.echo: must be true or false"),
    _in_rule("reply: {text: a, raw: {}}",
             "27 .reply.raw: does not stand beside text; leave one of the two"),
    _in_rule("reply: {forward: openai, error: 429}",
             "35 .reply.error: does not stand beside forward; leave one of the two"),
    _in_rule("reply: {recorded: true, text: a}",
             "34 .reply.text: does not stand beside recorded; leave one of the two"),
    _in_rule("reply: {stream_error: 500, raw: {}}",
             "18 .reply.stream_error: does not stand beside raw; leave one of the two"),
    # raw, recorded, forwarded
    _in_rule("reply: {raw: hi}",
             '23 .reply.raw: "hi" is not a mapping; write {status: 200, body: hello}'),
    _in_rule("reply: {raw: {status: 100}}",
             "32 .reply.raw.status: 100 is not a whole number from 200 to 599"),
    _in_rule("reply: {raw: {heders: {}}}",
             "24 .reply.raw.heders: no such member; did you mean headers?"),
    _in_rule("reply: {raw: {status: 204, body: hi}}",
             "37 .reply.raw.body: a reply with status 204 has no body", in_schema=False),
    _in_rule("reply: {raw: {status: 304, template: hi}}",
             "37 .reply.raw.template: a reply with status 304 has no body", in_schema=False),
    _in_rule("reply: {raw: {body: a, template: b}}",
             "33 .reply.raw.template: stands beside body; leave one of the two"),
    _in_rule("reply: {raw: {headers: {x-n: 3}}}",
             "39 .reply.raw.headers.x-n: 3 is not text; put it in quotes"),
    _in_rule("reply: {raw: {headers: {x-n: ä}}}",
             "39 .reply.raw.headers.x-n: must be one line of printable ASCII", in_schema=False),
    _in_rule("reply: {raw: {headers: {a b: c}}}",
             "33 .reply.raw.headers: 'a b' cannot be set", in_schema=False),
    _in_rule("reply: {raw: {headers: [a]}}", "33 .reply.raw.headers: must be an object"),
    _in_rule("reply: {cassette: run.db}",
             "18 .reply.cassette: stands alone; write interaction: 12 beside it"),
    _in_rule("reply: {interaction: 3}",
             "18 .reply.interaction: stands alone; write cassette: run.db beside it"),
    _in_rule("reply: {cassette: run.db, interaction: 0}",
             "49 .reply.interaction: 0 is not a whole number from 1 to 1,000,000,000"),
    _in_rule("reply: {cassette: 7, interaction: 1}",
             "28 .reply.cassette: 7 is not text; put it in quotes"),
    _in_rule("reply: {recorded: true, interaction: 1}",
             "34 .reply.interaction: stands beside recorded; leave one of the two"),
    _in_rule("reply: {recorded: false}", "28 .reply.recorded: false is not true; write true"),
    _in_rule("reply: {forward: 'open ai'}",
             '27 .reply.forward: "open ai" is not a name for an upstream; write letters, digits,'
             " - and _"),
    # templates
    _in_rule("reply: {template: '{{ modle }}'}",
             '28 .reply.template: at position 0: no such word: "modle"; did you mean model?',
             in_schema=False),
    _in_rule("reply: {template: 'a {{ model'}",
             '28 .reply.template: at position 2: {{ is never closed; {{ "{{" }} writes the braces',
             in_schema=False),
    _in_rule("reply: {template: '{{ header cookie }}'}",
             "28 .reply.template: at position 0: the header cookie holds a credential, which no"
             " reply may tell", in_schema=False),
    _in_rule("reply: {raw: {template: '{{ json a }}'}}",
             '34 .reply.raw.template: at position 0: JSON path "a" must start with $ (position 0),'
             " such as $.model", in_schema=False),
    _in_rule("reply: {template: a, text: b}",
             "31 .reply.text: stands beside template; leave one of the two"),
    _in_rule("reply: {template: 3}", "28 .reply.template: 3 is not text; put it in quotes"),
    # the pace
    _in_rule("reply: a, pace: fast",
             '26 .pace: "fast" is not a pace; write instant or {tokens_per_second: 40}'),
    _in_rule("reply: a, pace: 2x",
             '26 .pace: "2x" is for recorded replies; write instant or {tokens_per_second: 40}',
             in_schema=False),
    _in_rule("reply: {forward: openai}, pace: instant",
             "36 .pace: an upstream's reply comes as it comes; remove the pace", in_schema=False),
    _in_rule("reply: a, pace: {ttfs: 1}", "27 .pace.ttfs: no such member; did you mean ttft?"),
    _in_rule("reply: a, pace: {ttft: soon}",
             '33 .pace.ttft: "soon" is not a duration; write 500ms, 10s, 2m or 1h'),
    _in_rule("reply: a, pace: {jitter: 2}", "35 .pace.jitter: 2 is not between 0 and 1"),
    _in_rule("reply: a, pace: {chunk_unit: letter}",
             '39 .pace.chunk_unit: "letter" is none of token, word, char'),
    _in_rule("reply: a, pace: {}",
             "26 .pace: says nothing; write {tokens_per_second: 40} or remove the line"),
    # mockllm
    _in_responses("responses: [a]",
             "rules.yml:1:12: responses: this list is not a mapping; write key: value below it"),
    _in_responses("response: {a: b}",
             "rules.yml:1:1: response: no such key; did you mean responses?"),
    _in_responses("defaults: {}",
             "rules.yml:1:1: responses: is missing; write responses: and prompts below it"),
    _in_responses("responses: {a: }", "rules.yml:1:16: responses.a: has no value; write one or remove the line"),
    _in_responses("responses: {a: [b]}",
             "rules.yml:1:16: responses.a: this list is not text; write the response in quotes"),
    _in_responses("responses: {}\nsetings: {}",
             "rules.yml:2:1: setings: no such key in a file of responses; did you mean settings?"),
    _in_responses("responses: {}\ndefaults: {unknown_response: }",
             "rules.yml:2:30: defaults.unknown_response: has no value; write one or remove the line"),
    _in_responses("responses: {}\nsettings: {lag_enabled: maybe, lag_factor: 0}",
             'rules.yml:2:25: settings.lag_enabled: "maybe" is neither true nor false',
             "rules.yml:2:44: settings.lag_factor: 0 is not a number above 0; write one such as 10"),
)  # fmt: skip
