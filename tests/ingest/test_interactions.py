from __future__ import annotations

import csv
import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from components.ingest import partition
from components.ingest.dead_letters import DEAD_LETTERS_FILE
from components.ingest.errors import UserError
from components.ingest.summary import read_ingestion_summary

SPLITS = ("train", "eval", "test")


def rows_of(shop: Path) -> list[dict[str, str]]:
    with (shop / "interactions.csv").open() as file:
        return list(csv.DictReader(file))


def shard_bytes(uri: Path) -> dict[str, bytes]:
    """Every shard's TFRecords. How they were deflated is the compressor's business."""
    shards = sorted(uri.glob("Split-*/*"))
    return {str(path.relative_to(uri)): gzip.decompress(path.read_bytes()) for path in shards}


def test_an_interaction_carries_ids_labels_history_and_its_querys_attributes(
    shop, ingest, read_split
) -> None:
    uri = ingest(shop)

    examples = {(e["reader"][0], e["rated_at"][0]): e for split in SPLITS for e in read_split(uri, split)}

    assert len(examples) == 23  # of 24 rows: cyd rated two books at 1300
    assert examples["ada", 1600] == {
        "reader": ["ada"],
        "isbn": ["104"],
        "stars": [5.0],
        "rated_at": [1600],
        # 102 got 3 stars only; 103 is the latest before this one.
        "history": ["007", "101", "103"],
        "history_age": [600.0, 500.0, 50.0],
        "positive": [1.0],
        "weight": [1.0],
        "repeat": [0.0],
        "town": ["Soest"],
        "postcode": ["01234"],
        "joined": [500],
        "born": [1970.0],
    }
    assert examples["bob", 1250]["positive"] == [1.0] and examples["bob", 1250]["history"] == []
    assert examples["bob", 1250]["born"] == [] and examples["bob", 1250]["town"] == ["Hagen"]
    assert examples["cyd", 1400]["joined"] == [999993600]
    # At most three, and events of the same second (007 and 101) are not each other's history.
    assert examples["cyd", 1300]["history"] == []
    assert examples["cyd", 1950]["history"] == ["101", "102", "104"]
    # eli has no row in the queries table.
    assert examples["eli", 2200]["town"] == [] and examples["eli", 2200]["history"] == ["007"]


def test_splits_follow_one_another_in_time_in_the_declared_shares(shop, ingest, read_split) -> None:
    uri = ingest(shop)
    times = {split: [e["rated_at"][0] for e in read_split(uri, split)] for split in SPLITS}
    assert [len(times[split]) for split in SPLITS] == [14, 5, 5]
    assert max(times["train"]) < min(times["eval"]) <= max(times["eval"]) < min(times["test"])

    summary = read_ingestion_summary(str(uri))
    assert (summary.rows, summary.bad, summary.candidates) == (24, 0, 8)
    assert summary.eval_from == min(times["eval"]) and summary.test_from == min(times["test"])
    for split in SPLITS:
        examples = read_split(uri, split)
        part = summary.splits[split]
        assert (part.count, part.first, part.last) == (len(examples), min(times[split]), max(times[split]))
        assert part.positives == sum(e["positive"][0] for e in examples)
        assert part.queries == len({e["reader"][0] for e in examples})


def test_histories_are_those_of_a_slow_reference_on_a_random_log(
    shop, ingest, read_split, declare, monkeypatch
):
    monkeypatch.setattr(partition, "ROWS_PER_PARTITION", 100)
    generator = random.Random(3)
    isbns = ["007", "101", "102", "103", "104", "105", "106", "107"]
    log = [
        (
            f"r{generator.randrange(25)}",
            generator.choice(isbns),
            generator.randrange(1, 6),
            generator.randrange(300),
        )
        for _ in range(900)
    ]
    lines = "".join(f"{','.join(map(str, row))}\n" for row in log)
    (shop / "interactions.csv").write_text("reader,isbn,stars,rated_at\n" + lines)

    uri = ingest(shop, declare(history={"length": 5}, interactions={"duplicates": "keep"}))

    examples = [e for split in SPLITS for e in read_split(uri, split)]
    assert len(list((uri / "Split-train").glob("*.gz"))) > 5
    assert Counter(
        (e["reader"][0], e["isbn"][0], int(e["stars"][0]), e["rated_at"][0]) for e in examples
    ) == Counter(log)
    for example in examples:
        reader, moment = example["reader"][0], example["rated_at"][0]
        earlier = sorted(
            (then, isbn, stars)
            for who, isbn, stars, then in log
            if who == reader and then < moment and stars >= 3.5
        )[-5:]
        assert example["history"] == [isbn for _, isbn, _ in earlier]
        assert example["history_age"] == [moment - then for then, _, _ in earlier]


@pytest.mark.parametrize("rows_per_partition", [1 << 17, 5])
def test_the_files_are_byte_identical_whatever_the_order_of_rows_and_files(
    shop, ingest, declare, monkeypatch, rows_per_partition
) -> None:
    monkeypatch.setattr(partition, "ROWS_PER_PARTITION", rows_per_partition)
    expected = shard_bytes(ingest(shop))
    header, *lines = (shop / "interactions.csv").read_text().splitlines()
    random.Random(4).shuffle(lines)
    for name, part in (("b.csv", lines[:7]), ("a.csv", lines[7:])):
        (shop / f"log_{name}").write_text("\n".join([header, *part]) + "\n")
    query_header, *queries = (shop / "queries.csv").read_text().splitlines()
    (shop / "queries.csv").write_text("\n".join([query_header, *reversed(queries)]) + "\n")

    found = shard_bytes(ingest(shop, declare(interactions={"sources": [{"files": "log_*.csv"}]})))

    assert len(expected) >= 3
    assert found == expected


def test_parquet_gives_the_same_examples_as_csv(shop, ingest, declare) -> None:
    expected = shard_bytes(ingest(shop))
    types = {"isbn": pa.string(), "rated_at": pa.timestamp("s")}
    table = pa_csv.read_csv(
        shop / "interactions.csv", convert_options=pa_csv.ConvertOptions(column_types={"isbn": pa.string()})
    )
    table = table.set_column(3, "rated_at", table["rated_at"].cast(types["rated_at"]))
    pq.write_table(table, shop / "interactions.parquet")
    found = shard_bytes(ingest(shop, declare(interactions={"sources": [{"files": "interactions.parquet"}]})))
    assert found == expected


def test_without_a_queries_table_examples_have_no_attributes(shop, ingest, declare, read_split) -> None:
    uri = ingest(shop, declare(queries=None))
    for example in read_split(uri, "train"):
        assert sorted(example) == [
            "history", "history_age", "isbn", "positive", "rated_at", "reader", "repeat", "stars", "weight",
        ]  # fmt: skip


BAD_ROWS = {
    ",101,4,1205": ("reader", None, "query id missing"),
    "ada,,4,1205": ("isbn", None, "candidate id missing"),
    "ada,999,4,1205": ("isbn", "999", "candidate not in the catalogue"),
    "ada,101,4,soon": ("rated_at", "soon", "timestamp is not a time"),
    "ada,101,4,": ("rated_at", None, "timestamp missing"),
    "ada,101,lots,1205": ("stars", "lots", "rating is not a finite number"),
    "ada,101,,1205": ("stars", None, "rating missing"),
    "ada,101,6,1205": ("stars", "6", "rating outside [0.5, 5]"),
    "ada,101,0,1205": ("stars", "0", "rating outside [0.5, 5]"),
    "ada,101,4": (None, "ada,101,4", "found 3 cells, expected 4"),
}


def spoil(shop: Path, bad_lines: list[str]) -> None:
    """Puts a bad line behind every good one, as far as they go."""
    header, *lines = (shop / "interactions.csv").read_text().splitlines()
    mixed = [header]
    for index, line in enumerate(lines):
        mixed += [line, *bad_lines[index : index + 1]]
    (shop / "interactions.csv").write_text("\n".join(mixed) + "\n")


def test_dead_letters_name_each_bad_row_and_their_counts_add_up(shop, ingest, declare) -> None:
    good = shard_bytes(ingest(shop))
    spoil(shop, list(BAD_ROWS))

    uri = ingest(shop, declare(max_bad_fraction=0.5))

    letters = pq.read_table(uri / DEAD_LETTERS_FILE).to_pylist()
    assert [letter["row"] for letter in letters] == [2 * index + 2 for index in range(len(BAD_ROWS))]
    for letter, (column, value, reason) in zip(letters, BAD_ROWS.values(), strict=True):
        assert letter["file"] == str(shop / "interactions.csv")
        assert (letter["column"], letter["value"] or None) == (column, value)
        assert letter["reason"].startswith(reason)
    summary = read_ingestion_summary(str(uri))
    assert summary.bad_by_reason == Counter(letter["reason"] for letter in letters)
    assert summary.bad == len(BAD_ROWS) == sum(summary.bad_by_reason.values())
    assert summary.rows == 24 + len(BAD_ROWS) == summary.bad + sum(s.count for s in summary.splits.values())
    assert shard_bytes(uri) == good


SHOWN = {"position": "place", "propensity": "chance"}


def show(shop: Path, cells: dict[int, str]) -> None:
    """Adds the columns of place and chance to the log; by row, what they hold, else nothing."""
    header, *lines = (shop / "interactions.csv").read_text().splitlines()
    lines = [f"{line},{cells.get(number, ',')}" for number, line in enumerate(lines, start=1)]
    (shop / "interactions.csv").write_text("\n".join([f"{header},place,chance", *lines]) + "\n")


def test_where_something_was_shown_and_how_probably_ride_along_and_may_be_missing(
    shop, ingest, declare, read_split
) -> None:
    show(shop, {1: "3,0.25", 2: "1.0,1", 3: ",1e-3", 5: "2147483647,NaN"})
    uri = ingest(shop, declare(interactions=SHOWN))
    examples = {(e["reader"][0], e["rated_at"][0]): e for split in SPLITS for e in read_split(uri, split)}
    found = {key: (e["place"], e["chance"]) for key, e in examples.items() if e["place"] or e["chance"]}
    assert found == {
        ("ada", 1000): ([3], [0.25]),
        ("ada", 1100): ([1], [1.0]),
        ("bob", 1150): ([], [pytest.approx(1e-3)]),
        ("bob", 1250): ([2147483647], []),
    }
    assert len(examples) == 23


def test_places_and_chances_that_are_none_are_dead_letters(shop, ingest, declare) -> None:
    bad = {1: "0,", 2: "2.5,", 3: "-1,", 4: "first,", 5: "2147483648,", 6: ",0", 7: ",1.01", 8: ",-0.5",
           9: ",1e-60", 10: ",often"}  # fmt: skip
    show(shop, bad)
    uri = ingest(shop, declare(interactions=SHOWN, max_bad_fraction=0.6))
    letters = {letter["row"]: letter for letter in pq.read_table(uri / DEAD_LETTERS_FILE).to_pylist()}
    assert set(letters) == set(bad)
    for row, letter in letters.items():
        column = "place" if row <= 5 else "chance"
        assert letter["column"] == column and letter["value"] == bad[row].strip(",")
    reasons = [letters[row]["reason"] for row in sorted(bad)]
    whole, chance = (
        "position is not a whole number from 1 to 2147483647",
        "propensity is not above 0 and up to 1",
    )
    assert reasons[:3] == [whole] * 3 and reasons[4] == whole
    assert reasons[3] == "position is not a finite number (examples hold float32, up to 3.4e+38), or nothing"
    assert reasons[5:9] == [chance] * 4
    assert (
        reasons[9] == "propensity is not a finite number (examples hold float32, up to 3.4e+38), or nothing"
    )


def test_a_source_may_lack_them(shop, ingest, declare, read_split) -> None:
    lacking = [{"files": "interactions.csv", "lacks": ["place", "chance"]}]
    uri = ingest(shop, declare(interactions={**SHOWN, "sources": lacking}))
    assert all(e["place"] == e["chance"] == [] for split in SPLITS for e in read_split(uri, split))
    with pytest.raises(ValidationError, match="lacks 'stars', which is no column that may be missing"):
        declare(interactions={"sources": [{"files": "interactions.csv", "lacks": ["stars"]}]})


@pytest.mark.parametrize("line", ["ada,101,soon,1205", "ada,101,4"])
def test_too_many_bad_rows_stop_the_step_and_leave_the_dead_letters_behind(
    shop, ingest, declare, line
) -> None:
    spoil(shop, [line])
    with pytest.raises(UserError) as raised:
        ingest(shop, declare(max_bad_fraction=0.03))
    message = str(raised.value)
    assert message.startswith("1 of 25 interactions cannot be used (4.00%); at most 3.00%")
    if line.endswith("1205"):
        assert "1 × rating is not a finite number" in message
        assert f"{shop / 'interactions.csv'}, row 2, column 'stars': found 'soon'" in message
    else:
        assert f"{shop / 'interactions.csv'}, row 2: found 3 cells, expected 4" in message
    kept = Path(message.split("All of them: ")[1].splitlines()[0])
    # Beside the output directory, which TFX removes when a step fails.
    assert kept.parent.name == "examples"
    assert pq.read_table(kept).num_rows == 1
    assert "max_bad_fraction" in message


@pytest.mark.parametrize(
    ("file", "content", "fragments"),
    [
        ("interactions.csv", "reader,isbn,rated_at\n", ["no column 'stars'", "reader, isbn, rated_at"]),
        ("interactions.csv", "reader,isbn,stars,rated_at\n", ["found no rows"]),
        ("interactions.csv", "", ["is empty"]),
        ("interactions.csv", "reader,isbn,stars,rated_at\nada,007,5,1\n", ["nothing in train and eval"]),
        ("queries.csv", "reader,town,postcode,joined,born\nada,a,b,1,old\n", ["row 1", "'born'", "'old'"]),
        ("queries.csv", "reader,town,postcode,joined,born\nada,a,b,1,2\nada,c,d,3,4\n", ["'ada' comes"]),
        ("queries.csv", "reader,town,postcode,born\nada,a,b,2\n", ["no column 'joined'"]),
        ("candidates.csv", "name,pages,shelves\n", ["no column 'isbn'"]),
        ("candidates.csv", "isbn,name\n1,a\n1,b\n", ["'1' comes twice"]),
    ],
)  # fmt: skip
def test_a_wrong_table_stops_the_step_with_its_place_named(shop, ingest, file, content, fragments) -> None:
    (shop / file).write_text(content)
    with pytest.raises(UserError) as raised:
        ingest(shop)
    for fragment in [str(shop / file), *fragments]:
        assert fragment in str(raised.value)


def test_a_log_that_breaks_off_inside_stops_the_step_although_beam_hides_errors(shop, ingest) -> None:
    with (shop / "interactions.csv").open("ab") as file:
        file.write(b"ad\xff,007,4,1500\n")
    with pytest.raises(UserError, match="UTF-8"):
        ingest(shop)


def test_a_missing_file_stops_the_step(shop, ingest) -> None:
    (shop / "queries.csv").unlink()
    with pytest.raises(UserError, match=r"found no file .*queries\.csv"):
        ingest(shop)


def test_the_summary_is_plain_json(shop, ingest) -> None:
    content = json.loads((ingest(shop) / "ingestion.json").read_text())
    assert content["splits"]["test"]["count"] == 5 and content["unreadable"] == []
