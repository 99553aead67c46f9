"""What has been measured, kept in a file that grows with every measurement."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from components.ingest.errors import UserError
from components.ingest.strict import Strict


class Pair(Strict):
    """One training and its evaluation: a variant with a seed.

    Attributes:
        data: The data set.
        split: What it is evaluated on.
        variant: What is added to the cascade.
        seed: Of everything that is drawn.
        settings: All that is set beside the domain file, as ``key=value``.
    """

    data: str
    split: str
    variant: str
    seed: int
    settings: tuple[str, ...]

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Where it is in a table; its settings may change."""
        return self.data, self.split, self.variant, self.seed


class Latency(Strict):
    """Medians in milliseconds of queries asked one at a time, all kinds in turns in one process.

    Attributes:
        ranker_retrieve: Of ``retrieve`` of the cascade as it is.
        ranker_recommend: Of its ``recommend``.
        retrieve: Of the variant's ``retrieve``.
        recommend: Of its ``recommend``.
    """

    ranker_retrieve: float
    ranker_recommend: float
    retrieve: float
    recommend: float


class Evaluated(Strict):
    """How much was evaluated.

    Attributes:
        interactions: All of them.
        positives: How many of these are positive: what lists are measured on.
        new: How many of those are of candidates new to the query; 0 without repeats.
        ranked: For how many of the positives the whole catalogue was ranked: the funnel's.
    """

    interactions: int
    positives: int
    new: int
    ranked: int


class Measured(Strict):
    """What came of a pair.

    Attributes:
        evaluated: What the metrics are means over.
        metrics: ``<rival>/<metric>`` to value over the whole split, as the Evaluator names them; None: NaN.
        latency: How long a query takes.
        seconds: Step to what it took; None where its outputs were there from another pair.
        model: Directory of the SavedModel.
    """

    evaluated: Evaluated
    metrics: dict[str, float | None]
    latency: Latency
    seconds: dict[str, float | None]
    model: str


class Record(Strict):
    """A pair and what came of it."""

    pair: Pair
    measured: Measured


class _File(Strict):
    records: tuple[Record, ...]


class Results:
    """The measurements of a file; one of each place."""

    def __init__(self, path: Path, records: Sequence[Record] = ()) -> None:
        """Keeps records; nothing is written before :meth:`add`."""
        self.path = path
        self._records = {record.pair.place: record for record in records}

    @classmethod
    def read(cls, path: Path) -> Results:
        """The measurements so far; none where there is no file.

        Raises:
            UserError: If the file holds something else.
        """
        if not path.exists():
            return cls(path)
        try:
            return cls(path, _File.model_validate_json(path.read_bytes()).records)
        except (OSError, ValidationError) as error:
            raise UserError(
                f"{path}: found something else than measurements of benchmarks/funnel.py ({error}); expected "
                "those, or no such file. Name another one with --output."
            ) from error

    def find(self, pair: Pair) -> Measured | None:
        """What came of a pair with these very settings; None where it has not been measured."""
        record = self._records.get(pair.place)
        return record.measured if record and record.pair == pair else None

    def add(self, pair: Pair, measured: Measured) -> None:
        """Keeps a measurement, also in the file: written aside, then renamed."""
        self._records[pair.place] = Record(pair=pair, measured=measured)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f"{self.path.name}.new")
        aside.write_text(_File(records=tuple(self._records.values())).model_dump_json(indent=1))
        os.replace(aside, self.path)
