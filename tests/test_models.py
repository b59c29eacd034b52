"""The models known without a provider."""

from __future__ import annotations

from llmproxy.models import KNOWN, Catalogue, Model


def test_ids_are_unique() -> None:
    ids = [model.id for model in KNOWN]
    assert len(set(ids)) == len(ids)


def test_002_9_and_003_1_and_004_16_are_listed_with_their_owners() -> None:
    owners = {model.id: model.owner for model in Catalogue().of("openai")}
    for id in ("gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-3.5-turbo"):
        assert owners[id] == "mock-server"
    assert owners["mock-gpt4"] == "mock"
    for id in ("llama-3-8b", "llama-3-70b", "codellama-13b", "codellama-34b", "deepseek-r1"):
        assert owners[id] == "openai-stream-mocker"
    for id in ("gpt-3.5-turbo-16k", "gpt-4", "gpt-4-32k", "claude-2", "claude-instant"):
        assert owners[id] == "openai-stream-mocker"


def test_a_family_lists_its_own_only() -> None:
    for family, id in (
        ("anthropic", "claude-sonnet-5"),
        ("gemini", "gemini-2.5-flash"),
        ("ollama", "llama3.2:latest"),
    ):
        found = Catalogue().of(family)  # type: ignore[arg-type]  # a Literal
        assert id in {model.id for model in found}
        assert {model.family for model in found} == {family}


def test_embedding_models_know_the_length_of_their_vectors() -> None:
    sizes = {model.id: model.dimensions for model in KNOWN if model.dimensions}
    assert sizes == {
        "text-embedding-3-small": 1536,
        "text-embedding-3-large": 3072,
        "text-embedding-ada-002": 1536,
        "gemini-embedding-001": 3072,
        "nomic-embed-text:latest": 768,
    }


def test_a_name_without_a_tag_finds_the_latest() -> None:
    found = Catalogue().find("llama3.2")
    assert found is not None
    assert found.id == "llama3.2:latest"
    assert Catalogue().find("llama3.2:1b") is None


def test_any_name_exists_unless_the_catalogue_is_strict() -> None:
    strict = Catalogue((Model("mine"),), strict=True)
    assert Catalogue().exists("whatever")
    assert strict.exists("mine")
    assert strict.exists("whatever:7b")
    assert not strict.exists("gpt-4o")
