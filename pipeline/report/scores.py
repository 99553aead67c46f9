"""An evaluation's numbers, looked up by slice and metric."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

from components.evaluate.config import POSITIVE_PROBABILITY, all_later, lower_is_better, new_to_query
from components.evaluate.results import OVERALL, MetricValue
from pipeline.against_baselines import has_repeats, trained_in

# From the busiest or best known to the unknown; other values keep their own order.
_ORDER = ("known", "head", "middle", "tail", "cold")


@dataclasses.dataclass(frozen=True)
class Scores:
    """The numbers of one split.

    Attributes:
        values: By slice, model (``candidate`` or ``baseline``) and ``<rival>/<metric>``.
    """

    values: Mapping[tuple[str, str, str], float]

    @classmethod
    def of(cls, metrics: Iterable[MetricValue]) -> Scores:
        """Arranges what :func:`components.evaluate.results.read_metrics` returns."""
        return cls({(m.slice, m.model, f"{m.rival}/{m.name}"): m.value for m in metrics})

    def value(self, metric: str, slice_: str = OVERALL, model: str = "candidate") -> float:
        """A number; NaN where it was not computed.

        Args:
            metric: As in ``retrieve/recall@10``.
            slice_: As in ``query_activity:1-5``.
            model: ``candidate``, or ``baseline`` for the model pushed before.
        """
        return self.values.get((slice_, model, metric), math.nan)

    def has(self, metric: str) -> bool:
        """Whether a metric was measured at all, be it over nothing."""
        return (OVERALL, "candidate", metric) in self.values

    def overall(self) -> dict[str, float]:
        """The numbers of the model and its rivals over all slices, by ``<rival>/<metric>``."""
        return {
            m: v for (slice_, model, m), v in self.values.items() if (slice_, model) == (OVERALL, "candidate")
        }

    @property
    def has_repeats(self) -> bool:
        """Whether lists were measured with repeats, and once more over candidates new to the query."""
        return has_repeats(self.overall())

    @property
    def later_rivals(self) -> tuple[str, ...]:
        """Makers of lists over all later interactions."""
        return all_later(self.has_repeats, trained_in(self.overall()))

    @property
    def new_rivals(self) -> tuple[str, ...]:
        """Makers of lists over interactions with candidates new to the query, where there are any."""
        return new_to_query(trained_in(self.overall()))

    @property
    def heads(self) -> tuple[str, ...]:
        """The probability heads that were measured, ``positive`` first."""
        overall = self.overall()
        found = sorted(name.removesuffix("/auc") for name in overall if name.endswith("/auc"))
        return tuple(sorted(found, key=lambda head: head != POSITIVE_PROBABILITY))

    @property
    def has_baseline(self) -> bool:
        """Whether the model pushed before was measured, too."""
        return any(model == "baseline" for _, model, _ in self.values)

    def slice_features(self) -> list[str]:
        """Names of the features the evaluation is sliced by."""
        return sorted({slice_.partition(":")[0] for slice_, _, _ in self.values if slice_ != OVERALL})

    def slice_values(self, feature: str) -> list[str]:
        """Values of a slicing feature that occur, in an order that reads well."""
        prefix = f"{feature}:"
        found = {slice_.removeprefix(prefix) for slice_, _, _ in self.values if slice_.startswith(prefix)}
        return sorted(found, key=_rank)


def _rank(value: str) -> tuple[int, int, str]:
    """Ranges by their first number, words as in ``_ORDER``."""
    number = re.match(r"\d+", value)
    if number:
        return 0, int(number.group()), value
    return 1, _ORDER.index(value) if value in _ORDER else len(_ORDER), value


def is_better(metric: str, value: float, other: float) -> bool:
    """Whether a value of ``<rival>/<metric>`` beats another; never where either is NaN."""
    return value < other if lower_is_better(metric) else value > other
