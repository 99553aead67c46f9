"""A raw log through the real executors: rows left out, columns made, returns, the log as its catalogue."""

from __future__ import annotations

import json

from components.ingest.declaration import Declaration

RAW = """invoice,customer,code,size,qty,price,at
1,17 ,ab1,S,2,1.50,1000000001
2,17,AB1,L,1,2.00,1000000002
3,18,ab1,s,1,,1000000003
C4,17,AB1,S,-2,1.50,1000000004
5,,ab1,S,1,1.00,1000000005
6,17,cd2,S,3,9.00,1000000006
7,18,cd2,S,1,8.00,1000000007
8,19,ab1,S,1,1.75,1000000008
test,19,zz9,S,1,1.00,1000000009
9,17,ab1,S,1,1.25,1000000010
"""


def _declared() -> Declaration:
    return Declaration(
        interactions={
            "sources": [
                {
                    "files": "log.csv",
                    "columns": {"user": "customer"},
                    "clean": {
                        "user": {"trim": True},
                        "code": {"case": "upper"},
                        "size": {"case": "upper"},
                    },
                    "derive": {"item": {"columns": ["code", "size"], "separator": "-"}},
                    "where": {"user": "present", "invoice": {"not": "test*"}},
                }
            ],
            "query_id": "user",
            "candidate_id": "item",
            "timestamp": {"column": "at"},
            "cancellations": {"qty": "..-1", "invoice": "C*"},
        },
        candidates={
            "from": "interactions",
            "id": "item",
            "title": "code",
            "features": {"price": {"kind": "numeric"}},
        },
        split={"kind": "time", "eval": 0.3, "test": 0.15},
    )


def test_a_raw_log_becomes_histories_that_know_of_returns_and_a_catalogue(
    tmp_path, ingest, ingest_candidates, read_split
):
    data = tmp_path / "data"
    data.mkdir()
    (data / "log.csv").write_text(RAW)
    catalogue = read_split(ingest_candidates(data, _declared()), "catalogue")
    assert [(row["item"], row["code"], row["price"]) for row in catalogue] == [
        (["AB1-L"], ["AB1"], [2.0]),
        (["AB1-S"], ["AB1"], [1.25]),
        (["CD2-S"], ["CD2"], [8.0]),
    ]
    uri = ingest(data, _declared())
    examples = [example for split in ("train", "eval", "test") for example in read_split(uri, split)]
    found = {(row["user"][0], row["item"][0], row["at"][0] % 100): row for row in examples}
    # What user 17 bought at 1 was returned at 4, within the train split.
    assert sorted(found) == [
        ("17", "AB1-L", 2),
        ("17", "AB1-S", 10),
        ("17", "CD2-S", 6),
        ("18", "AB1-S", 3),
        ("18", "CD2-S", 7),
        ("19", "AB1-S", 8),
    ]
    assert found["17", "AB1-L", 2]["history"] == ["AB1-S"]
    assert found["17", "CD2-S", 6]["history"] == ["AB1-L"]
    assert found["17", "AB1-S", 10]["history"] == ["AB1-L", "CD2-S"]
    assert found["17", "AB1-S", 10]["repeat"] == [0.0]
    summary = json.loads((uri / "ingestion.json").read_text())
    counts = {
        name: summary[name]
        for name in ("rows", "bad", "left_out", "cancellations", "cancelled", "candidates")
    }
    assert counts == {
        "rows": 10,
        "bad": 0,
        "left_out": 2,
        "cancellations": 1,
        "cancelled": 1,
        "candidates": 3,
    }
