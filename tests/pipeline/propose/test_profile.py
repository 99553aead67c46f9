"""What a sample shows of a table's columns."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.propose.profile import declared_names, profile_column
from tests.pipeline.propose.raw_files import write
from tests.pipeline.propose.test_roles import tables_of


@pytest.mark.parametrize(
    ("cells", "delimiter", "keys", "first"),
    [
        (["3,50", "12,00", "1,7"], ";", {"decimal": ","}, 3.5),
        (["1,234.50", "3.00", "12,000.00"], ",", {"thousands": ","}, 1234.5),
        (["1.234,50", "3,00", "12.000,75"], ";", {"decimal": ",", "thousands": "."}, 1234.5),
        (["€ 3.50", "€ 12", "€ 1.75"], ",", {}, 3.5),
        (["3 500,5", "12,25", "1 750,5"], ",", {"decimal": ",", "thousands": " "}, 3500.5),
        (["1'234.5", "17.25", "12'000.5"], ",", {"thousands": "'"}, 1234.5),
    ],
)
def test_numbers_are_read_as_the_table_writes_them(tmp_path, cells, delimiter, keys, first):
    rows = [[f"i{at}", f"Thing {at}", cells[at % len(cells)]] for at in range(30)]
    (table,) = tables_of([write(tmp_path / "items.csv", ["item", "name", "price"], rows, delimiter)])
    assert table.edits.numbers == keys
    assert table.column("price").numbers[0] == first


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (["189,841,37", "4,5", "17"], "tokens"),
        (["a,b", "c", "d,e"], "tags"),
        (["007,5", "008,5"], "code"),
        (["1.2.3", "4.5.6"], "version"),
        (["12-30", "13-40"], "size"),
    ],
)
def test_text_with_figures_is_no_number(tmp_path, cells, name):
    rows = [[f"i{at}", cells[at % len(cells)]] for at in range(30)]
    (table,) = tables_of([write(tmp_path / "items.csv", ["item", name], rows, ";")])
    assert table.edits.numbers == {} and table.column(name).shape != "number"


@pytest.mark.parametrize(
    ("names", "declared"),
    [
        (("filter_price", "k", "exclude"), ("their_filter_price", "k_column", "exclude_column")),
        (("diversity", "candidate_ids", "scores"), ("diversity_column", "candidate_ids_column", "scores")),
        (
            ("history", "positive", "weight", "action"),
            tuple(f"{n}_column" for n in ["history", "positive", "weight", "action"]),
        ),
        (("Price", "price", "PRICE"), ("Price", "price_2", "PRICE_3")),
        (("K", "Weight", "timestamp"), ("K_column", "Weight_column", "timestamp")),
        (("User ID", "class", "größe"), ("User_ID", "class_", "gr_e")),
    ],
)
def test_names_that_the_models_need_are_declared_under_others(names, declared):
    assert tuple(declared_names(names).values()) == declared


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index", "level_0"])
def test_the_index_that_pandas_writes_is_no_column(tmp_path, name):
    rows = [[at, f"i{at}", f"Thing {at}"] for at in range(30)]
    (table,) = tables_of([write(tmp_path / "items.csv", [name, "item", "name"], rows)])
    assert [column.name for column in table.columns] == ["item", "name"]


@pytest.mark.parametrize("value", [-1, -999, -999999, 9999, 99999])
def test_a_number_far_from_all_others_that_comes_again_is_missing(tmp_path, value):
    rows = [[f"i{at}", value if at % 9 == 0 else 20 + at % 50] for at in range(90)]
    (table,) = tables_of([write(tmp_path / "items.csv", ["item", "age"], rows)])
    assert table.edits.missing == {"age": (value,)}
    assert table.column("age").numbers.min() == 20 and table.column("age").numbers.max() == 69


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["25.0", "49.0", None, "25.0"], ["25.0", "49.0"]),
        (["1", "2", "2"], ["1", "2"]),
        (["1.0", "NA", "2.0"], ["1.0", "2.0", "NA"]),
        (["1,5", "2,5"], ["1,5", "2,5"]),
        ([25.0, None, 49.0], ["25", "49"]),
        ([True, False], ["false", "true"]),
    ],
)
def test_a_schema_lists_values_as_ingestion_keeps_them(cells, kept):
    column = profile_column("age", "age", pa.array(cells))
    assert sorted(column.as_ingested.to_pylist()) == kept
