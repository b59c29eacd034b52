"""Secrets that nobody has: put together here, so that no scanner takes this file for a leak."""

from __future__ import annotations

import base64
import json

MIXED = "Ab3dE6gH9"
"""Repeated to any length: letters of both cases and digits."""


def mixed(length: int) -> str:
    return (MIXED * (length // len(MIXED) + 1))[:length]


def jwt(head: bytes = b'{"alg":"HS256","typ":"JWT"}') -> str:
    parts = (head, json.dumps({"sub": mixed(12)}).encode(), mixed(32).encode())
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def pem(kind: str = "") -> str:
    lines = "\n".join([mixed(64)] * 3)
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}==\n-----END {kind}PRIVATE KEY-----"


OPENAI_KEY = "sk-" + "proj-" + mixed(48)

SHAPES = {
    "openai": "sk-" + mixed(48),
    "openai project": OPENAI_KEY,
    "openai service account": "sk-" + "svcacct-" + mixed(40) + "_" + mixed(20),
    "openai admin": "sk-" + "admin-" + mixed(40),
    "anthropic": "sk-" + "ant-api03-" + mixed(40) + "-" + mixed(20) + "AA",
    "anthropic oauth": "sk-" + "ant-oat01-" + mixed(60),
    "openrouter": "sk-" + "or-v1-" + "0a1b2c3d" * 8,
    "deepseek": "sk-" + "0a1b2c3d" * 4,
    "letters only": "sk-" + "abcdefghijklmnopqrstuvwxyz",
    "groq": "gsk_" + mixed(52),
    "xai": "xai-" + mixed(80),
    "hugging face": "hf_" + mixed(34),
    "replicate": "r8_" + mixed(37),
    "perplexity": "pplx-" + mixed(48),
    "nvidia": "nvapi-" + mixed(40) + "-" + mixed(23),
    "github": "ghp_" + mixed(36),
    "github oauth": "gho_" + mixed(36),
    "github fine-grained": "github_" + "pat_" + mixed(22) + "_" + mixed(59),
    "gitlab": "glpat-" + mixed(20),
    "slack": "xoxb-" + "123456789012-1234567890123-" + mixed(24),
    "aws": "AKIA" + "AB12CD34" * 2,
    "aws temporary": "ASIA" + "AB12CD34" * 2,
    "google": "AIza" + mixed(35),
    "google new": "AQ." + mixed(50),
    "google oauth": "ya29." + mixed(60),
    "jwt": jwt(),
    "openai organisation": "org-" + mixed(24),
    "openai project id": "proj_" + mixed(24),
    "masked": "sk-" + "proj-" + "*" * 20 + "h9Ab",
    "elided": "sk-" + "...h9Ab",
    "pem": pem(),
    "pem of a kind": pem("RSA "),
}
"""A secret of each shape, by its issuer."""
