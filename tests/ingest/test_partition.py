"""A partition against a slow, obviously right reference, over random logs and every kind of split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest.declaration import Declaration
from components.ingest.examples import string_entries
from components.ingest.partition import Catalogue, Partition
from components.ingest.plan import InteractionPlan
from components.ingest.split import SPLITS, TimeDistribution, cut_points
from components.ingest.validation import usable_schema
from tests.fixtures.example_values import example_values

CANDIDATES = ["a", "b", "c"]
WEIGHTS = {"view": 0.0, "click": 1.0, "buy": 5.0}
SPLIT_KINDS: list[dict[str, Any]] = [
    {"kind": "time", "eval": 0.2, "test": 0.2},
    {"kind": "leave_last_out"},
    {"kind": "column", "column": "fold"},
]
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "query": st.sampled_from(["u", "v", "w"]),
            "timestamp": st.integers(0, 9),
            "candidate": st.integers(0, len(CANDIDATES) - 1),
            "action": st.integers(0, len(WEIGHTS) - 1),
            "split": st.integers(0, 2),
            "context:device": st.sampled_from([None, "tv", "phone"]),
        }
    ),
    min_size=1,
    max_size=40,
)


def plan_of(
    split: Mapping[str, Any], duplicates: str, length: int, actions: list[str] | None
) -> InteractionPlan:
    return InteractionPlan.of(
        Declaration.model_validate(
            {
                "interactions": {
                    "sources": [{"files": "log.csv"}],
                    "query_id": "who",
                    "candidate_id": "what",
                    "timestamp": {"column": "when"},
                    "actions": {"column": "did", "weights": WEIGHTS},
                    "context": {"device": {"kind": "vocabulary"}},
                    "duplicates": duplicates,
                },
                "candidates": {"files": "catalogue.csv", "id": "what"},
                "history": {"length": length, **({"actions": actions} if actions else {})},
                "split": dict(split),
            }
        )
    )


def make(plan: InteractionPlan, rows: list[dict[str, Any]]) -> tuple[list[tuple[str, bytes]], Partition]:
    """Every example with its split, and the partition."""
    schema = usable_schema(plan)
    shown = [{name: row.get(name, 0) for name in schema.names} for row in rows]
    ids = pa.array(CANDIDATES)
    partition = Partition(
        plan, Catalogue(ids, string_entries(ids)), [pa.RecordBatch.from_pylist(shown, schema=schema)], None
    )
    cuts = None
    if plan.split.kind == "time":
        cuts = cut_points(TimeDistribution.of(np.array([row["timestamp"] for row in rows])), plan.split)
    codes = partition.splits(cuts)
    encoded = partition.encode(np.arange(partition.count)).to_pylist()
    return [(SPLITS[code], example) for code, example in zip(codes, encoded, strict=True)], partition


def reference(plan: InteractionPlan, rows: list[dict[str, Any]], actions: list[str]) -> list[tuple[Any, ...]]:
    """Split, ids, labels and history of every row, by looking at all the others each time."""
    names = list(WEIGHTS)
    distinct: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = (row["query"], row["timestamp"], row["candidate"], row["action"])
        known = distinct.get(key)
        # Of rows that differ in context alone, the one written last in the alphabet stays.
        if known is None or shown(row) > shown(known):
            distinct[key] = row
    kept = list(distinct.values()) if plan.interactions.duplicates == "drop" else rows
    kept = sorted(kept, key=lambda r: (r["query"], r["timestamp"], r["candidate"], r["action"], shown(r)))
    cuts = None
    if plan.split.kind == "time":
        cuts = cut_points(TimeDistribution.of(np.array([row["timestamp"] for row in rows])), plan.split)
    expected = []
    for place, row in enumerate(kept):
        own = [other for other in kept if other["query"] == row["query"]]
        earlier = [other for other in own if other["timestamp"] < row["timestamp"]]
        history = [o for o in earlier if names[o["action"]] in actions][-plan.history.length :]
        weight = WEIGHTS[names[row["action"]]]
        again = any(o["candidate"] == row["candidate"] and WEIGHTS[names[o["action"]]] > 0 for o in earlier)
        expected.append(
            (
                split_of(plan, kept, place, cuts),
                row["query"],
                CANDIDATES[row["candidate"]],
                names[row["action"]],
                [CANDIDATES[o["candidate"]] for o in history],
                [float(row["timestamp"] - o["timestamp"]) for o in history],
                [names[o["action"]] for o in history] if len(actions) > 1 else None,
                float(weight > 0),
                weight or 1.0,
                float(again),
                [row["context:device"]] if row["context:device"] else [],
            )
        )
    return expected


def shown(row: dict[str, Any]) -> str:
    return repr({"split": row["split"], "context:device": row["context:device"]})


def split_of(plan: InteractionPlan, kept: list[dict[str, Any]], place: int, cuts: Any) -> str:
    row = kept[place]
    if plan.split.kind == "column":
        return SPLITS[row["split"]]
    if plan.split.kind == "time":
        return SPLITS[sum(row["timestamp"] >= cut for cut in cuts)]
    names = list(WEIGHTS)
    liked = [
        index
        for index, other in enumerate(kept)
        if other["query"] == row["query"] and WEIGHTS[names[other["action"]]] > 0
    ]
    if len(liked) < 3 or place < liked[-2]:
        return "train"
    return "test" if place >= liked[-1] else "eval"


@pytest.mark.parametrize("split", SPLIT_KINDS, ids=lambda split: split["kind"])
@pytest.mark.parametrize("duplicates", ["keep", "drop"])
@settings(max_examples=60, deadline=None)
@given(
    rows=ROWS,
    length=st.integers(1, 4),
    actions=st.sampled_from([None, ["view"], ["view", "buy"]]),
    order=st.randoms(),
)
def test_examples_are_those_of_the_slow_reference_whatever_the_rows_order(
    split, duplicates, rows, length, actions, order
) -> None:
    if split["kind"] != "column":
        rows = [{**row, "split": 0} for row in rows]
    plan = plan_of(split, duplicates, length, actions)
    made, partition = make(plan, rows)
    expected = reference(plan, rows, actions or ["click", "buy"])
    found = []
    for name, example in made:
        v = example_values(example)
        found.append(
            (name, v["who"][0], v["what"][0], v["action"][0], v["history"], v["history_age"],
             v.get("history_action"), v["positive"][0], v["weight"][0], v["repeat"][0], v["device"])
        )  # fmt: skip
    assert found == expected
    assert len(made) + partition.duplicates.num_rows == len(rows)

    order.shuffle(rows)
    again, _ = make(plan, rows)
    assert again == made


def test_duplicates_as_dead_letters_name_the_row_that_was_dropped() -> None:
    plan = plan_of({"kind": "leave_last_out"}, "dead_letter", 3, None)
    row = {"query": "u", "timestamp": 1, "candidate": 1, "action": 1, "context:device": "tv"}
    _, partition = make(plan, [{**row, "file": 0, "row": 7}, {**row, "file": 1, "row": 9}])
    (letter,) = partition.duplicate_letters(["one.csv", "two.csv"]).to_pylist()
    assert (letter["file"], letter["row"]) in {("one.csv", 7), ("two.csv", 9)}
    assert letter["column"] == "what" and letter["value"] == "b"
    assert "repeats another row" in letter["reason"]
