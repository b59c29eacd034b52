"""A whole service put together: from settings and a command to a server that listens.

Here the mode is read, once: it becomes the tuple of responders. Everything that is opened is
closed in the reverse order, so that a recording ends as one whole file.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from llmproxy.addressing import local_lines
from llmproxy.asked import Asked
from llmproxy.cassette import Cassette
from llmproxy.configuration import Configuration
from llmproxy.control import Control, Served
from llmproxy.control.guard import Guard, guard_for
from llmproxy.dresser import Dresser
from llmproxy.errors import CassetteError, SettingsError, UpstreamFailed
from llmproxy.forward import Forwarder, ForwardSettings
from llmproxy.inquiry import Reader
from llmproxy.interaction import Reply
from llmproxy.journal import Journal
from llmproxy.keeping import Keeper, keeper_for
from llmproxy.limiter import Limiter
from llmproxy.listener import Listener, listen
from llmproxy.live import Live
from llmproxy.maker import Maker
from llmproxy.manners import rhythm_words
from llmproxy.metrics import Queue
from llmproxy.misses import Misses
from llmproxy.pacing import Pace
from llmproxy.recorder import Recorder
from llmproxy.replayer import Replayer, Shelf
from llmproxy.responders import Refusal, Relay, Responder, unknown
from llmproxy.rule_responder import RuleResponder
from llmproxy.server import Proxy
from llmproxy.sessions import Sessions
from llmproxy.settings import Settings
from llmproxy.synthesizer import Synthesizer
from llmproxy.tokens import packaged
from llmproxy.upstreams import KNOWN, Upstream, parse_upstream, parse_upstreams
from llmproxy.watcher import watching
from llmproxy.wheel import Wheel

Command = Literal["record", "replay", "mock"]

VIA = ("Via", "1.1 llmproxy")
MOST_HOPS = 3
"""What a rule forwards says that it came by here; so often at the most."""

MOST_NAMED = 100
"""Cassettes that rules name and that are open at the same time."""

MOCKED = ("openai", "anthropic", "gemini")
"""The upstreams in whose place ``mock`` answers, with Ollama."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve: ``cassettes`` are read by replay; record writes the one it names.

    ``again`` reads the configuration once more, when one of its files has changed.
    """

    command: Command
    configuration: Configuration
    upstreams: tuple[str, ...] = ()
    cassettes: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    again: Callable[[], Configuration] | None = None

    @property
    def settings(self) -> Settings:
        return self.configuration.settings


@dataclass(slots=True)
class Service:
    """A service that listens."""

    plan: Plan
    listener: Listener
    guard: Guard
    journal: Journal
    shelves: tuple[Shelf, ...]
    upstreams: tuple[Upstream, ...]
    recorder: Recorder | None
    dresser: Dresser
    recorded_before: int = 0
    made_up: str = ""
    """What the banner says of made-up replies."""

    @property
    def url(self) -> str:
        return self.listener.url

    @property
    def failed(self) -> bool:
        """Whether something that should have been recorded could not be written."""
        return self.recorder is not None and self.recorder.failed > 0

    def banner(self) -> str:
        """The first lines: what runs where, with what, and the lines to copy."""
        lines = [f"llmproxy {self.plan.command} on {self.url}"]
        if self.recorder is not None:
            lines.append(self._recording_line())
        if rules := self.plan.configuration.rules:
            names = ", ".join(dict.fromkeys(rule.place.partition(":")[0] for rule in rules))
            lines.append(f"  {len(rules)} rule{'s' * (len(rules) != 1)} first ({names})")
        for shelf in self.shelves if self.recorder is None else ():
            cassette = shelf.cassette
            made = f" (fingerprints made anew for {cassette.rebuilt})" if cassette.rebuilt else ""
            lines.append(f"  {cassette.path}: {_count(cassette.count)}{made}")
        if self.made_up:
            lines.append(f"  {self.made_up}")
        lines += [f"  {line}" for line in local_lines(self.upstreams, self.url)]
        if self.plan.command == "mock":
            lines.append(f"  export OLLAMA_HOST={self.url}")
        if self.guard.token is not None:
            lines.append(f"  {self._token_line()}")
        lines.append("  Ctrl-C finishes what is in flight and ends")
        return "\n".join(lines)

    def _token_line(self) -> str:
        """How control routes are reached; a token that somebody chose is not shown."""
        if self.plan.settings.control.token is not None:
            return "control routes want the token that is set, as x-llmproxy-token"
        return f"control routes want x-llmproxy-token: {self.guard.token}"

    def _recording_line(self) -> str:
        assert self.recorder is not None
        to = ", ".join(f"{u.name} ({u.origin}{u.base_path})" for u in self.upstreams)
        line = f"  {to} → {self.recorder.path}"
        if self.recorded_before and self.plan.settings.record.mode == "new_episodes":
            return f"{line}: {self.recorded_before} already there will be replayed; --mode all records anew"
        if self.recorded_before:
            return f"{line}: its {_count(self.recorded_before)} will be replaced at the end"
        return line

    def summary(self) -> str:
        """The last lines: how many requests were answered how, and what was not kept."""
        journal, recorder = self.journal, self.recorder
        parts = []
        if recorder is not None:
            parts.append(f"{recorder.kept} recorded")
        replayed = journal.sources["replayed"]
        if replayed or self.plan.command == "replay":
            parts.append(f"{replayed} replayed")
        if journal.repeated:
            parts.append(f"{journal.repeated} of them repeated")
        if journal.missed or self.plan.command == "replay":
            parts.append(f"{journal.missed} missed")
        made_up = journal.sources["synthesized"]
        if made_up or self.plan.command == "mock":
            were = "replies were" if made_up != 1 else "reply was"
            parts.append(f"{made_up} {were} made up")
        if by_rule := journal.ruled:
            parts.append(f"{by_rule} answered by rules")
        if journal.sources["forwarded"]:
            parts.append(f"{journal.sources['forwarded']} forwarded")
        lines = [", ".join(parts)]
        if recorder is not None:
            lines += [f"not kept: {n} ({why})" for why, n in recorder.not_kept.most_common()]
            if any(why.startswith("status ") for why in recorder.not_kept):
                lines.append("--keep-transient keeps those too")
        return "llmproxy: " + "\n  ".join(lines)


def _count(number: int) -> str:
    return f"{number} interaction{'s' * (number != 1)}"


@contextlib.asynccontextmanager
async def serving(plan: Plan) -> AsyncIterator[Service]:
    """Open what ``plan`` names, listen, and close all of it at the end.

    Raises:
        LlmproxyError: anything that cannot be opened, addressed or bound.
    """
    settings = plan.settings
    keeper = keeper_for(settings, plan.environment)
    journal, sessions = Journal(), Sessions()
    async with contextlib.AsyncExitStack() as stack:
        aside = ThreadPoolExecutor(1, "llmproxy-aside")
        stack.callback(aside.shutdown)
        stack.callback(journal.flush)
        live = Live(plan.configuration, plan.again)
        opening = _Opening(plan, live, keeper, sessions, stack, aside, lambda: journal.in_flight)
        responders = await opening.responders()
        dresser = opening.dresser()
        served = Served(
            mode=plan.command,
            live=live,
            sessions=sessions,
            journal=journal,
            cassettes=tuple(shelf.cassette.path for shelf in opening.shelves),
            state_folder=settings.state_folder,
            meters=dresser.limiter.meters,
        )
        guard = guard_for(settings.host, settings.control.allowed_hosts, settings.control.token)
        control = Control(served, guard)
        proxy = Proxy(
            responders=responders,
            dresser=dresser,
            redacting=keeper.redacting,
            control=control,
            journal=journal,
            max_request=settings.max_request,
            aside=aside,
            wheel=Wheel(asyncio.get_running_loop()),
        )
        if (recorder := opening.recorder) is not None:
            journal.metrics.queue = lambda: Queue(recorder.queued, recorder.kept, recorder.failed)
        listener = await listen(proxy, settings.host, settings.port)
        stack.push_async_callback(listener.close, settings.shutdown_time)
        stack.callback(control.close)
        if plan.again is not None:
            await stack.enter_async_context(watching(live))
        yield Service(
            plan=plan,
            listener=listener,
            guard=guard,
            journal=journal,
            shelves=opening.shelves,
            upstreams=opening.upstreams,
            recorder=opening.recorder,
            dresser=proxy.dresser,
            recorded_before=opening.recorded_before,
            made_up=opening.made_up,
        )


class _Opening:
    """Opens what a command needs and makes its responders."""

    def __init__(
        self,
        plan: Plan,
        live: Live,
        keeper: Keeper,
        sessions: Sessions,
        stack: contextlib.AsyncExitStack,
        aside: ThreadPoolExecutor,
        load: Callable[[], int],
    ) -> None:
        self.plan = plan
        self.live = live
        self.settings = plan.settings
        self.keeper = keeper
        self.sessions = sessions
        self.stack = stack
        self.aside = aside
        self.load = load
        self.vocabularies = packaged()
        self.reader = Reader(
            live, sessions, self.settings.max_request, trusting=plan.command != "mock"
        )
        self.maker = Maker(
            self.vocabularies, sessions, aside, load, may_call=plan.command == "mock"
        )
        self.named: dict[tuple[Path, int], Shelf] = {}
        self.passing = Forwarder(self._forward_settings(), None)
        self.shelves: tuple[Shelf, ...] = ()
        self.upstreams: tuple[Upstream, ...] = ()
        self.recorder: Recorder | None = None
        self.recorded_before = 0
        self.made_up = ""

    async def responders(self) -> tuple[Responder, ...]:
        """Who answers, in order; the last one always does."""
        # before the listener, so that they end after the last reply
        await self.stack.enter_async_context(self.passing)
        self.stack.callback(self._close_named)
        if self.plan.command == "record":
            return await self.record()
        return await (self.replay() if self.plan.command == "replay" else self.mock())

    async def record(self) -> tuple[Responder, ...]:
        path = self.plan.cassettes[0] if self.plan.cassettes else next_free(Path("cassettes"))
        self.upstreams = parse_upstreams(self.plan.upstreams, self.settings.upstreams)
        mode = self.settings.record.mode
        if path.exists() and path.stat().st_size:
            with contextlib.closing(Cassette(path)) as cassette:
                self.recorded_before = cassette.count
        if mode == "once" and self.recorded_before:
            self.shelves = (self._shelf(path, self.upstreams),)
            return self._only_recorded()
        self.recorder = await self._open_recorder(path)
        relay = Relay(await self._forwarder(), self.upstreams, misses=False)
        if mode == "new_episodes" and self.recorded_before:
            # opened after the recorder, so closed before it: a file with readers stays in two parts
            self.shelves = (self._shelf(path, self.upstreams),)
            replayer = self._replayer(recording=True)
            return (self._rules(replayer), replayer, relay)
        return (self._rules(None), relay)

    async def replay(self) -> tuple[Responder, ...]:
        if not self.plan.cassettes:
            raise SettingsError("replay wants a cassette", "llmproxy replay cassettes/run1.db")
        self.shelves = tuple(self._shelf(path) for path in self.plan.cassettes)
        named = {upstream: None for shelf in self.shelves for upstream in shelf.upstreams}
        self.upstreams = tuple(named)
        on_miss = self._on_miss()
        if on_miss == "error":
            return self._only_recorded()
        replayer = self._replayer()
        rules = self._rules(replayer)
        if on_miss == "synthesize":
            misses = self._misses()
            synthesizer = Synthesizer(self.reader, self.maker, misses)
            return (rules, replayer, synthesizer, Refusal(misses))
        if not self.plan.upstreams:
            raise SettingsError("replay.on_miss: forward wants to know where to", "add --upstream")
        upstreams = parse_upstreams(self.plan.upstreams, self.settings.upstreams)
        return (rules, replayer, Relay(await self._forwarder(), upstreams, misses=True))

    def _only_recorded(self) -> tuple[Responder, ...]:
        replayer = self._replayer()
        return (self._rules(replayer), replayer, Refusal(self._misses()))

    async def mock(self) -> tuple[Responder, ...]:
        self.upstreams = parse_upstreams(MOCKED, {})
        self.made_up = f"every reply is made up{rhythm_words(self.settings.pace)}"
        responders = (self._rules(None), Synthesizer(self.reader, self.maker), unknown)
        # before the first stream: a load in a thread still holds the interpreter for a while
        await asyncio.to_thread(self.vocabularies.load, "o200k_base")
        return responders

    def _on_miss(self) -> str:
        """What ``auto`` means here, and what the banner says of it."""
        on_miss = self.settings.replay.on_miss
        if on_miss != "auto":
            if on_miss == "synthesize":
                self.made_up = "what matches nothing gets a made-up reply"
            return on_miss
        if self.plan.environment.get("CI", "").lower() in ("", "0", "false"):
            self.made_up = "what matches nothing gets a made-up reply; --on-miss error refuses it"
            return "synthesize"
        self.made_up = "what matches nothing is refused, because CI is set"
        return "error"

    def _rules(self, replayer: Replayer | None) -> RuleResponder:
        responder = RuleResponder(
            self.reader,
            self.maker,
            self.sessions,
            replayer,
            self._named_shelf,
            self._pass_on,
            Pace(self.settings.replay.pace, self.settings.max_pause),
            self.load,
        )
        self.stack.callback(responder.close)
        return responder

    def dresser(self) -> Dresser:
        """What dresses replies; what it still reads ends with the server."""
        limiter = Limiter(self.maker)
        dresser = Dresser(self.live, self.reader, self.maker, self.sessions, limiter)
        self.stack.push_async_callback(dresser.spoiled.close, self.settings.shutdown_time)
        return dresser

    def _named_shelf(self, path: Path) -> Shelf:
        """A cassette that a rule names; opened again where a new file has taken its place."""
        key = (path, path.stat().st_ino if path.exists() else 0)
        shelf = self.named.get(key)
        if shelf is None:
            cassette = Cassette(path)
            if len(self.named) >= MOST_NAMED:
                self._close_named()
            shelf = self.named[key] = Shelf(cassette, _upstreams_of(cassette))
        return shelf

    def _close_named(self) -> None:
        while self.named:
            self.named.popitem()[1].cassette.close()

    async def _pass_on(self, name: str, asked: Asked) -> Reply:
        """The reply of the provider that a rule names; it is not kept."""
        request = asked.request
        if sum(line == VIA for line in request.headers) >= MOST_HOPS:
            raise UpstreamFailed(f"forward: {name} leads back here", "see upstreams in proxy.yml")
        asked.request = replace(request, headers=(*request.headers, VIA))
        named = self.live.current.configuration.settings.upstreams
        upstreams = (parse_upstream(name, named),)
        return await Relay(self.passing, upstreams, misses=False)(asked)

    def _shelf(self, path: Path, upstreams: Sequence[Upstream] = ()) -> Shelf:
        cassette = Cassette(path, self.keeper.key, self.keeper.digest)
        self.stack.callback(cassette.close)
        return Shelf(cassette, tuple(upstreams) or _upstreams_of(cassette))

    def _replayer(self, *, recording: bool = False) -> Replayer:
        replay = self.settings.replay
        return Replayer(
            self.shelves,
            self.keeper.canonicaliser,
            self.sessions,
            pace=Pace(replay.pace, self.settings.max_pause),
            repeat="miss" if recording else replay.repeat,
            ordinals=not recording,
        )

    def _misses(self) -> Misses:
        misses = Misses(
            [(shelf.cassette.path, shelf.upstreams) for shelf in self.shelves],
            self.keeper.canonicaliser,
            self.settings.state_folder,
        )
        self.stack.callback(misses.close)
        return misses

    async def _open_recorder(self, path: Path) -> Recorder:
        recorder = Recorder(
            path,
            self.settings.record.mode,
            {upstream.name: upstream.origin + upstream.base_path for upstream in self.upstreams},
            self.keeper,
            self.keeper.key,
            self.keeper.digest,
            self.settings.record.queue,
        )
        self.stack.push_async_callback(asyncio.to_thread, recorder.close)
        return recorder

    async def _forwarder(self) -> Forwarder:
        forwarder = Forwarder(self._forward_settings(), self.recorder)
        return await self.stack.enter_async_context(forwarder)

    def _forward_settings(self) -> ForwardSettings:
        times, record = self.settings.upstream_timeouts, self.settings.record
        return ForwardSettings(
            connect=times.connect,
            first_byte=times.first_byte,
            idle=times.idle,
            max_kept=record.max_kept,
            on_disconnect=record.on_disconnect,
            disconnect_time=record.disconnect_time,
            disconnect_bytes=record.disconnect_bytes,
        )


def next_free(folder: Path) -> Path:
    """``run1.db``, or the number after the highest that stands in ``folder``."""
    numbers = [
        int(match[1])
        for path in folder.glob("run*.db")
        if (match := re.fullmatch(r"run([1-9][0-9]{0,8})\.db", path.name))
    ]
    return folder / f"run{max(numbers, default=0) + 1}.db"


def _upstreams_of(cassette: Cassette) -> tuple[Upstream, ...]:
    """The upstreams of a cassette's runs, as they were addressed when it was recorded."""
    found = []
    for name, url in cassette.upstreams:
        try:
            known = parse_upstream(name, {}) if name in KNOWN else None
            same = known is not None and known.origin + known.base_path == url
            found.append(known if known and same else parse_upstream(f"{name}={url}", {}))
        except SettingsError as error:
            raise CassetteError(
                f"{cassette.path}: names an upstream that cannot be: {error.message}"
            ) from error
    return tuple(found) or (parse_upstream("openai", {}),)
