"""Names say which headers and parameters hold secrets."""

from __future__ import annotations

import pytest

from llmproxy.redaction.edits import splice
from llmproxy.redaction.names import (
    HeaderKinds,
    find_form_fields,
    find_in_text,
    find_multipart_fields,
    is_credential_header,
    is_credential_parameter,
    is_identifier_header,
    normal_names,
    query_credentials,
    without_credentials,
)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "X-Api-Key",
        "api-key",
        "x-goog-api-key",
        "X_API_KEY",
        "Ocp-Apim-Subscription-Key",
        "x-amz-security-token",
        "X-Auth-Token",
        "x-csrf-token",
        "my-client-secret",
        "x-password",
        "x-credential",
        "X-ApiKey",
        "idempotency-key",
    ],
)
def test_a_header_that_lets_somebody_in_is_a_credential(name: str) -> None:
    assert is_credential_header(name)
    assert HeaderKinds()[name] == "credential"


@pytest.mark.parametrize(
    "name",
    [
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-limit-tokens_usage_based",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "llm_provider-x-ratelimit-remaining-tokens",
        "x-amzn-bedrock-input-token-count",
        "access-control-allow-credentials",
        "openai-processing-ms",
        "openai-version",
        "content-type",
        "user-agent",
        "retry-after",
        "x-request-id",
        "x-keyboard",
    ],
)
def test_a_header_about_tokens_or_nothing_secret_is_none(name: str) -> None:
    assert not is_credential_header(name)


@pytest.mark.parametrize(
    "name",
    [
        "OpenAI-Organization",
        "openai-project",
        "X-Request-Id",
        "request-id",
        "CF-RAY",
        "anthropic-organization-id",
        "anthropic-workspace-id",
        "apim-request-id",
        "x-ms-region",
        "x-goog-user-project",
    ],
)
def test_a_header_that_says_whose_or_which_is_an_identifier(name: str) -> None:
    assert is_identifier_header(name)
    assert HeaderKinds()[name] == "identifier"


def test_further_names_are_credentials_however_they_are_written() -> None:
    kinds = HeaderKinds(normal_names(("My_Header",)))
    assert (kinds["my-header"], kinds["MY_HEADER"], kinds["mine"]) == (
        "credential",
        "credential",
        "other",
    )


@pytest.mark.parametrize(
    "name",
    ["key", "api_key", "API-KEY", "access_token", "sig", "token", "X-Amz-Signature", "api%5Fkey"],
)
def test_a_parameter_that_is_a_credential_leaves_the_query(name: str) -> None:
    assert is_credential_parameter(name)
    query = f"alt=sse&{name}=abc%2Fdef&pageToken=x&key"
    assert without_credentials(query) == "alt=sse&pageToken=x"
    assert list(query_credentials(query)) == ["abc%2Fdef", ""]
    assert without_credentials(f"{name}=x") == without_credentials("") == ""


def test_other_parameters_stay_as_they_came() -> None:
    query = "b=%7e&&a=1+2&pageToken=t&max_tokens=5&=&x"
    assert without_credentials(query) is query


def test_a_further_parameter_leaves_too() -> None:
    assert without_credentials("a=1&my_sig=2", normal_names(("My-Sig",))) == "a=1"


def test_a_form_keeps_its_fields_and_loses_their_values() -> None:
    data = b"grant_type=x&client_secret=abc&&password=&token=<redacted>&token&refresh_token=a%2Fb"
    assert splice(data, find_form_fields(data))[0] == (
        b"grant_type=x&client_secret=<redacted>&&password=<redacted>"
        b"&token=<redacted>&token&refresh_token=<redacted>"
    )


@pytest.mark.parametrize(
    "line",
    [
        "api_key: {}",
        "API-KEY={}",
        "{{'password': '{}'}}",
        '{{"client_secret": "{}", "x": 1}}',
        "Authorization: Bearer {}",
        "got header authorization='Basic {}'",
        "bearer {} was refused",
        "https://example.com/?key={}&x=1",
    ],
)
def test_what_stands_behind_a_telling_name_in_a_log_goes(line: str) -> None:
    data = line.format("0a1b2c3d4e").encode()
    clean = splice(data, find_in_text(data))[0]
    assert clean == line.format("<redacted>").encode()
    assert find_in_text(clean) == []


@pytest.mark.parametrize(
    "line",
    ["max_tokens: 4096", "the token: something else", "secret=<redacted>", "password: short"],
)
def test_plain_words_in_a_log_stay(line: str) -> None:
    assert find_in_text(line.encode()) == []


def test_a_multipart_body_of_many_parts_is_read_in_linear_time() -> None:
    part = b'\r\nContent-Disposition: form-data; name="api_key"\r\n\r\nx'
    for hostile in (b"--a\r\n" + part * 40_000, b"--a\r\n" + part[:-5] * 40_000, b"--a" * 400_000):
        assert len(find_multipart_fields(hostile)) <= 1
