"""llmproxy: a record-and-replay HTTP proxy for LLM APIs."""

__version__ = "0.1.0"
