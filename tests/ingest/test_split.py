from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest import split
from components.ingest.declaration import TimeSplit
from components.ingest.split import CutPoints, TimeDistribution, cut_points, leave_last_out


def test_distinct_moments_are_cut_at_exactly_the_declared_shares() -> None:
    distribution = TimeDistribution.of(np.arange(1000, 2000))
    cuts = cut_points(distribution, TimeSplit(eval=0.1, test=0.2))
    assert cuts == CutPoints(1700, 1800)
    assert np.bincount(cuts.split_of(distribution.moments)).tolist() == [700, 100, 200]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        # 10 interactions, wanted 8 + 1 + 1: the six of second 5 stay together, so the cuts lie around them.
        ([1, 2, 3, 5, 5, 5, 5, 5, 5, 9], CutPoints(9, 9)),
        ([1, 2, 3, 4, 5, 6, 7, 8, 8, 9], CutPoints(8, 9)),
    ],
)
def test_interactions_of_one_second_are_never_divided(seconds: list[int], expected: CutPoints) -> None:
    assert cut_points(TimeDistribution.of(np.array(seconds)), TimeSplit()) == expected


def test_no_interactions_have_no_cut_points() -> None:
    assert cut_points(TimeDistribution.merged([]), TimeSplit()) is None


@settings(max_examples=50, deadline=None)
@given(
    seconds=st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=300),
    most=st.integers(2, 50),
    pieces=st.integers(1, 6),
)
def test_a_distribution_is_bounded_and_the_same_however_it_was_merged(seconds, most, pieces) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "MOST_MOMENTS", most)
        whole = TimeDistribution.of(np.array(seconds))
        parts = np.array_split(np.random.default_rng(1).permutation(seconds), pieces)
        merged = TimeDistribution.merged(TimeDistribution.of(part) for part in parts)
        twice = TimeDistribution.merged([merged, TimeDistribution.merged([])])
    for found in (merged, twice):
        assert found.shift == whole.shift and len(found.moments) <= most
        np.testing.assert_array_equal(found.moments, whole.moments)
        np.testing.assert_array_equal(found.counts, whole.counts)
        assert found.total == len(seconds)
    # No coarser than it must be.
    assert not whole.shift or len({second >> (whole.shift - 1) for second in seconds}) > most


def slow_leave_last_out(events: list[tuple[int, bool]]) -> list[int]:
    """Splits of one query's events after another, by counting the positives that follow."""
    splits = []
    for row, (query, _) in enumerate(events):
        own = [index for index, event in enumerate(events) if event[0] == query and event[1]]
        if len(own) < 3 or row < own[-2]:
            splits.append(split.TRAIN)
        else:
            splits.append(split.TEST if row >= own[-1] else split.EVAL)
    return splits


@settings(max_examples=200, deadline=None)
@given(events=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_the_last_positives_of_each_query_are_left_out(events: list[tuple[int, bool]]) -> None:
    events = sorted(events, key=lambda event: event[0])
    queries, positive = np.array([e[0] for e in events], int), np.array([e[1] for e in events], bool)
    assert leave_last_out(queries, positive).tolist() == slow_leave_last_out(events)
