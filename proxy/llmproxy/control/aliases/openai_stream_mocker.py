"""The routes of openai-stream-mocker: speeds of models, a time limit, lengths of replies.

A model's entry is one of ``models.table``, the default speed is ``pace.tokens_per_second``, the
time limit is ``pace.max_stream_time``. Its ``GET /`` is not served: that path is Ollama's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmproxy.control import config
from llmproxy.control.route import Call, Refused, Route
from llmproxy.control.served import Served
from llmproxy.speeds import ModelSettings
from llmproxy.synthesis.text import TOKENS, preview
from llmproxy.units import format_duration

DEFAULT = "default"
_PREVIEW = 50
_DURATION = "duration_seconds in a request sizes its reply to the model's speed"
_MODEL_FIELDS = ("tokens_per_second", "parameters", "description")
_DEFAULT_ABOUT = "the speed of models that have none of their own"


async def _lengths(_served: Served, _call: Call) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: {"token_estimate": tokens, "preview": preview(name)[:_PREVIEW]}
        for name, tokens in TOKENS.items()
    }
    return {**found, "duration": _DURATION}


def _told(served: Served) -> dict[str, Any]:
    return {
        "default": _default(served),
        "models": {name: _model(entry) for name, entry in served.live.manner.paces.items()},
    }


def _default(served: Served) -> dict[str, Any]:
    pace = served.live.configuration.settings.pace
    return {"tokens_per_second": pace.tokens_per_second, "description": _DEFAULT_ABOUT}


def _model(entry: ModelSettings) -> dict[str, Any]:
    limit = entry.max_stream_time
    return {
        "tokens_per_second": entry.speed,
        "description": entry.description,
        "parameters": entry.parameters,
    } | ({} if limit is None else {"max_stream_time_seconds": limit})


async def _read(served: Served, _call: Call) -> dict[str, Any]:
    return _told(served)


async def _read_model(served: Served, call: Call) -> dict[str, Any]:
    name = call.variables["model"]
    if name == DEFAULT:
        return _default(served)
    entry = served.live.manner.paces.get(name)
    if entry is None:
        raise _refused(404, f"Model {name} not found"[:300])
    return _model(entry)


async def _change(served: Served, call: Call) -> dict[str, Any]:
    body = _object(call.body)
    model = body.get("model")
    given = {name: body[name] for name in _MODEL_FIELDS if body.get(name) is not None}
    if model is not None:
        if not isinstance(model, str):
            raise _refused(400, "model must be the name of a model, in quotes")
        await config.change(served, {"models": {"table": _with_model(served, model, given)}})
        said = f"Configuration of {model} updated"
        return {"status": "success", "message": said, **_told(served)}
    if "tokens_per_second" in given:
        await config.change(served, {"pace": {"tokens_per_second": given["tokens_per_second"]}})
        said = "Default tokens_per_second updated"
        return {"status": "success", "message": said, **_told(served)}
    return {"status": "success", "message": "No changes made", **_told(served)}


def _with_model(served: Served, model: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The table of models as ``proxy.yml`` has it, with one of them added or changed."""
    table = _table(served)
    before = table.get(model) or _written(served.live.manner.paces.get(model, ModelSettings()))
    if "parameters" in changes and "tokens_per_second" not in changes:
        before.pop("tokens_per_second", None)  # the speed follows from the size
    return {**table, model: {**before, **changes}}


def _table(served: Served) -> dict[str, Any]:
    table = served.live.configuration.settings.models.table
    return {name: _written(entry) for name, entry in table.items()}


def _written(entry: ModelSettings) -> dict[str, Any]:
    """A model's entry as ``proxy.yml`` has it."""
    times = {
        name: format_duration(value)
        for name in ("ttft", "max_stream_time")
        if (value := getattr(entry, name)) is not None
    }
    numbers = {
        name: value
        for name in ("tokens_per_second", "parameters")
        if (value := getattr(entry, name)) is not None
    }
    about = {"description": entry.description} if entry.description else {}
    return {**numbers, **times, **about}


async def _reload(served: Served, _call: Call) -> dict[str, Any]:
    live = served.live
    if live.follows and not await live.reload():
        raise Refused(400, "nothing was changed", {"problems": live.problem.split("\n")})
    said = "Configuration reloaded" if live.follows else "There is no file to read again"
    return {"status": "success", "message": said, **_told(served)}


async def _limit_time(served: Served, call: Call) -> dict[str, Any]:
    body = _object(call.body)
    await config.change(served, {"pace": {"max_stream_time": _limit(served, body, "max_seconds")}})
    return {"status": "success", **_limits_told(served)}


async def _control_time(served: Served, call: Call) -> dict[str, Any]:
    body = _object(call.body)
    models = body.get("model_settings") or {}
    if not isinstance(models, dict):
        raise _refused(400, "model_settings must be an object: {model: seconds}")
    table = _table(served)
    for name, said in models.items():
        seconds = said.get("max_stream_time_seconds") if isinstance(said, dict) else said
        table[name] = {**table.get(name, {}), "max_stream_time": seconds}
    changes: dict[str, Any] = {"pace": {"max_stream_time": _limit(served, body, "global_seconds")}}
    if models:
        changes["models"] = {"table": table}
    await config.change(served, changes)
    return {"status": "success", **_limits_told(served)}


def _limit(served: Served, body: Mapping[str, Any], name: str) -> Any:
    """The time limit that is asked for: none where it shall not be enforced."""
    if body.get("enforce", True) is False:
        return None
    now = served.live.configuration.settings.pace.max_stream_time
    return body[name] if body.get(name) is not None else now


def _limits_told(served: Served) -> dict[str, Any]:
    settings = served.live.configuration.settings
    seconds = settings.pace.max_stream_time
    own = {name: each.max_stream_time for name, each in settings.models.table.items()}
    return {
        "enforce_time_limit": seconds is not None,
        "max_stream_time_seconds": seconds,
        "models": {name: limit for name, limit in own.items() if limit is not None},
    }


async def _debug(served: Served, _call: Call) -> dict[str, Any]:
    return {**_limits_told(served), "settings": config.shown(served.live.configuration.settings)}


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise _refused(400, "Request body must be an object")
    return body


def _refused(status: int, message: str) -> Refused:
    """With ``detail``, where clients of that server look."""
    return Refused(status, message, {"detail": message})


_BODY = {"type": "object"}
ROUTES = (
    Route("GET", "/responses", _lengths, "Lengths of replies", strict=False),
    Route("GET", "/config", _read, "Speeds of all models", strict=False),
    Route("GET", "/config/{model}", _read_model, "The speed of a model", strict=False),
    Route("POST", "/config", _change, "Set a model's speed, or the default", {}, _BODY),
    Route("POST", "/config/reload", _reload, "Read the configuration again", strict=False),
    Route("POST", "/config/time-limit", _limit_time, "Limit the time of streams", {}, _BODY),
    Route("POST", "/config/time-control", _control_time, "The same, by model", {}, _BODY),
    Route("GET", "/debug/settings", _debug, "The settings in force", strict=False),
)
