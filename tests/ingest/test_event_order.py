"""Data without times: rows or a column say the order, and nothing downstream needs more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from components.ingest.declaration import EVENT_ORDER, Declaration, TimeSplit
from components.ingest.event_order import places_within, row_places, shown_place, shown_row
from components.ingest.example_schema import interaction_features
from components.ingest.examples import string_entries
from components.ingest.files.rows import Rows
from components.ingest.partition import Catalogue, Partition
from components.ingest.plan import InteractionPlan
from components.ingest.query import read_query
from components.ingest.split import SPLITS, TimeDistribution, cut_points
from components.ingest.validation import validate
from tests.fixtures.example_values import example_values


def declare(timestamp: dict[str, Any], split: dict[str, Any] | None = None, **log: Any) -> Declaration:
    return Declaration.model_validate(
        {
            "interactions": {
                "sources": [{"files": "*.csv"}],
                "query_id": "who",
                "candidate_id": "what",
                "timestamp": timestamp,
                **log,
            },
            "candidates": {"files": "items/all.csv", "id": "what"},
            "split": split or {"kind": "leave_last_out"},
        }
    )


ROWS = {"order": "rows"}
STEP = {"order": "column", "column": "step"}
BY_TIME = {"kind": "time"}


@pytest.mark.parametrize(
    ("timestamp", "split", "log", "said"),
    [
        ({}, None, {}, "column is missing: name the column of the times"),
        ({"order": "column"}, None, {}, "order: column with a column"),
        ({"order": "rows", "column": "at"}, None, {}, "found column 'at' with order: rows"),
        ({"order": "row", "column": "at"}, None, {}, "'time', 'column' or 'rows'"),
        (STEP, BY_TIME, {}, "split: {kind: leave_last_out}"),
        (ROWS, None, {"since": "2024-01-01"}, "Remove since"),
        (STEP, None, {"since": "2024-01-01"}, "Remove since"),
        (STEP, None, {"cancellations": {"count": "..-1"}}, "Remove cancellations"),
        (ROWS, None, {"context": {"at": {"kind": "timestamp"}}}, "'at' is of kind timestamp"),
        (STEP, None, {"context": {"step": {"kind": "numeric"}}}, "'step' is the column that orders"),
        ({**ROWS, "unit": "ms"}, None, {}, "found unit with order: rows"),
        ({**STEP, "format": "%Y-%m-%d"}, None, {}, "found format with order: column"),
        ({**STEP, "timezone": "Europe/Berlin"}, None, {}, "found timezone with order: column"),
        ({"column": "at", "format": "%Y-%m"}, None, {}, "lacks a day"),
        ({"column": "at", "format": "%Y-%m-%d", "unit": "ms"}, None, {}, "both unit: ms and format"),
        (ROWS, None, {"context": {EVENT_ORDER: {"kind": "numeric"}}}, "taken by ingestion"),
    ],
)
def test_what_needs_a_time_that_is_not_there_is_refused(timestamp, split, log, said) -> None:
    with pytest.raises(ValidationError) as error:
        declare(timestamp, split, **log)
    assert said in str(error.value)


def test_rows_may_be_split_by_their_order() -> None:
    assert declare(ROWS, BY_TIME).split.kind == "time"


def test_a_declaration_without_time_survives_json() -> None:
    for timestamp in (ROWS, STEP, {"column": "at", "format": "rfc2822"}):
        declaration = declare(timestamp)
        assert Declaration.model_validate_json(declaration.model_dump_json()) == declaration
        plan = InteractionPlan.of(declaration)
        assert InteractionPlan.model_validate_json(plan.model_dump_json()) == plan


def test_places_of_rows_ascend_over_files_and_are_shown_as_people_count() -> None:
    places = np.concatenate([row_places(0, np.array([1, 2, 7])), row_places(3, np.array([1, 1_234]))])
    assert (np.diff(places) > 0).all()
    assert [shown_row(int(place)) for place in places] == [
        "row 1",
        "row 2",
        "row 7",
        "file 4, row 1",
        "file 4, row 1,234",
    ]
    assert shown_place("column", 3) == "–"


@pytest.mark.parametrize(
    ("queries", "order", "expected"),
    [
        ([], [], []),
        ([0], [9], [0]),
        ([0, 0, 0], [5, 6, 9], [0, 1, 2]),
        ([0, 0, 0, 0], [5, 5, 6, 6], [0, 0, 1, 1]),
        ([0, 1, 1, 2], [5, 5, 6, 6], [0, 0, 1, 0]),
        ([0, 0, 1, 1], [0.25, 0.5, 0.5, 0.5], [0, 1, 0, 0]),
    ],
)
def test_a_place_counts_the_earlier_places_of_the_same_query(queries, order, expected) -> None:
    assert places_within(np.array(queries), np.array(order)).tolist() == expected


@pytest.mark.parametrize(
    ("cells", "order", "reasons"),
    [
        (["1", "2", "10"], [1, 2, 10], []),
        (["1.5", "-2", "1e3"], [1.5, -2, 1000], []),
        (["9007199254740992", "1", "2"], [2**53, 1, 2], []),
        (["9007199254740993000", "1", "2"], [1, 2], ["order is beyond 9,007,199,254,740,992"]),
        (["first", "1", ""], [1], ["timestamp is not a finite number", "timestamp missing"]),
    ],
)
def test_a_column_of_numbers_orders_and_what_is_no_number_is_a_dead_letter(cells, order, reasons) -> None:
    plan = InteractionPlan.of(declare(STEP))
    batch = pa.record_batch({"who": ["u"] * 3, "what": ["a"] * 3, "step": cells})
    found = validate(
        Rows("log.csv", np.arange(1, 4), batch), plan.interactions.sources[0], plan, pa.array(["a"])
    )
    assert found.usable["timestamp"].to_pylist() == order
    for letter, reason in zip(found.refused.to_pylist(), reasons, strict=True):
        assert letter["reason"].startswith(reason) and letter["column"] == "step"


LOG = [
    ("v", "a", 10),
    ("u", "b", 3),
    ("u", "a", 1),
    ("v", "b", 2),
    ("u", "c", 3),
    ("u", "d", 7),
    ("v", "d", 11),
]


def examples(declaration: Declaration, rows: list[tuple[str, str, float]]) -> dict[tuple[str, str], tuple]:
    """Query and candidate of each example to its order, history, ages and split."""
    plan, ids = InteractionPlan.of(declaration), pa.array(["a", "b", "c", "d"])
    who, what, step = zip(*rows, strict=True)
    batch = pa.record_batch({"who": who, "what": what, "step": pa.array(step)})
    found = validate(
        Rows("log.csv", np.arange(1, len(rows) + 1), batch), plan.interactions.sources[0], plan, ids
    )
    partition = Partition(plan, Catalogue(ids, string_entries(ids)), [found.usable], None)
    cuts = None
    if isinstance(plan.split, TimeSplit):
        cuts = cut_points(TimeDistribution.of(found.usable["timestamp"].to_numpy()), plan.split)
    made = {}
    encoded = partition.encode(np.arange(partition.count)).to_pylist()
    for code, example in zip(partition.splits(cuts), encoded, strict=True):
        v = example_values(example)
        made[v["who"][0], v["what"][0]] = (
            v[EVENT_ORDER][0],
            "".join(v["history"]),
            v["history_age"],
            SPLITS[code],
        )
        assert "step" not in v and v.keys() == {f.name for f in interaction_features(declaration)}
    return made


def test_examples_of_ordered_rows_know_the_rows_above_and_split_at_a_row() -> None:
    split = {"kind": "time", "eval": 2 / 7, "test": 1 / 7}
    assert examples(declare(ROWS, split), LOG) == {
        ("v", "a"): (0, "", [], "train"),
        ("u", "b"): (0, "", [], "train"),
        ("u", "a"): (1, "b", [1], "train"),
        ("v", "b"): (1, "a", [1], "train"),
        ("u", "c"): (2, "ba", [2, 1], "eval"),
        ("u", "d"): (3, "bac", [3, 2, 1], "eval"),
        ("v", "d"): (2, "ab", [2, 1], "test"),
    }


def test_examples_of_an_ordering_column_know_smaller_numbers_whatever_the_rows_order() -> None:
    made = examples(declare(STEP), LOG)
    assert made == examples(declare(STEP), LOG[::-1])
    assert made == examples(declare(STEP), [(who, what, step / 4 - 9) for who, what, step in LOG])
    assert made == {
        ("u", "a"): (0, "", [], "train"),
        ("u", "b"): (1, "a", [1], "train"),
        ("u", "c"): (1, "a", [1], "eval"),  # the same number as b: neither is in the other's history
        ("u", "d"): (2, "abc", [2, 1, 1], "test"),
        ("v", "b"): (0, "", [], "train"),
        ("v", "a"): (1, "b", [1], "eval"),
        ("v", "d"): (2, "ba", [2, 1], "test"),
    }


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "all.csv").write_text("what\na\nb\nc\nd\n")
    (tmp_path / "1.csv").write_text("who,what,step\nada,b,30\nbob,a,1\nada,a,20\n")
    (tmp_path / "2.csv").write_text("who,what,step\nada,d,10\nada,b,40\nada,c,40\n")
    return tmp_path


def test_a_users_history_is_in_the_order_of_files_and_rows(shop) -> None:
    record = read_query(declare(ROWS), str(shop), "ada")
    assert record.history == ["b", "a", "d", "b", "c"]
    assert record.history_timestamps == [0, 1, 2, 3, 4] and record.next_place == 5
    assert record.latest_in_log is None
    nobody = read_query(declare(ROWS), str(shop), "eve")
    assert (nobody.history, nobody.next_place) == ([], 0)


def test_a_users_history_is_in_the_order_of_the_column(shop) -> None:
    record = read_query(declare(STEP), str(shop), "ada")
    assert record.history == ["d", "a", "b", "b", "c"]
    # Equal numbers are one place: which came first is not known.
    assert record.history_timestamps == [0, 1, 2, 3, 3] and record.next_place == 4
