from __future__ import annotations

import pytest

from components.ingest.query import QueryRecord, read_query


def test_a_known_query_has_its_attributes_latest_history_and_all_it_saw(shop, declare) -> None:
    assert read_query(declare(), str(shop), "ada") == QueryRecord(
        query_id="ada",
        known=True,
        attributes={"town": "Soest", "postcode": "01234", "joined": 500, "born": 1970.0},
        history=["104", "105", "106"],
        history_timestamps=[1600, 1800, 2050],
        seen=["007", "101", "102", "103", "104", "105", "106"],
    )


def test_an_unknown_query_has_nothing(shop, declare) -> None:
    record = read_query(declare(), str(shop), "nobody")
    assert not record.known
    assert record.attributes == {"town": None, "postcode": None, "joined": None, "born": None}
    assert record.history == record.history_timestamps == record.seen == []


@pytest.mark.parametrize(
    ("line", "file"), [("zoe,Hagen,1,2,3\n", "queries"), ("zoe,007,1,9\n", "interactions")]
)
def test_a_query_is_known_from_either_table(shop, declare, line, file) -> None:
    with (shop / f"{file}.csv").open("a") as opened:
        opened.write(line)
    record = read_query(declare(), str(shop), "zoe")
    assert record.known
    assert record.attributes["town"] == ("Hagen" if file == "queries" else None)
    assert record.history == [] and record.seen == ([] if file == "queries" else ["007"])


def test_a_querys_bad_rows_are_left_out_as_in_ingestion(shop, declare) -> None:
    with (shop / "interactions.csv").open("a") as file:
        file.write("eli,999,5,2300\neli,101,9,2300\neli,101,4,2300,more\neli,102,4,2400\n")
    record = read_query(declare(), str(shop), "eli")
    assert record.history == ["007", "106", "102"] and record.history_timestamps == [2000, 2200, 2400]
    assert record.seen == ["007", "106", "102"]


def test_the_next_interactions_history_is_the_one_read_for_asking(shop, declare, ingest, read_split) -> None:
    record = read_query(declare(), str(shop), "bob")
    with (shop / "interactions.csv").open("a") as file:
        file.write("bob,107,4,2300\n")
    after = [e for e in read_split(ingest(shop), "test") if e["rated_at"] == [2300]]
    assert [e["history"] for e in after] == [record.history]
    assert after[0]["history_age"] == [2300.0 - second for second in record.history_timestamps]
