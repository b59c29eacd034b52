"""The responder that answers from cassettes.

It looks for the very request first, then for its canonical form, then for one that differs in
generated values only, and takes equal requests in turn. It never guesses: where several
could be meant, it says so and leaves the request to the next responder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import TypeVar
from urllib.parse import quote

from llmproxy.asked import Asked
from llmproxy.cassette import Cassette, Fingerprint
from llmproxy.interaction import Headers, Level, Match, RecordedRequest, Reply
from llmproxy.matching.canonical import Canonicaliser
from llmproxy.pacing import Pace
from llmproxy.prepared import Prepared, PreparedReplies, pointing_back, prepare
from llmproxy.redacted import REMEMBERED, REMEMBERED_BELOW
from llmproxy.sessions import DEFAULT, Place, Repeat, Sessions, Turn
from llmproxy.upstreams import Upstream
from llmproxy.wire import encode_head

T = TypeVar("T")

_Memory = tuple[str, str, tuple[str, ...], bytes]
_Prints = list[tuple[int, bytes]]
"""A fingerprint of the request for each cassette, by its number."""

SEQUENCES_KEPT = 20_000
"""How many sequences of equal requests stay in memory."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """An open cassette and the upstreams by which its requests are addressed.

    Those of its recording, so that a request goes where it went then.
    """

    cassette: Cassette
    upstreams: tuple[Upstream, ...]

    @property
    def name(self) -> str:
        return self.cassette.path.name


@dataclass(frozen=True, slots=True)
class _Found:
    """``generated`` says that uuids, times or other generated values differ."""

    level: Level
    turn: Turn
    generated: bool = False


class Replayer:
    """Answers from cassettes.

    Exact in any cassette beats canonical in any; then the order of the cassettes. Equal
    requests are one sequence for each session.

    Args:
        shelves: in order of preference.
        canonicaliser, sessions, pace, repeat: as their modules say.
        ordinals: whether generated values may differ; not while recording, where the
            upstream can be asked instead.
    """

    def __init__(
        self,
        shelves: Sequence[Shelf],
        canonicaliser: Canonicaliser,
        sessions: Sessions,
        *,
        pace: Pace,
        repeat: Repeat,
        ordinals: bool = True,
    ) -> None:
        self._shelves = tuple(shelves)
        self._canonicaliser = canonicaliser
        self._sessions = sessions
        self._pace = pace
        self._repeat = repeat
        self._ordinals = ordinals
        self._headers_count = bool(canonicaliser.settings.headers)
        groups: dict[tuple[Upstream, ...], list[int]] = {}
        for number, shelf in enumerate(self._shelves):
            groups.setdefault(shelf.upstreams, []).append(number)
        self._groups = tuple(groups.items())
        # with several upstreams a header may say whose a request is, as GET /v1/models is
        self._by_target = not self._headers_count and all(len(group) == 1 for group in groups)
        self._names = [quote(shelf.name) for shelf in self._shelves]
        self._prepared = PreparedReplies[Place | tuple[Place, Pace]]()
        self._exact: dict[_Memory, tuple[_Prints, tuple[Place, ...]]] = {}
        self._pairs: dict[Place, bytes] = {}
        self._sequences: dict[tuple[int, str, bytes], tuple[Place, ...]] = {}

    async def __call__(self, asked: Asked, pace: Pace | None = None) -> Reply | None:
        """What was recorded; at ``pace``, else at that of this replay."""
        found = self._find(asked)
        if found is None:
            return None
        level, turn = found.level, found.turn
        prepared = self._prepare(turn.place, pace)
        kept = prepared.reply
        headers, labels, head = kept.headers, self._labels(level, turn.place), b""
        if prepared.points_back:
            headers = pointing_back(headers, asked, self._shelves[turn.place[0]].upstreams)
        else:
            head = prepared.heads.get(level) or self._encode(prepared, level, labels)
        if found.generated:
            labels += (("x-llmproxy-differs", "generated-values"),)
            head = b""
        if turn.number > turn.of:
            repeat = f"{turn.number}/{turn.of}"
            labels += (("x-llmproxy-turn", repeat),)
            head = head and b"%bx-llmproxy-turn: %b\r\n" % (head, repeat.encode())
        return Reply(
            source="replayed",
            status=kept.status,
            reason=kept.reason,
            headers=headers,
            head_at=kept.head_at,
            chunks=kept.chunks,
            ended_at=kept.ended_at,
            end=kept.end,
            match=Match(level, turn.place[1], turn.number, turn.of, found.generated),
            labels=labels,
            facts=kept.facts,
            head=head,
        )

    def _find(self, asked: Asked) -> _Found | None:
        """Whose turn it is; requests that were found exactly once are found again at once."""
        request, redacted = asked.request, asked.redacted
        memory = (request.method, request.target, redacted.credentials, redacted.body)
        simple = self._by_target and not asked.conditional and request.session == DEFAULT
        headers = self._headers_count or asked.conditional
        if simple and (found := self._exact.get(memory)) is not None:
            return self._take("exact", *found, asked)
        settings = self._canonicaliser.settings
        requests = [(numbers, asked.at(key, headers=headers)) for key, numbers in self._groups]
        exact = _spread((numbers, self._canonicaliser.exact(r)) for numbers, r in requests)
        if places := self._places("exact", exact, asked):
            if simple and len(redacted.body) < REMEMBERED_BELOW:
                if len(self._exact) >= REMEMBERED:
                    self._exact.clear()
                self._exact[memory] = (exact, places)
            return self._take("exact", exact, places, asked)
        if settings.level == "exact":
            asked.why = asked.why or "no recorded request is the same to the byte"
            return None
        today = datetime.now(UTC).date()
        requests = [(numbers, asked.at(key)) for key, numbers in self._groups]  # with the boundary
        made = [(n, self._canonicaliser.fingerprints(r, today)) for n, r in requests]
        canonical = _spread((numbers, prints.canonical) for numbers, prints in made)
        if places := self._places("canonical", canonical, asked):
            return self._take("canonical", canonical, places, asked)
        if not self._ordinals:
            return None
        loose = _spread((numbers, prints.loose) for numbers, prints in made)
        if places := self._places("loose", loose, asked):
            if places := self._unambiguous(places, dict(_spread(requests)), asked):
                alike = self._take("canonical", loose, places, asked)
                return alike and replace(alike, generated=True)
            return None
        if settings.level == "transcript":
            script = _spread((numbers, prints.transcript) for numbers, prints in made)
            if places := self._places("transcript", script, asked):
                return self._take("transcript", script, places, asked)
        return None

    def _places(self, kind: Fingerprint, prints: _Prints, asked: Asked) -> tuple[Place, ...]:
        """The sequence of the interactions that share a fingerprint.

        Those recorded in a session of the same name, where there are any, else all.
        """
        session = asked.request.session
        if len(prints) == 1 and session == DEFAULT:
            return self._sequence(prints[0][0], kind, prints[0][1])
        own: list[Place] = []
        places: list[Place] = []
        for number, value in prints:
            found = self._shelves[number].cassette.find(kind, value)
            places += self._sequence(number, kind, value)
            if session != DEFAULT and session in found.sessions:
                both = zip(found.ids, found.sessions, strict=True)
                own += [(number, id) for id, recorded in both if recorded == session]
        return tuple(own or places)

    def _sequence(self, number: int, kind: Fingerprint, value: bytes) -> tuple[Place, ...]:
        """The places of one cassette; made once for those that are asked for again."""
        key = (number, kind, value)
        places = self._sequences.get(key)
        if places is None:
            found = self._shelves[number].cassette.find(kind, value)
            places = tuple((number, id) for id in found.ids)
            if len(self._sequences) >= SEQUENCES_KEPT:
                self._sequences.clear()
            self._sequences[key] = places
        return places

    def _unambiguous(
        self, places: tuple[Place, ...], requests: dict[int, RecordedRequest], asked: Asked
    ) -> tuple[Place, ...]:
        """Of interactions that differ in generated values only, those with the request's own.

        All of them where they do not differ among themselves; none where they do and the
        request has the values of neither: which one is meant cannot be known.
        """
        if len(places) == 1 or self._canonicaliser.settings.ambiguous == "in_order":
            return places
        kept = {place: self._paired(place) for place in places}
        if len(set(kept.values())) == 1:
            return places
        live = {n: self._canonicaliser.paired(request) for n, request in requests.items()}
        same = tuple(place for place in places if kept[place] == live[place[0]])
        if not same:
            ids = ", ".join(f"#{id}" for _, id in places[:6])
            asked.why = (
                f"ambiguous: {ids} differ only in generated values (uuids, times) and the request"
                " has the values of none; match.ambiguous: in_order takes them in order"
            )
        return same

    def _take(
        self,
        level: Level,
        prints: _Prints,
        places: tuple[Place, ...],
        asked: Asked,
    ) -> _Found | None:
        session = self._sessions[asked.request.session]
        key = (level, prints[0][1], len(places))
        turn = session.take(key, places, self._repeat)
        if turn is None:
            asked.why = (
                f"used up: recorded {len(places)} time{'s' * (len(places) > 1)} and answered so"
                " often in this session; a reset of the session starts over"
            )
            return None
        return _Found(level, turn)

    def _paired(self, place: Place) -> bytes:
        paired = self._pairs.get(place)
        if paired is None:
            request = self._shelves[place[0]].cassette.load(place[1]).request
            paired = self._pairs[place] = self._canonicaliser.paired(request)
        return paired

    def _prepare(self, place: Place, pace: Pace | None) -> Prepared:
        key = place if pace is None else (place, pace)
        prepared = self._prepared.get(key)
        if prepared is None:
            load = self._shelves[place[0]].cassette.load_response
            made = prepare(*load(place[1]), pace or self._pace)
            prepared = self._prepared.put(key, made)
        return prepared

    @staticmethod
    def _encode(prepared: Prepared, level: Level, labels: Headers) -> bytes:
        kept = prepared.reply
        head = encode_head(kept.status, kept.reason, kept.headers + labels)
        prepared.heads[level] = head
        return head

    def _labels(self, level: Level, place: Place) -> Headers:
        return (
            ("x-llmproxy-source", "replayed"),
            ("x-llmproxy-match", level),
            ("x-llmproxy-interaction", f"{self._names[place[0]]}/{place[1]}"),
        )


def _spread(pairs: Iterable[tuple[list[int], T]]) -> list[tuple[int, T]]:
    """What belongs to groups of cassettes, by cassette, in the order of the cassettes."""
    spread = [(number, each) for numbers, each in pairs for number in numbers]
    if len(spread) > 1:
        spread.sort(key=itemgetter(0))
    return spread
