"""A catalogue made of the event log's own columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from components.ingest import log_catalogue
from components.ingest.declaration import Declaration
from components.ingest.errors import UserError
from components.ingest.log_catalogue import catalogue_of_log
from components.ingest.plan import CandidatePlan


def _declare(sources: list[dict[str, Any]] | None = None, **candidates: Any) -> Declaration:
    return Declaration(
        interactions={
            "sources": sources or [{"files": "log.csv"}],
            "query_id": "user",
            "candidate_id": "item",
            "timestamp": {"column": "at", "earliest": "1970-01-01"},
        },
        candidates={"from": "interactions", "id": "item", **candidates},
    )


def _features(**kinds: str) -> dict[str, dict[str, str]]:
    return {name: {"kind": kind} for name, kind in kinds.items()}


def _catalogue(declaration: Declaration, *logs: Path) -> list[dict[str, Any]]:
    plan = CandidatePlan.of(declaration)
    return catalogue_of_log(plan, {place: [str(log)] for place, log in enumerate(logs)}).to_pylist()


def _log(tmp_path: Path, text: str, name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param("u,a,100,2\nu,a,300,5\nu,a,200,3\n", 5.0, id="latest by time, not by row"),
        pytest.param("u,a,100,2\nu,a,300,\n", 2.0, id="a missing value overwrites nothing"),
        pytest.param("u,a,100,2\nu,a,100,4\n", 4.0, id="at one moment the later row"),
        pytest.param("u,a,100,\nv,a,200,NaN\n", None, id="never known"),
        pytest.param("u,a,100,2\n,a,300,9\n", 2.0, id="a row without a user is not usable"),
        pytest.param("u,a,100,2\nu,a,someday,9\n", 2.0, id="nor one without a time"),
    ],
)
def test_a_candidate_has_the_latest_known_value_of_a_usable_row(tmp_path, rows, expected):
    log = _log(tmp_path, "user,item,at,price\n" + rows)
    assert _catalogue(_declare(features=_features(price="numeric")), log) == [
        {"item": "a", "price": expected}
    ]


def test_each_column_has_its_own_latest_value(tmp_path):
    log = _log(
        tmp_path,
        "user,item,at,name,price,tags\nu,b,500,Beans,1,x|y\nu,a,100,Old,1,\nu,a,200,New,,x\nu,a,300,,7,\n",
    )
    declaration = _declare(title="name", features=_features(price="numeric", tags="multivalent"))
    assert _catalogue(declaration, log) == [
        {"item": "a", "name": "New", "price": 7.0, "tags": ["x"]},
        {"item": "b", "name": "Beans", "price": 1.0, "tags": ["x", "y"]},
    ]


def test_an_item_all_of_whose_rows_are_bad_is_no_candidate(tmp_path):
    log = _log(tmp_path, "user,item,at\nu,a,100\n,b,100\nu,c,\nu,,100\n")
    assert _catalogue(_declare(), log) == [{"item": "a"}]


def test_a_source_may_lack_columns_of_the_catalogue(tmp_path):
    views = _log(tmp_path, "user,item,at\nu,a,900\nu,z,900\n", "views.csv")
    orders = tmp_path / "orders.parquet"
    pq.write_table(pa.table({"user": ["u"], "item": ["a"], "at": [100], "price": [2.5]}), orders)
    sources = [{"files": "views.csv", "lacks": ["price"]}, {"files": "orders.parquet"}]
    declaration = _declare(sources, features=_features(price="numeric"))
    assert _catalogue(declaration, views, orders) == [
        {"item": "a", "price": 2.5},
        {"item": "z", "price": None},
    ]


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    log = _log(tmp_path, "user,item,at,cost\nu,a,100,1\n")
    with pytest.raises(
        UserError, match=r"has no column 'price'; the columns there are: user, item, at, cost"
    ):
        _catalogue(_declare(features=_features(price="numeric")), log)


def test_a_cell_of_the_wrong_type_is_refused_with_row_and_value(tmp_path):
    log = _log(tmp_path, "user,item,at,price\nu,a,100,1\nu,a,200,cheap\n")
    with pytest.raises(UserError, match=r"row 2, column 'price': found 'cheap', expected a finite number"):
        _catalogue(_declare(features=_features(price="numeric")), log)


def test_a_log_without_a_usable_row_makes_no_catalogue(tmp_path):
    log = _log(tmp_path, "user,item,at\n,a,100\n")
    with pytest.raises(UserError, match=r"no row that can be used.*candidates\.from: interactions"):
        _catalogue(_declare(), log)


def test_what_is_merged_when_makes_no_difference(tmp_path, monkeypatch):
    lines = [f"u,i{n % 7},{n * 37 % 101},{n}" for n in range(500)]
    log = _log(tmp_path, "user,item,at,price\n" + "\n".join(lines) + "\n")
    declaration = _declare(features=_features(price="numeric"))
    at_once = _catalogue(declaration, log)
    expected = {}
    for n in range(500):
        if (n * 37 % 101, n) >= expected.get(f"i{n % 7}", (-1, -1)):
            expected[f"i{n % 7}"] = (n * 37 % 101, n)
    assert at_once == [{"item": item, "price": float(n)} for item, (_, n) in sorted(expected.items())]
    halves = []
    for number, part in enumerate((lines[:133], lines[133:])):
        halves.append(_log(tmp_path, "user,item,at,price\n" + "\n".join(part) + "\n", f"{number}.csv"))
    monkeypatch.setattr(log_catalogue, "_WAITING_ROWS", 0)
    two = _declare([{"files": "0.csv"}, {"files": "1.csv"}], features=_features(price="numeric"))
    assert _catalogue(two, *halves) == at_once


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ({"from": "interactions", "id": "sku"}, "expected 'item', as interactions.candidate_id says"),
        ({"from": "interactions", "id": "item", "files": "i.csv"}, "both files: i.csv and from"),
        ({"id": "item"}, "neither 'files' nor 'from'"),
        ({"from": "interactions", "id": "item", "delimiter": ";"}, "found delimiter beside from"),
        ({"from": "interactions", "id": "item", "where": {"price": "1.."}}, "found where beside from"),
        ({"from": "queries", "id": "item"}, "candidates.from"),
    ],
)
def test_a_catalogue_comes_from_one_place(candidates, message):
    declared = _declare().model_dump()
    with pytest.raises(ValidationError, match=message):
        Declaration(**{**declared, "candidates": candidates})


def test_stubs_are_refused_where_the_log_is_the_catalogue():
    declared = _declare().model_dump()
    declared["interactions"]["unknown_candidates"] = "stub"
    with pytest.raises(ValidationError, match="unknown_candidates: stub beside candidates"):
        Declaration(**declared)


def test_the_plan_comes_back_from_json_as_it_was():
    plan = CandidatePlan.of(_declare(title="name", features=_features(price="numeric")))
    assert CandidatePlan.model_validate_json(plan.model_dump_json()) == plan
