from __future__ import annotations

import numpy as np
import pytest

from components.ingest.declaration import TimeSplit
from components.ingest.split import CutPoints, MergeDistributions, TimeDistribution, cut_points


def test_distinct_moments_are_cut_at_exactly_the_declared_shares() -> None:
    distribution = TimeDistribution.of(np.arange(1000, 2000))
    cuts = cut_points(distribution, TimeSplit(eval=0.1, test=0.2))
    assert cuts == CutPoints(1700, 1800)
    assert np.bincount(cuts.split_of(distribution.seconds)).tolist() == [700, 100, 200]


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


def test_a_distribution_merged_in_pieces_is_that_of_the_whole() -> None:
    seconds = np.random.default_rng(2).integers(0, 500, 9_000)
    combine = MergeDistributions()
    halves = [combine.create_accumulator(), combine.create_accumulator()]
    for index, part in enumerate(np.array_split(seconds, 60)):
        halves[index % 2] = combine.add_input(halves[index % 2], TimeDistribution.of(part))
    merged = combine.extract_output(combine.merge_accumulators(halves))
    whole = TimeDistribution.of(seconds)
    np.testing.assert_array_equal(merged.seconds, whole.seconds)
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert merged.total == 9_000
