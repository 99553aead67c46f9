"""Returns and refunds: what they cancel, and what the past knows of it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.ingest.declaration import Declaration
from components.ingest.examples import string_entries
from components.ingest.files.rows import Rows
from components.ingest.partition import CANCELLED, Catalogue, Partition
from components.ingest.plan import InteractionPlan
from components.ingest.split import CutPoints
from components.ingest.validation import validate

ITEMS = ["a", "b", "c"]
NEVER = 10**18


def _plan(**changes: Any) -> InteractionPlan:
    interactions = {
        "sources": [{"files": "log.csv"}],
        "query_id": "user",
        "candidate_id": "item",
        "timestamp": {"column": "at", "earliest": "1970-01-01"},
        "cancellations": {"qty": "..-1"},
    }
    return InteractionPlan.of(
        Declaration(
            interactions={**interactions, **changes.pop("interactions", {})},
            candidates={"files": "items.csv", "id": "item"},
            **changes,
        )
    )


def _partition(
    plan: InteractionPlan, rows: list[tuple[str, str, int, int]], **columns: list[Any]
) -> Partition:
    cells = dict(zip(("user", "item", "at", "qty"), zip(*rows, strict=True), strict=True))
    batch = pa.record_batch({**{name: list(cell) for name, cell in cells.items()}, **columns})
    ids = pa.array(ITEMS)
    read = Rows("log.csv", np.arange(1, len(rows) + 1), batch)
    found = validate(read, plan.interactions.sources[0], plan, ids)
    assert not found.refused.num_rows
    return Partition(plan, Catalogue(ids, string_entries(ids)), [found.usable], None)


def _histories(partition: Partition) -> list[str]:
    offsets, events = partition._windows.gather(np.arange(partition.count))
    names = [ITEMS[row] for row in partition.candidate_rows[events].tolist()]
    return ["".join(names[first:last]) for first, last in itertools.pairwise(offsets)]


def _of_a(*events: tuple[int, int]) -> list[tuple[str, str, int, int]]:
    return [("u", "a", at, quantity) for at, quantity in events]


@pytest.mark.parametrize(
    ("rows", "cancelled"),
    [
        pytest.param([("u", "a", 1, 5), ("u", "a", 9, -1)], [9], id="the one before"),
        pytest.param([("u", "a", 1, 5), ("u", "a", 2, 1), ("u", "a", 9, -1)], [0, 9], id="the latest"),
        pytest.param(_of_a((1, 1), (2, 1), (8, -1), (9, -1)), [9, 8], id="both"),
        pytest.param([("u", "a", 1, 1), ("u", "a", 8, -1), ("u", "a", 9, -1)], [8], id="none twice"),
        pytest.param([("u", "a", 5, 1), ("u", "a", 5, -1)], [0], id="none of its own moment"),
        pytest.param([("u", "a", 5, 1), ("u", "a", 4, -1)], [0], id="none later"),
        pytest.param([("u", "a", 1, 1), ("u", "b", 9, -1), ("v", "a", 9, -1)], [0], id="no other's"),
        pytest.param(_of_a((1, 1), (4, -1), (6, 1), (9, -1)), [4, 9], id="in turn"),
        pytest.param(_of_a((1, 1), (9, -1), (9, -1)), [9], id="a repeat counts once"),
    ],
)  # fmt: skip
def test_a_cancellation_cancels_the_latest_earlier_one_not_cancelled_yet(rows, cancelled):
    partition = _partition(_plan(), rows)
    assert partition.count == len(cancelled)
    assert np.where(partition.cancelled < NEVER, partition.cancelled, 0).tolist() == cancelled


def test_a_history_holds_an_event_until_it_is_cancelled():
    rows = [
        ("u", "a", 1, 1),
        ("u", "b", 3, 1),
        ("u", "a", 5, -2),
        ("u", "c", 5, 1),
        ("u", "a", 6, 1),
        ("u", "c", 7, 1),
    ]
    partition = _partition(_plan(), rows)
    assert _histories(partition) == ["", "a", "ab", "bc", "bca"]
    assert partition._repeat.tolist() == [False, False, False, False, True]
    # As of the end of the log.
    assert [ITEMS[row] for row in partition.candidate_rows[partition.events]] == ["b", "c", "a", "c"]


@pytest.mark.parametrize(
    ("at", "cuts", "splits"),
    [
        pytest.param(4, CutPoints(10, 20), [CANCELLED, 0], id="in train"),
        pytest.param(12, CutPoints(10, 20), [0, 0], id="not known before eval starts"),
        pytest.param(10, CutPoints(10, 20), [0, 0], id="at eval's first moment"),
        pytest.param(15, CutPoints(0, 20), [CANCELLED, 1], id="in eval"),
        pytest.param(25, CutPoints(0, 20), [1, 1], id="later than eval"),
    ],
)
def test_by_time_a_target_is_left_out_where_it_is_cancelled_in_its_own_split(at, cuts, splits):
    partition = _partition(_plan(), [("u", "a", 1, 1), ("u", "b", 2, 1), ("u", "a", at, -1)])
    assert partition.splits(cuts).tolist() == splits


def test_leaving_the_last_out_leaves_out_all_that_is_cancelled_first():
    plan = _plan(split={"kind": "leave_last_out"})
    rows = [("u", item, at, 1) for at, item in enumerate("abca", 1)]
    assert _partition(plan, rows).splits(None).tolist() == [0, 0, 1, 2]
    assert _partition(plan, [*rows, ("u", "a", 9, -1)]).splits(None).tolist() == [0, 1, 2, CANCELLED]


@pytest.mark.parametrize(("split", "codes"), [("train", [CANCELLED]), ("eval", [0])])
def test_by_column_the_cancellation_says_its_split(split, codes):
    plan = _plan(split={"kind": "column", "column": "part"})
    partition = _partition(plan, [("u", "a", 1, 1), ("u", "a", 9, -1)], part=["train", split])
    assert partition.splits(None).tolist() == codes


def test_a_cancellation_needs_no_rating_and_may_be_of_an_unknown_candidate():
    plan = _plan(interactions={"rating": {"column": "stars", "minimum": 1, "maximum": 5, "positive_from": 4}})
    cells = {
        "user": ["u", "u", "u"],
        "item": ["a", "a", "z"],
        "at": [1, 2, 3],
        "qty": [1, -1, -1],
        "stars": [5, None, None],
    }
    found = validate(
        Rows("f", np.arange(1, 4), pa.record_batch(cells)),
        plan.interactions.sources[0],
        plan,
        pa.array(ITEMS),
    )
    assert not found.refused.num_rows and found.cancellations == 2
    assert (
        found.usable.num_rows == 2
        and found.interactions.num_rows == 1
        and found.kept.tolist() == [True, False, False]
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("", "a", 5, -1), "query id missing"),
        (("u", "", 5, -1), "candidate id missing"),
        (("u", "a", None, -1), "timestamp missing"),
        (("u", "a", 5, "few"), "the condition on 'qty' under 'cancellations' needs a number"),
        (("u", "z", 5, 1), "candidate not in the catalogue"),
    ],
)
def test_a_cancellation_without_what_it_needs_is_a_bad_row(row, reason):
    plan = _plan()
    batch = pa.record_batch(
        {name: [cell] for name, cell in zip(("user", "item", "at", "qty"), row, strict=True)}
    )
    found = validate(Rows("f", np.array([7]), batch), plan.interactions.sources[0], plan, pa.array(ITEMS))
    (letter,) = found.refused.to_pylist()
    assert letter["row"] == 7 and reason in letter["reason"] and not found.cancellations


def _slowly(
    rows: list[tuple[str, str, int, int]], length: int
) -> list[tuple[str, str, int, int | None, list[str], bool]]:
    """Row by row: user, item, moment, when cancelled, history, repeat."""
    buys = sorted({row[:3] for row in rows if row[3] > 0})
    cancelled: dict[tuple[str, str, int], int] = {}
    for user, item, at in sorted({row[:3] for row in rows if row[3] < 0}, key=lambda row: row[2]):
        open_buys = [buy for buy in buys if buy[:2] == (user, item) and buy[2] < at and buy not in cancelled]
        if open_buys:
            cancelled[max(open_buys, key=lambda buy: buy[2])] = at
    found = []
    for user, item, at in sorted(buys, key=lambda buy: (buy[0], buy[2], buy[1])):
        known = [b for b in buys if b[0] == user and b[2] < at and cancelled.get(b, NEVER) >= at]
        known.sort(key=lambda buy: (buy[2], buy[1]))
        history = [buy[1] for buy in known][-length:]
        found.append(
            (user, item, at, cancelled.get((user, item, at)), history, item in [buy[1] for buy in known])
        )
    return found


@pytest.mark.parametrize("seed", range(30))
def test_against_a_slow_reference(seed):
    random = np.random.default_rng(seed)
    count, length = int(random.integers(1, 80)), int(random.integers(1, 6))
    rows = [
        (
            str(random.choice(["u", "v", "w"])),
            str(random.choice(ITEMS)),
            int(random.integers(1, 25)),
            int(random.choice([1, 1, 1, -1])),
        )
        for _ in range(count)
    ] + [("u", "a", 1, 1)]
    partition = _partition(_plan(history={"length": length}), rows)
    expected = _slowly(rows, length)
    assert partition.seconds.tolist() == [row[2] for row in expected]
    assert [ITEMS[row] for row in partition.candidate_rows] == [row[1] for row in expected]
    assert partition.cancelled.tolist() == [
        np.iinfo(np.int64).max if row[3] is None else row[3] for row in expected
    ]
    assert [list(history) for history in _histories(partition)] == [row[4] for row in expected]
    assert partition._repeat.tolist() == [row[5] for row in expected]
