"""Tokens that say what they are go; near misses and opaque data stay."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.redaction.edits import splice
from llmproxy.redaction.shapes import find_private_keys, find_shapes
from made_up_secrets import OPENAI_KEY, SHAPES, jwt, mixed, pem


def clean(text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")
    data, _ = splice(data, find_private_keys(data))
    data, _ = splice(data, find_shapes(data))
    return data.decode("utf-8", "surrogateescape")


AROUND = {
    "alone": "{}",
    "in a sentence": "my key is {}, keep it",
    "at the end of a sentence": "it is {}. Keep it",
    "in an environment file": "API_KEY={}\nDEBUG=1",
    "in JSON": '{{"a": "{}"}}',
    "in JSON in JSON": r'{{"arguments": "{{\"a\": \"{}\"}}"}}',
    "behind a line break in JSON": r'{{"a": "the key:\n{}\nkeep it"}}',
    "behind a line break in JSON in JSON": r'{{"a": "\\n{}\\n"}}',
    "behind an escaped character": r'{{"a": "\u00e9{}"}}',
    "emphasised": "use **{}** here",
    "in a URL": "https://example.com/v1/models?x=1&y={}&z=2",
    "percent-encoded": "x%3D{}",
    "in a path": "/v1/models/{}/x",
    "in a shell": 'curl -H "Authorization: Bearer {}" https://example.com',
}


@pytest.mark.parametrize("secret", SHAPES.values(), ids=SHAPES)
def test_a_secret_of_a_known_shape_goes(secret: str) -> None:
    for name, around in AROUND.items():
        written = secret.replace("\n", r"\n") if around.startswith("{{") else secret
        assert clean(around.format(written)) == around.format("<redacted>"), name


NEAR_MISSES = {
    "a task": "task-" + mixed(48),
    "a risk": "risk-" + "abcdefghijklmnopqrstuvwxyz",
    "inside base64url": "gAAAAB" + mixed(60) + "-" + OPENAI_KEY + mixed(20),
    "behind an underscore": "my_" + "gsk_" + mixed(52),
    "names with dashes": "sk-" + "folding-cube-1-container",
    "a name for tests": "sk-" + "my-key-for-local-tests-v2",
    "a masked word": "task-****-" + mixed(20),
    "too short": "sk-" + mixed(12),
    "a Google key in base64": mixed(9) + "/" + "AIza" + mixed(35) + "=",
    "too long for a Google key": "AIza" + mixed(36),
    "too short for a Google key": "AIza" + mixed(34),
    "lower case in an AWS id": "AKIA" + "ab12cd34" * 2,
    "an AWS id in base64": mixed(9) + "+" + "AKIA" + "AB12CD34" * 2 + "/" + mixed(20),
    "a JWT of two parts": jwt().rpartition(".")[0],
    "a token of five parts": jwt() + "." + mixed(20) + "." + mixed(20),
    "three parts that are no JSON": jwt(b"what is this, no JSON at all"),
    "three parts that are a list": jwt(b'["a list is no head of a JWT"]'),
    "a public key": pem().replace("PRIVATE", "PUBLIC"),
    "a private key that is only spoken of": "-----BEGIN PRIVATE KEY-----\nand so on, you know",
    "an organisation's name": "org-" + "structure-and-governance",
    "a short organisation": "org-" + "mode",
    "a variable": "proj_" + "configuration_file_name",
    "a model": "claude-sonnet-4-5-20250929",
    "a call": "call_" + mixed(24),
    "a message": "msg_" + mixed(40),
    "a uuid": "6f1c2e8a-0d3b-4a59-8c7e-2b1f0a9d8e7c",
    "a hash": "0a1b2c3d" * 8,
    "a placeholder": "Bearer $OPENAI_API_KEY",
    "dots of a document": "api_key='sk-...'",
    "a number": "0.0123456789012345678901234567890",
    "a plain parameter": "https://example.com/?key=your-api-key-goes-here&x=1",
}


@pytest.mark.parametrize("text", NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_a_near_miss_stays(text: str) -> None:
    assert clean(text) == text
    assert clean(json.dumps({"a": text})) == json.dumps({"a": text})


@pytest.mark.parametrize(
    "field",
    [
        '{{"type":"thinking","signature":"{}"}}',
        '{{"thoughtSignature": "{}"}}',
        '{{"thought_signature":"{}"}}',
        '{{"type":"reasoning","encrypted_content":"{}"}}',
        '{{"type":"redacted_thinking","data":"{}"}}',
        '{{"data":"{}","type":"redacted_thinking"}}',
        '{{"type":"base64","media_type":"image/png","data":"{}"}}',
        '{{"inlineData":{{"data":"{}","mimeType":"image/png"}}}}',
        '{{"input_audio":{{"data":"{}","format":"wav"}}}}',
        '{{"url":"data:image/png;base64,{}"}}',
        r'{{"arguments":"{{\"signature\":\"{}\"}}"}}',
    ],
)
def test_opaque_data_is_never_touched(field: str) -> None:
    text = field.format(OPENAI_KEY)
    assert clean(text) == text


def test_a_field_that_is_only_called_data_is_no_opaque_one() -> None:
    assert clean(json.dumps({"data": OPENAI_KEY})) == json.dumps({"data": "<redacted>"})


def test_a_field_behind_an_opaque_one_is_looked_at() -> None:
    text = '{"signature": "abc", "text": "%s"}'
    assert clean(text % OPENAI_KEY) == text % "<redacted>"


@pytest.mark.parametrize("name", ["sig", "X-Amz-Signature", "key", "token", "access_token"])
@pytest.mark.parametrize("ampersand", ["&", r"\u0026"])
def test_the_signature_of_a_url_that_is_quoted_goes(name: str, ampersand: str) -> None:
    url = f'{{"url": "https://example.com/a.png?se=2026-01-01{ampersand}{name}=%s{ampersand}x=1"}}'
    secret = mixed(10) + "%2B" + mixed(10) + "%2F" + mixed(10)
    assert clean(url % secret) == url % "<redacted>"


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_left_as_they_are(data: bytes) -> None:
    text = base64.b64encode(data) + b" " + base64.urlsafe_b64encode(data) + b" " + data
    assert find_shapes(text) == []


HOSTILE = ["sk-", "eyJ.", "*", "a*", "sk-a***", "-----BEGIN PRIVATE KEY-----", "&key=", "=", "AQ."]
HOSTILE += [
    '"data":"' + OPENAI_KEY + " ",
    OPENAI_KEY + " ",
    "\\",
    "sk-...",
    "ya29.",
    "a" * 18 + " ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    data = (unit * (200_000 // len(unit))).encode()
    began = time.process_time()
    find_private_keys(data)
    find_shapes(data)
    assert time.process_time() - began < 2
