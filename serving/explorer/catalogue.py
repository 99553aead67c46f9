"""A pushed version's catalogue, to be looked at: by id, by words, by likeness."""

from __future__ import annotations

import bisect
import math
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from serving.errors import not_found
from serving.model_files import ModelFiles

MOST_VALUES = 300
"""How many values of a feature are listed."""

Item = dict[str, Any]
"""A candidate in JSON's types: ``id``, ``title``, and ``features``, each a value, a list or None."""


class Catalogue:
    """The candidates of one version. Any thread may ask."""

    def __init__(self, files: ModelFiles) -> None:
        """Reads the catalogue.

        Args:
            files: The version's.

        Raises:
            ModelError: If it cannot be read.
        """
        self._files = files
        table = files.catalogue.combine_chunks()
        self._ids, self._titles = (_only_chunk(table[name]) for name in ("id", "title"))
        self._features = _only_chunk(table["features"]) if "features" in table.column_names else None
        popularity = table["train_positive_count"].to_numpy()
        self._popular_first = np.argsort(-popularity, kind="stable")
        self._computing = threading.Lock()

    def __len__(self) -> int:
        """Number of candidates."""
        return len(self._ids)

    @property
    def features(self) -> list[str]:
        """Names of the features that candidates are shown with."""
        return [] if self._features is None else [field.name for field in self._features.type]

    def values(self, feature: str) -> list[str] | list[float]:
        """What a feature's values can be chosen from.

        Returns:
            Of texts the most frequent ones, most frequent first; of numbers the least and the greatest.

        Raises:
            KeyError: If there is no such feature.
        """
        if self._features is None:
            raise KeyError(feature)
        column = self._features.field(feature)
        if pa.types.is_list(column.type):
            column = column.flatten()
        if pa.types.is_string(column.type):
            counts = column.drop_null().value_counts().to_pylist()
            counts.sort(key=lambda pair: (-pair["counts"], pair["values"]))
            return [pair["values"] for pair in counts[:MOST_VALUES]]
        extremes = pc.min_max(column).as_py()
        return [] if extremes["min"] is None else [extremes["min"], extremes["max"]]

    def items(self, ids: Iterable[str]) -> list[Item]:
        """The candidates of these ids; those that are not in the catalogue are left out."""
        rows = (self._row(id) for id in ids)
        return self._items([row for row in rows if row is not None])

    def search(self, text: str, most: int) -> tuple[list[Item], int]:
        """The candidates whose title or id holds a text, in upper or lower case.

        Args:
            text: What to look for; all candidates where it is empty.
            most: How many to return.

        Returns:
            The one of that very id first, then those whose titles begin with the text, then the others, each
            with the most popular in train first; and how many there are in all.
        """
        if not text:
            return self._items(self._popular_first[:most]), len(self)
        columns = (self._titles, self._ids)
        within = np.any([_mask(pc.match_substring(c, text, ignore_case=True)) for c in columns], axis=0)
        first = _mask(pc.starts_with(self._titles, text, ignore_case=True))
        rows = self._popular_first[within[self._popular_first]]
        exact = self._row(text)
        rows = rows[np.lexsort([~first[rows], rows != exact])]
        return self._items(rows[:most]), len(rows)

    def similar(self, id: str, most: int) -> list[tuple[Item, float]]:
        """The candidates nearest to one, with the cosine of their embeddings and its, greatest first.

        Raises:
            RequestError: NOT_FOUND where the catalogue does not have it.
            ModelError: If the version's embeddings cannot be read.
        """
        row = self._row(id)
        if row is None:
            raise not_found(f"candidate {id!r} is not in the catalogue")
        with self._computing:
            directions = self._directions
        cosines = directions @ directions[row]
        cosines[row] = -math.inf
        most = min(most, len(self) - 1)
        nearest = np.argpartition(-cosines, most - 1)[:most] if most else np.array([], int)
        nearest = nearest[np.argsort(-cosines[nearest], kind="stable")]
        return list(zip(self._items(nearest), cosines[nearest].tolist(), strict=True))

    @cached_property
    def _directions(self) -> np.ndarray:
        """float32 [candidates, width], each of length 1, in the catalogue's order."""
        embeddings = self._files.embeddings()
        embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return embeddings

    def _row(self, id: str) -> int | None:
        """A candidate's row; the catalogue is in the bytewise order of its ids."""
        key = id.encode()
        row = bisect.bisect_left(range(len(self)), key, key=lambda row: self._ids[row].as_py().encode())
        return row if row < len(self) and self._ids[row].as_py() == id else None

    def _items(self, rows: Sequence[int] | np.ndarray) -> list[Item]:
        taken = pa.array(rows, pa.int64())
        ids, titles = self._ids.take(taken).to_pylist(), self._titles.take(taken).to_pylist()
        features = [{}] * len(ids) if self._features is None else self._features.take(taken).to_pylist()
        return [
            {"id": id, "title": title, "features": {name: _plain(value) for name, value in values.items()}}
            for id, title, values in zip(ids, titles, features, strict=True)
        ]


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _mask(matches: pa.Array) -> np.ndarray:
    return matches.to_numpy(zero_copy_only=False)


def _plain(value: Any) -> Any:
    """A value as JSON can say it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
