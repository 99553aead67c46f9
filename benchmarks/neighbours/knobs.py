"""How far an index's knob has to be turned up for a recall."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

_PRECISION = 16
"""The knob is found to a sixteenth of its value."""


@dataclass(frozen=True)
class Ladder:
    """Values of an index's main knob, upward.

    Attributes:
        knob: Its name, for the table.
        start: The least value worth trying.
        limit: The most.
        others: What else is set meanwhile, by name.
    """

    knob: str
    start: int
    limit: int
    others: tuple[tuple[str, int], ...] = ()

    def setting(self, value: int) -> Setting:
        """All knobs with the main one at that value."""
        return {self.knob: value, **dict(self.others)}


Setting = dict[str, int]
"""Knobs by name."""


@dataclass(frozen=True)
class Tuned:
    """A setting and the recall it was chosen for, on the queries for tuning."""

    setting: Setting
    recall: float


def tune(
    ladders: Iterable[Ladder],
    recall: Callable[[Setting], float],
    seconds: Callable[[Setting], float],
    target: float,
) -> Tuned:
    """The quickest of the settings that reach the target, the least on each ladder; else that of most recall.

    Args:
        ladders: At least one.
        recall: Measures a setting.
        seconds: Measures what a setting takes.
        target: Recall to reach.
    """
    tried = [_climb(ladder, recall, target) for ladder in ladders]
    reached = [tuned for tuned in tried if tuned.recall >= target]
    if len(reached) == 1:
        return reached[0]
    if reached:
        return min(reached, key=lambda tuned: seconds(tuned.setting))
    return max(tried, key=lambda tuned: tuned.recall)


def _climb(ladder: Ladder, recall: Callable[[Setting], float], target: float) -> Tuned:
    """Doubles until the target is reached or the limit is, then halves the last interval."""
    too_little, enough = ladder.start - 1, ladder.start
    found = recall(ladder.setting(enough))
    while found < target:
        if enough == ladder.limit:
            return Tuned(ladder.setting(enough), found)
        too_little, enough = enough, min(2 * enough, ladder.limit)
        found = recall(ladder.setting(enough))
    while enough - too_little > max(1, enough // _PRECISION):
        middle = (too_little + enough) // 2
        of_middle = recall(ladder.setting(middle))
        if of_middle >= target:
            enough, found = middle, of_middle
        else:
            too_little = middle
    return Tuned(ladder.setting(enough), found)
