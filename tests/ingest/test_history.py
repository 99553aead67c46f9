from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest.history import history_lists, history_windows

EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.booleans()), max_size=60)


def slow_histories(events: list[tuple[int, int, bool]], length: int) -> list[list[int]]:
    """Row numbers of each event's history, by looking at every other event."""
    histories = []
    for query, second, _ in events:
        earlier = [
            row
            for row, (other, then, liked) in enumerate(events)
            if other == query and then < second and liked
        ]
        histories.append(earlier[-length:])
    return histories


@settings(max_examples=200, deadline=None)
@given(events=EVENTS, length=st.integers(1, 5), picks=st.randoms())
def test_histories_are_those_of_the_slow_reference_in_any_row_order(events, length, picks) -> None:
    events = sorted(events, key=lambda event: event[:2])
    queries, seconds, positive = (np.array(x) for x in zip(*events, strict=True)) if events else ([], [], [])
    queries, seconds = np.array(queries, np.int64), np.array(seconds, np.int64)
    windows = history_windows(queries, seconds, np.array(positive, bool), length)
    rows = list(range(len(events)))
    picks.shuffle(rows)
    candidates = pa.array([f"c{row}" for row in range(len(events))], pa.string())

    ids, ages = history_lists(windows, np.array(rows, np.int64), candidates, seconds)

    expected = slow_histories(events, length)
    assert ids.to_pylist() == [[f"c{event}" for event in expected[row]] for row in rows]
    assert ages.to_pylist() == [[float(events[row][1] - events[e][1]) for e in expected[row]] for row in rows]


@pytest.mark.parametrize("length", [1, 7, 50])
def test_history_never_contains_the_future_nor_the_present(length: int) -> None:
    random = np.random.default_rng(1)
    queries = np.sort(random.integers(0, 20, 5_000))
    seconds = random.integers(0, 400, 5_000)
    order = np.lexsort([seconds, queries])
    queries, seconds = queries[order], seconds[order]
    windows = history_windows(queries, seconds, random.random(5_000) < 0.5, length)

    offsets, events = windows.gather(np.arange(5_000))

    owners = np.repeat(np.arange(5_000), np.diff(offsets))
    assert len(events) > 4_000
    assert (seconds[events] < seconds[owners]).all()
    assert (queries[events] == queries[owners]).all()
    assert np.diff(offsets).max() == length
