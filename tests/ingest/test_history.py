from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest.history import history_windows, repeats

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
    queries, seconds, eligible = (
        np.array([event[place] for event in events], kind)
        for place, kind in enumerate((np.int64, np.int64, bool))
    )
    windows = history_windows(queries, seconds, eligible, length)
    rows = list(range(len(events)))
    picks.shuffle(rows)

    offsets, found = windows.gather(np.array(rows, np.int64))

    expected = slow_histories(events, length)
    lists = [part.tolist() for part in np.split(found, offsets[1:-1])] if rows else []
    assert lists == [expected[row] for row in rows]


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


@settings(max_examples=200, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 8), st.integers(0, 3), st.booleans()), max_size=40
    )
)
def test_a_repeat_is_a_candidate_liked_strictly_earlier_by_the_same_query(events) -> None:
    events = sorted(events)
    queries, seconds, candidates = (np.array([e[i] for e in events], np.int64) for i in range(3))
    positive = np.array([event[3] for event in events], bool)
    expected = [
        any(e[0] == query and e[2] == candidate and e[1] < second and e[3] for e in events)
        for query, second, candidate, _ in events
    ]
    assert repeats(queries, candidates, seconds, positive).tolist() == expected
