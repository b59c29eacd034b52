"""The dialects' examples, one folder each, named after the dialect.

A folder's ``__init__.py`` holds ``EXAMPLES``, whose requests, streams and facts are; its modules
``written_*.py`` hold ``WRITTEN``, how to ask each text operation and how to read its reply, and
``REFUSED``, what the provider refuses. All are found by listing: a new dialect is a new folder.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from dialects.example import Examples
from dialects.written import RefusedRequest, Written


def _folders() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(__path__):
        yield import_module(f"{__name__}.{found.name}")


def _written(folder: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(folder.__path__):
        if found.name.startswith("written_"):
            yield import_module(f"{folder.__name__}.{found.name}")


_MODULES = [module for folder in _folders() for module in _written(folder)]

EXAMPLES: dict[str, Examples] = {
    folder.__name__.rpartition(".")[2]: folder.EXAMPLES for folder in _folders()
}
WRITTEN: tuple[Written, ...] = tuple(each for module in _MODULES for each in module.WRITTEN)
REFUSED: tuple[RefusedRequest, ...] = tuple(each for module in _MODULES for each in module.REFUSED)
