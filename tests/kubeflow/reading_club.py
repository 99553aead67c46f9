"""Two thousand ratings by a hundred readers, of the columns of ``tests/fixtures/tiny``, made to be learnt.

Every reader keeps to one shelf, which shows in their history and postcode; and the shorter half of a
shelf's books is liked. Which books are read most says little about what a reader reads next.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHELVES = ("cooking", "crime", "nature", "novel", "poetry", "science", "thriller", "travel")
READERS = 100
BOOKS_A_SHELF = 40
INTERACTIONS = 2_000
_START = 1_700_000_000

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
IMAGE = "registry.example/westwork:test"
"""What the pipeline is compiled for."""


@dataclass(frozen=True)
class Compiled:
    """A pipeline compiled by the script.

    Attributes:
        file: The YAML file.
        data: The tables.
        serving: Where it pushes to.
        said: What the script printed.
    """

    file: Path
    data: Path
    serving: Path
    said: str


def write_reading_club(folder: Path, seed: int = 17) -> None:
    """Writes ``interactions.csv``, ``candidates.csv`` and ``queries.csv``."""
    random = np.random.default_rng(seed)
    loved = random.integers(len(SHELVES), size=READERS)
    _write(
        folder / "candidates.csv",
        ("isbn", "name", "pages", "shelves"),
        (
            (_isbn(shelf, book), f"{name.title()} Number {book}", 100 + 7 * book, name)
            for shelf, name in enumerate(SHELVES)
            for book in range(BOOKS_A_SHELF)
        ),
    )
    _write(
        folder / "queries.csv",
        ("reader", "town", "postcode", "joined", "born"),
        (
            (f"reader{n}", ("Hagen", "Soest")[shelf % 2], 59000 + shelf, _START - 86_400 * n, 1950 + n % 60)
            for n, shelf in enumerate(loved)
        ),
    )
    _write(folder / "interactions.csv", ("reader", "isbn", "stars", "rated_at"), _ratings(random, loved))


def _ratings(random: np.random.Generator, loved: np.ndarray) -> Iterable[Sequence[object]]:
    """Nine in ten books are of the reader's shelf, one in ten is liked against the rule; none comes twice."""
    rated: set[tuple[int, str]] = set()
    moment = _START
    while len(rated) < INTERACTIONS:
        reader = int(random.integers(READERS))
        at_home = random.random() < 0.9
        shelf = int(loved[reader]) if at_home else int(random.integers(len(SHELVES)))
        book = int(random.integers(BOOKS_A_SHELF))
        isbn = _isbn(shelf, book)
        moment += int(random.integers(60, 3600))
        if (reader, isbn) in rated:
            continue
        rated.add((reader, isbn))
        liked = (book < BOOKS_A_SHELF // 2) == (random.random() < 0.9)
        yield f"reader{reader}", isbn, random.choice([3.5, 4, 4.5, 5] if liked else [1, 1.5, 2, 2.5]), moment


def _isbn(shelf: int, book: int) -> str:
    return f"{shelf:02d}{book:03d}"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
