"""Sensible English about harmless things, without end: the grammar of generated prose.

A topic's words are chosen so that every person fits every act, every
thing fits every state and every frame fits them all: any draw is a sentence that makes sense.
Phrases are dealt like cards, so that one comes back only after the others of its kind.
All clauses stand in the present tense, third person singular, so that nothing needs to agree.
Knows nothing of tokens; ``text.py`` cuts to length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Topic:
    """The words for one topic: ``people`` do ``acts``, ``things`` are in ``states``.

    Each ``places`` entry says where, each ``things`` entry is singular with its article.
    """

    people: tuple[str, ...]
    acts: tuple[str, ...]
    things: tuple[str, ...]
    states: tuple[str, ...]
    places: tuple[str, ...]


_COAST = Topic(
    people=(
        "the harbour master", "the lighthouse keeper", "a retired sailor", "the ferry captain",
        "the weather observer", "a visitor from the city",
    ),
    acts=(
        "reads the barometer", "takes the small ferry across", "watches the horizon",
        "writes the wind speed in a notebook", "hangs the nets up to dry", "ties the boat firmly",
        "waits for the tide to turn", "walks out to the end of the pier", "closes the shutters",
        "listens to the forecast",
    ),
    things=(
        "the wind", "the sea fog", "the rain", "the salt mist", "the western breeze",
        "the light drizzle",
    ),
    states=(
        "comes in from the open sea", "drifts over the harbour", "lasts longer than expected",
        "follows the shoreline", "settles in the bay", "keeps the boats at home",
        "changes the colour of the water", "clears the beach within minutes",
    ),
    places=("on the coast", "down by the harbour", "along the cliffs", "out on the island"),
)  # fmt: skip

_GARDEN = Topic(
    people=(
        "the gardener", "an old neighbour", "the botany teacher", "the beekeeper",
        "the owner of the nursery", "a volunteer",
    ),
    acts=(
        "waters the beds", "sharpens the shears", "turns the compost", "collects seeds in envelopes",
        "ties the young shoots to a stake", "rakes the gravel path", "plants a row of onions",
        "gives the surplus away", "sketches next year's beds", "checks the soil by hand",
    ),
    things=(
        "the rosemary", "the old pear tree", "the lavender", "the young fig", "the climbing rose",
        "the hedge of hazel", "the tomato bed",
    ),
    states=(
        "grows faster near the wall", "needs water twice a week", "does well in sandy soil",
        "leans towards the sun", "survives a mild frost", "attracts bees from far away",
        "takes up more room every year", "wants a little shade",
    ),
    places=("behind the greenhouse", "in the walled garden", "near the south wall", "by the pond"),
)  # fmt: skip

_LIBRARY = Topic(
    people=(
        "the librarian", "the archivist", "a student", "a regular reader", "the bookbinder",
        "the night porter",
    ),
    acts=(
        "returns three novels", "sorts the cards by hand", "looks up an old map",
        "repairs a loose spine", "reads the newspaper from front to back", "dusts the globes",
        "borrows more than will fit in the bag", "copies a paragraph into a notebook",
        "recommends a book about birds", "puts the atlas back in its place",
    ),
    things=(
        "the reading room", "the map collection", "the upper gallery", "the newspaper archive",
        "the local history section", "the study by the stairs",
    ),
    states=(
        "stays quiet until noon", "smells faintly of paper", "fills up on rainy days",
        "attracts careful readers", "looks larger than it is", "holds a few surprises",
        "closes earlier in the winter", "catches the evening light",
    ),
    places=("in the town library", "between the tall shelves", "under the glass roof"),
)  # fmt: skip

_BICYCLE = Topic(
    people=(
        "the mechanic", "the postwoman", "a courier", "the owner of the shop", "a commuter",
        "the cycling instructor",
    ),
    acts=(
        "patches the inner tube", "oils the chain", "adjusts the saddle", "takes the long way round",
        "pumps up both tyres", "rides along the canal", "carries a basket of apples",
        "checks the brakes", "rings the bell at every corner", "straightens a bent spoke",
    ),
    things=(
        "the blue bicycle", "the old tandem", "the cargo bike", "the folding bike",
        "the borrowed racer", "the heavy touring bike",
    ),
    states=(
        "rolls well on gravel", "carries more than it seems to", "squeaks in wet weather",
        "brakes smoothly downhill", "needs a new chain", "stands ready by the gate",
        "costs little to maintain", "feels steady in a side wind",
    ),
    places=("in the yard of the workshop", "on the towpath", "at the foot of the hill"),
)  # fmt: skip

_BREAD = Topic(
    people=(
        "the baker", "the apprentice", "the miller", "a neighbour from upstairs",
        "the owner of the tea room", "the cook",
    ),
    acts=(
        "feeds the starter", "weighs the flour twice", "shapes the dough by hand",
        "lets the dough rest under a cloth", "brushes the crust with water",
        "writes the recipe on the wall", "sets a loaf aside for the ferryman",
        "scores the top with a sharp knife", "sweeps the flour from the table",
        "tries a new kind of grain",
    ),
    things=(
        "the rye loaf", "the small white loaf", "the flat bread", "the seeded loaf",
        "the braided bread", "the dark country loaf",
    ),
    states=(
        "cools on the rack", "smells of caraway", "needs a hot oven", "keeps well for days",
        "goes well with soup", "sells out early", "rises more slowly than usual",
        "comes out a little different each time",
    ),
    places=("in the bakery on the corner", "next to the warm oven", "at the market stall"),
)  # fmt: skip

_RIVER = Topic(
    people=(
        "the ferryman", "the lock keeper", "an angler", "the surveyor", "a painter",
        "the miller's daughter",
    ),
    acts=(
        "measures the depth of the water", "rows to the other bank", "counts the herons",
        "opens the lower gate", "skips a flat stone", "mends the landing stage",
        "follows the path upstream", "fills a bottle for the laboratory",
        "rests in the shade of a willow", "marks the level on a post",
    ),
    things=(
        "the main channel", "the side stream", "the mill race", "the slow bend",
        "the upper river", "the narrow canal",
    ),
    states=(
        "runs clear over the stones", "carries leaves to the weir", "rises after heavy rain",
        "freezes only at the edges", "turns past the willows", "shelters a family of ducks",
        "widens below the bridge", "moves faster than it looks",
    ),
    places=("on the left bank", "below the bridge", "near the old mill", "at the ford"),
)  # fmt: skip

_TOOLS = Topic(
    people=(
        "the carpenter", "the toolmaker", "a trainee", "the instrument builder",
        "the owner of the workshop", "the restorer",
    ),
    acts=(
        "sharpens the blade on a wet stone", "measures twice", "planes the edge of a board",
        "labels every drawer", "wipes the bench clean", "tightens a loose screw",
        "keeps the offcuts for later", "tests the joint by hand", "draws a line with a soft pencil",
        "hangs the saw back on its hook",
    ),
    things=(
        "the hand plane", "the small chisel", "the brass hammer", "the bow saw",
        "the bench vice", "the marking gauge",
    ),
    states=(
        "works best when it is clean", "belongs to the whole workshop", "lasts a lifetime with care",
        "needs a drop of oil", "comes out only for special jobs", "does the work of two",
        "sits well in the hand", "keeps its value for decades",
    ),
    places=("in the workshop", "at the bench by the window", "in the corner by the stove"),
)  # fmt: skip

_MARKET = Topic(
    people=(
        "the greengrocer", "the cheesemonger", "a regular customer", "the flower seller",
        "the market inspector", "a musician",
    ),
    acts=(
        "stacks the crates", "chalks the prices on a board", "weighs a bag of plums",
        "asks for a receipt", "folds the awning", "saves the best piece for a friend",
        "tells a short story", "counts the change", "offers a slice to taste",
        "unloads the van",
    ),
    things=(
        "the honey stall", "the corner with the cheeses", "the flower stand", "the spice counter",
        "the second-hand table", "the apple cart",
    ),
    states=(
        "draws a small crowd", "opens before all the others", "looks best in the sun",
        "faces the fountain", "sells more on cool days", "smells of summer",
        "changes with the season", "attracts people who only want to look",
    ),
    places=("on the market square", "under the striped awnings", "in front of the town hall"),
)  # fmt: skip

TOPICS = (_COAST, _GARDEN, _LIBRARY, _BICYCLE, _BREAD, _RIVER, _TOOLS, _MARKET)

_TIMES = (
    "before sunrise", "early in the day", "around noon", "after lunch", "late in the afternoon",
    "on most evenings", "every other day", "at the end of the week", "in early spring",
    "on a quiet Monday", "during the long summer", "when the days get shorter",
    "once the bells have rung", "whenever there is time",
)  # fmt: skip

_HABITS = ("", "", "", "usually ", "often ", "sometimes ", "always ", "quietly ", "rarely ")

_OPENERS = (
    "as a rule", "now and then", "by all accounts", "more often than not", "in a good year",
    "even so", "on closer inspection", "for some reason", "if all goes well",
)  # fmt: skip

_FRAMES = (
    "{person} {act} {time}.",
    "{person} {habit}{act}.",
    "{time}, {person} {act}.",
    "{place}, {person} {habit}{act}.",
    "{opener}, {person} {act} {time}.",
    "{person} {act} while {person} {act}.",
    "{person} {act}, and {person} {act}.",
    "{person} {act} because {thing} {state}.",
    "{person} {act}, although {thing} {state}.",
    "if {thing} {state}, {person} {act}.",
    "{thing} {state}.",
    "{opener}, {thing} {state}.",
    "{thing} {state}, and {thing} {state}.",
    "{thing} {state}, so {person} {act} {time}.",
    "{thing} {state}, but {thing} {state}.",
    "nobody {place} minds that {thing} {state}.",
    "it is easy to forget that {thing} {state}.",
    "{person} likes to say that {thing} {state}.",
    "{person} and {person} agree that {thing} {state}.",
    "{person} has known for years that {thing} {state}.",
    "{time}, {thing} gets more attention than {thing}.",
    "what matters most to {person} is that {thing} {state}.",
    "{person} prefers {thing} to {thing}, and {person} does not mind.",
    "it is {place} that {person} {act}.",
)

CLOSINGS = (
    "Yes.", "Good.", "Certainly.", "That helps.", "It works.", "Nothing changes.", "That is all.",
    "It is enough.", "Time will tell.", "The day goes on.", "Nothing much is lost.",
    "It always turns out well.", "There is time for that.", "A little patience helps.",
    "That is how it begins.", "Most of it turns out well.", "The rest can wait until tomorrow.",
    "Nobody is in a hurry about it.", "In the end everything finds its place.",
    "The rest is a matter of habit.", "That is usually all there is to it.",
    "A little patience makes the difference in the end.", "Small things like these make up a day.",
    "Tomorrow it may well be the other way round.",
)  # fmt: skip
"""Short sentences that fit any topic, for the end of a text."""


def topics(rng: Random) -> Iterator[Iterator[str]]:
    """Topics without end, each as its sentences without end; neighbours differ."""
    frames = _deal(_FRAMES, rng)
    shared = {
        "time": _deal(_TIMES, rng),
        "habit": _deal(_HABITS, rng),
        "opener": _deal(_OPENERS, rng),
    }
    told = [_sentences(frames, _Words(shared | _deal_topic(each, rng))) for each in TOPICS]
    yield from _deal(told, rng)


def _deal_topic(topic: Topic, rng: Random) -> dict[str, Iterator[str]]:
    return {
        "person": _deal(topic.people, rng),
        "act": _deal(topic.acts, rng),
        "thing": _deal(topic.things, rng),
        "state": _deal(topic.states, rng),
        "place": _deal(topic.places, rng),
    }


class _Words:
    """What a frame is filled from: each look-up of a slot takes the slot's next phrase."""

    def __init__(self, slots: Mapping[str, Iterator[str]]) -> None:
        self._slots = slots

    def __getitem__(self, slot: str) -> str:
        return next(self._slots[slot])


def _sentences(frames: Iterator[str], words: _Words) -> Iterator[str]:
    for frame in frames:
        sentence = frame.format_map(words)
        yield sentence[0].upper() + sentence[1:]


_T = TypeVar("_T")


def _deal(cards: Sequence[_T], rng: Random) -> Iterator[_T]:
    """All cards in a random order, again and again: few repeats, and none in succession."""
    last = None
    while True:
        order = rng.sample(cards, len(cards))
        if order[0] is last:
            order.reverse()
        yield from order
        last = order[-1]
