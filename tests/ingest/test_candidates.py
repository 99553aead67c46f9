from __future__ import annotations

import pytest

from components.ingest import candidates
from components.ingest.errors import UserError


def test_the_catalogue_is_ordered_bytewise_with_every_declared_feature(
    shop, ingest_candidates, read_split
) -> None:
    examples = read_split(ingest_candidates(shop), "catalogue")
    assert [example["isbn"][0] for example in examples] == [
        "007",
        "101",
        "102",
        "103",
        "104",
        "105",
        "106",
        "107",
    ]
    assert examples[0] == {
        "isbn": ["007"],
        "name": ["A Spy Too Many"],
        "pages": [320.0],
        "shelves": ["crime", "thriller"],
    }
    assert examples[5]["name"] == [] and examples[7]["shelves"] == []
    assert examples[6]["name"] == ["Rivers, Roads and Rails"]


def test_the_title_is_there_even_where_it_is_no_feature(shop, ingest_candidates, declare, read_split) -> None:
    declaration = declare(candidates={"features": {}})
    examples = read_split(ingest_candidates(shop, declaration), "catalogue")
    assert examples[1] == {"isbn": ["101"], "name": ["The Long Winter"]}


def test_shards_sort_like_the_ids_in_them(shop, ingest_candidates, read_split, monkeypatch) -> None:
    monkeypatch.setattr(candidates, "ROWS_PER_SHARD", 3)
    monkeypatch.setattr(candidates, "ENCODED_ROWS", 2)
    uri = ingest_candidates(shop)
    assert len(list((uri / "Split-catalogue").iterdir())) == 3
    examples = read_split(uri, "catalogue")
    ids = [example["isbn"][0] for example in examples]
    assert len(ids) == 8 and ids == sorted(ids)
    assert examples[4]["shelves"] == ["novel", "crime"] and examples[4]["pages"] == [275.0]


def test_an_id_that_comes_twice_stops_the_step_with_both_rows_named(shop, ingest_candidates) -> None:
    with (shop / "candidates.csv").open("a") as file:
        file.write("101,The Long Winter,410,novel\n")
    with pytest.raises(UserError, match=r"'101' comes twice: .*candidates\.csv, row 3, and .*, row 9"):
        ingest_candidates(shop)


def test_a_wrong_type_stops_the_step_with_file_row_column_and_value_named(shop, ingest_candidates) -> None:
    with (shop / "candidates.csv").open("a") as file:
        file.write("108,Thick,many,novel\n")
    with pytest.raises(
        UserError, match=r"candidates\.csv, row 9, column 'pages': found 'many', expected a finite"
    ):
        ingest_candidates(shop)
