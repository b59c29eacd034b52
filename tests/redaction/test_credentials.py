"""What a request carries is known, and what is only a word is no secret."""

from __future__ import annotations

import base64

import pytest

from llmproxy.redaction.credentials import (
    header_secrets,
    looks_plain,
    parameter_secrets,
    secrets_in,
)
from made_up_secrets import OPENAI_KEY, mixed


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("authorization", f"Bearer {OPENAI_KEY}", [OPENAI_KEY]),
        ("authorization", f"bearer  {OPENAI_KEY} ", [OPENAI_KEY]),
        ("authorization", OPENAI_KEY, [OPENAI_KEY]),
        ("x-api-key", OPENAI_KEY, [OPENAI_KEY]),
        ("x-api-key", f"Bearer {OPENAI_KEY}", [OPENAI_KEY]),
        ("authorization", "Bearer correct-horse-battery", ["correct-horse-battery"]),
        (
            "authorization",
            f"Basic {basic('ann', 'pässword-9')}",
            ["pässword-9", basic("ann", "pässword-9")],
        ),
        ("authorization", "Basic no base64 at all", []),
        ("cookie", f"theme=dark-mode-2; session={mixed(20)}; a", [mixed(20)]),
        (
            "authorization",
            f"AWS4-HMAC-SHA256 Credential={mixed(20)}/x, SignedHeaders=host;date, Signature={'0f' * 16}",
            [f"{mixed(20)}/x", "0f" * 16],
        ),
    ],
)
def test_a_header_gives_up_its_secrets(name: str, value: str, expected: list[str]) -> None:
    assert list(header_secrets(name, value)) == expected


@pytest.mark.parametrize("value", ["test", "1234567", "anything", "Password", "12345678901234", ""])
def test_a_dummy_key_is_no_secret(value: str) -> None:
    assert list(header_secrets("authorization", f"Bearer {value}")) == []
    assert list(parameter_secrets(value)) == []


def test_a_parameter_is_a_secret_quoted_and_unquoted() -> None:
    assert list(parameter_secrets("a%2Fb9c%2Bdef")) == ["a%2Fb9c%2Bdef", "a/b9c+def"]


PLAIN_VALUES = [
    "true",
    "disabled",
    "8192",
    "1234567890123456",
    "1.5e-3",
    "us-east-1",
    "claude-sonnet-4-5-20250929",
    "gpt-4o-mini",
    "o200k_base",
    "my-secret-token",
    "accessTokenName",
    "/home/ann/.ssh/id_ed25519",
    "~/.config/key.json",
    "./secrets/key.pem",
    r"C:\Users\ann\key.pem",
    "https://vault.example.com/v1/Ab3dE6gH9",
    "2025-11-20",
    "short7!",
]


@pytest.mark.parametrize("value", PLAIN_VALUES)
def test_a_plain_value_of_a_variable_is_no_secret(value: str) -> None:
    assert secrets_in({"MY_TOKEN": value}) == ()


SECRET_VALUES = [
    OPENAI_KEY,
    mixed(8),
    "0a1b2c3d" * 4,
    "Pa$$w0rd!23",
    "abcdefghijklmnopqrstuvwxyz",
    "6f1c2e8a-0d3b-4a59-8c7e-2b1f0a9d8e7c",
    "/" + mixed(20) + "/" + mixed(19),
]


@pytest.mark.parametrize("value", SECRET_VALUES)
def test_a_random_value_of_a_telling_variable_is_a_secret(value: str) -> None:
    for name in ("OPENAI_API_KEY", "github_token", "MySecret"):
        assert secrets_in({name: value, "PATH": "/bin", "EDITOR": mixed(20)}) == (value,)


def test_a_value_may_hold_several_secrets() -> None:
    first, second = mixed(12), mixed(13)
    assert secrets_in({"API_KEYS": f'{first}, "{second}";plain'}) == (first, second)


@pytest.mark.parametrize("text", ["", "a-b_c.d", "gpt-4o", "Folding Cube", "o3-mini-high"])
def test_words_look_plain(text: str) -> None:
    assert looks_plain(text)


@pytest.mark.parametrize("text", ["0a1b2c3d", "AB12-CD34-EF56-GH78", "a" * 16, "pä", "x=1"])
def test_other_texts_do_not(text: str) -> None:
    assert not looks_plain(text)
