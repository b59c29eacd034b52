"""Plausible words and amounts for a property, guessed from its name.

Small lists of our own writing. A name is read as words (``startDate``, ``user_id``), the
last ones first. Knows nothing of schemas: whoever asks checks what the schema says.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

PEOPLE = ("Ana", "Noor", "Elias", "Mika", "Sofia", "Jonas", "Amara", "Kenji")
TOPICS = ("weather", "travel", "music", "garden", "coffee", "history", "cycling", "films")
WORDS = ("amber", "harbor", "meadow", "signal", "copper", "lantern", "river", "orchard", "maple")
_SENTENCES = (
    "A short note about the next step.",
    "The first draft is ready for review.",
    "Everything needed is in one place.",
    "This covers the main points in brief.",
)
_CITIES = ("Paris", "Lisbon", "Nairobi", "Osaka", "Montreal", "Oslo")
_COUNTRIES = ("France", "Portugal", "Kenya", "Japan", "Canada", "Norway")
_QUERIES = ("weather in Paris", "best coffee grinder", "train times to Oslo", "easy bread recipe")
_CODES = ("print('hello')", "x = 1 + 2", "len([1, 2, 3])")

_TEXTS: dict[str, tuple[str, ...]] = {
    "city": _CITIES,
    "town": _CITIES,
    "location": _CITIES,
    "place": _CITIES,
    "destination": _CITIES,
    "origin": _CITIES,
    "country": _COUNTRIES,
    "region": ("Normandy", "Kansai", "Quebec"),
    "state": ("open", "active", "ready"),
    "status": ("open", "active", "done"),
    "address": ("12 Mill Lane", "4 Station Road", "88 Harbor Street"),
    "street": ("Mill Lane", "Station Road", "Harbor Street"),
    "zip": ("10115", "75004", "90210"),
    "postcode": ("10115", "75004", "90210"),
    "name": PEOPLE,
    "firstname": PEOPLE,
    "lastname": ("Moreau", "Tanaka", "Okafor", "Lind", "Silva"),
    "surname": ("Moreau", "Tanaka", "Okafor", "Lind", "Silva"),
    "person": PEOPLE,
    "user": PEOPLE,
    "username": ("ana_m", "noor7", "elias.l"),
    "author": PEOPLE,
    "customer": PEOPLE,
    "company": ("Lantern Works", "Harbor Supply", "Maple and Sons"),
    "title": ("A walk by the river", "Notes on the harvest", "The copper lantern"),
    "subject": ("Meeting on Monday", "Your order", "A question"),
    "description": _SENTENCES,
    "summary": _SENTENCES,
    "content": _SENTENCES,
    "text": _SENTENCES,
    "body": _SENTENCES,
    "message": _SENTENCES,
    "comment": _SENTENCES,
    "note": _SENTENCES,
    "notes": _SENTENCES,
    "reason": _SENTENCES,
    "reasoning": _SENTENCES,
    "explanation": _SENTENCES,
    "answer": _SENTENCES,
    "prompt": _SENTENCES,
    "question": ("What is the plan for today?", "How far is it?", "Who is responsible?"),
    "query": _QUERIES,
    "q": _QUERIES,
    "search": _QUERIES,
    "keyword": TOPICS,
    "keywords": TOPICS,
    "tag": TOPICS,
    "tags": TOPICS,
    "topic": TOPICS,
    "category": TOPICS,
    "genre": ("jazz", "folk", "ambient"),
    "language": ("English", "French", "Japanese"),
    "lang": ("en", "fr", "ja"),
    "locale": ("en-US", "fr-FR", "ja-JP"),
    "unit": ("celsius", "kilometers", "kg"),
    "units": ("metric", "imperial"),
    "currency": ("EUR", "USD", "JPY"),
    "color": ("green", "blue", "amber"),
    "colour": ("green", "blue", "amber"),
    "timezone": ("Europe/Paris", "Asia/Tokyo", "UTC"),
    "phone": ("+1 202 555 0142", "+1 202 555 0187"),
    "email": ("ana@example.com", "noor@example.com", "elias@example.com"),
    "mail": ("ana@example.com", "noor@example.com", "elias@example.com"),
    "url": ("https://example.com/garden", "https://example.com/music"),
    "uri": ("https://example.com/garden", "https://example.com/music"),
    "link": ("https://example.com/garden", "https://example.com/music"),
    "website": ("https://example.com", "https://example.org"),
    "domain": ("example.com", "example.org"),
    "host": ("www.example.com", "api.example.org"),
    "file": ("notes.txt", "report.pdf", "data.csv"),
    "filename": ("notes.txt", "report.pdf", "data.csv"),
    "path": ("docs/notes.txt", "data/report.csv"),
    "directory": ("docs", "data"),
    "command": ("ls", "pwd"),
    "code": _CODES,
    "expression": ("2 + 2", "3 * (4 + 1)"),
    "formula": ("2 + 2", "3 * (4 + 1)"),
    "ticker": ("ACME", "LNTN"),
    "symbol": ("ACME", "LNTN"),
    "product": ("desk lamp", "tea kettle", "rain coat"),
    "item": ("desk lamp", "tea kettle", "rain coat"),
    "ingredient": ("flour", "butter", "thyme"),
    "model": ("basic", "standard"),
    "version": ("1.0.0", "2.3.1"),
    "key": ("amber", "copper"),
    "type": ("basic", "standard"),
    "kind": ("basic", "standard"),
    "day": ("Monday", "Thursday", "Saturday"),
    "month": ("March", "June", "October"),
}
_FRESH = {"date": "date", "day": "date", "birthday": "date", "deadline": "date", "time": "time"}
_FRESH |= {"id": "id", "uuid": "uuid", "datetime": "moment", "timestamp": "moment", "at": "moment"}

_AMOUNTS: dict[str, tuple[int, int]] = {
    "age": (18, 80),
    "year": (2020, 2026),
    "month": (1, 12),
    "day": (1, 28),
    "hour": (0, 23),
    "minute": (0, 59),
    "count": (1, 10),
    "limit": (5, 20),
    "page": (1, 5),
    "quantity": (1, 5),
    "amount": (1, 200),
    "price": (5, 200),
    "cost": (5, 200),
    "total": (5, 500),
    "temperature": (5, 30),
    "latitude": (-60, 60),
    "lat": (-60, 60),
    "longitude": (-120, 120),
    "lon": (-120, 120),
    "lng": (-120, 120),
    "score": (0, 1),
    "confidence": (0, 1),
    "probability": (0, 1),
    "rating": (1, 5),
    "percent": (0, 100),
    "percentage": (0, 100),
    "port": (8000, 9000),
    "timeout": (5, 60),
    "id": (100, 9999),
    "width": (100, 800),
    "height": (100, 800),
    "weight": (1, 90),
}
_USUAL_AMOUNT = (1, 100)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def text_for(name: str, rng: random.Random) -> str:
    """A text for a property of this name; any short word where the name says nothing."""
    for word in _words(name):
        if word in _TEXTS:
            return rng.choice(_TEXTS[word])
        if word in _FRESH:
            return _fresh(_FRESH[word], rng)
    return rng.choice(WORDS)


def amount_for(name: str) -> tuple[int, int]:
    """The range, ends included, of amounts that suit a property of this name."""
    for word in _words(name):
        if word in _AMOUNTS:
            return _AMOUNTS[word]
    return _USUAL_AMOUNT


def _words(name: str) -> Iterator[str]:
    """The words of a name, the whole first, then the last first; ``city_name`` is a city."""
    whole = name[:64].lower()
    yield whole
    words = [word.lower() for word in _WORD.findall(name[:64])]
    if len(words) == 1 and words[0] == whole:
        return
    if len(words) > 1 and words[-1] == "name" and words[-2] not in ("user", "full"):
        words[-2:] = [words[-1], words[-2]]
    yield from reversed(words)


def _fresh(kind: str, rng: random.Random) -> str:
    if kind == "id":
        return f"{rng.getrandbits(32):08x}"
    if kind == "uuid":
        digits = f"{rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
    date = f"{rng.randint(2024, 2026)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    time = f"{rng.randrange(24):02}:{rng.randrange(0, 60, 5):02}"
    return {"date": date, "time": time}.get(kind, f"{date}T{time}:00Z")
