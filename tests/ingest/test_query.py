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
        history_actions=[],
        seen=["007", "101", "102", "103", "104", "105", "106"],
        latest_in_log=2200,
    )


@pytest.mark.parametrize(
    ("reader", "moment", "history", "seen"),
    [
        ("ada", 2051, ["104", "105", "106"], ["007", "101", "102", "103", "104", "105", "106"]),
        # An interaction of that very second is not known yet.
        ("ada", 2050, ["103", "104", "105"], ["007", "101", "102", "103", "104", "105"]),
        ("ada", 1201, ["007", "101"], ["007", "101", "102"]),
        ("bob", 1250, [], ["007"]),
        ("ada", 1000, [], []),
        ("eli", 0, [], []),
        ("eli", -5, [], []),
        ("cyd", 10**12, ["102", "104", "105"], ["007", "101", "102", "103", "104", "105"]),
    ],
)
def test_at_a_moment_nothing_is_known_of_that_second_or_later(
    shop, declare, reader, moment, history, seen
) -> None:
    record = read_query(declare(), str(shop), reader, moment)
    assert (record.history, record.seen) == (history, seen)
    assert all(then < moment for then in record.history_timestamps)
    assert record.known and record.latest_in_log == 2200


def test_the_history_at_an_interactions_moment_is_that_of_its_example(
    shop, declare, ingest, read_split
) -> None:
    written = ingest(shop)
    examples = [example for split in ("train", "eval", "test") for example in read_split(written, split)]
    for example in examples:
        (reader,), (moment,) = example["reader"], example["rated_at"]
        record = read_query(declare(), str(shop), reader, moment)
        assert record.history == example["history"]
        assert [float(moment - then) for then in record.history_timestamps] == example["history_age"]


def test_a_stub_met_later_is_not_known_earlier(shop, declare) -> None:
    with (shop / "interactions.csv").open("a") as file:
        file.write("zoe,999,5,1500\nzoe,101,5,1600\n")
    log = {"unknown_candidates": "stub"}
    assert read_query(declare(interactions=log), str(shop), "zoe", 1500).seen == []
    assert read_query(declare(interactions=log), str(shop), "zoe", 1600).seen == ["999"]


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


@pytest.fixture
def two_sources(shop, declare):
    """The bookshop, whose loans are in a file of their own, in other words; and its declaration."""
    (shop / "loans.jsonl").write_text(
        '{"who": "ada", "book": "101", "when": "2024-05-01"}\n'
        '{"who": "ada", "book": "999", "when": "2024-05-02"}\n'
        '{"who": "ada", "book": "102", "when": "soon"}\n'
        '{"who": "bob", "book": "103", "when": "2024-05-03"}\n'
    )
    rows = ["007,open,1714600000", "103,buy,1714600001", "103,buy,1714600001", "104,burn,1714600002"]
    (shop / "clicks.csv").write_text(
        "who;book;did;when\n" + "".join(f"ada;{r}\n".replace(",", ";") for r in rows)
    )
    names = {"reader": "who", "isbn": "book", "rated_at": "when"}
    log = {
        "sources": [
            {"files": "loans.jsonl", "columns": names, "action": "borrow"},
            {"files": "clicks.csv", "delimiter": ";", "columns": {**names, "action": "did"}},
        ],
        "rating": None,
        "actions": {"column": "action", "weights": {"open": 0, "borrow": 1, "buy": 5}},
    }

    def declaration(**changes):
        return declare(interactions=log | changes.pop("log", {}), **changes)

    return shop, declaration


def test_a_querys_rows_are_gathered_from_every_source_by_its_own_names(two_sources) -> None:
    shop, declaration = two_sources
    record = read_query(declaration(), str(shop), "ada")
    assert record.seen == ["101", "007", "103"]
    assert record.history == ["101", "103"]
    assert record.history_timestamps == [1714521600, 1714600001]
    assert record.history_actions == ["borrow", "buy"]


def test_history_holds_the_declared_actions_and_all_rows_without_any(two_sources) -> None:
    shop, declaration = two_sources
    opened = declaration(history={"length": 3, "actions": ["open", "buy"]})
    record = read_query(opened, str(shop), "ada")
    assert (record.history, record.history_actions) == (["007", "103"], ["open", "buy"])
    assert read_query(declaration(history={"actions": ["buy"]}), str(shop), "ada").history_actions == []
    sources = [{"files": "loans.jsonl", "columns": {"reader": "who", "isbn": "book", "rated_at": "when"}}]
    judged_by_nothing = declaration(log={"sources": sources, "actions": None})
    assert read_query(judged_by_nothing, str(shop), "ada").history == ["101"]


def test_stubs_and_repeats_are_kept_where_ingestion_keeps_them(two_sources) -> None:
    shop, declaration = two_sources
    record = read_query(
        declaration(log={"unknown_candidates": "stub", "duplicates": "keep"}), str(shop), "ada"
    )
    assert record.history == ["103", "103", "999"]
    assert record.seen == ["101", "007", "103", "999"]


def test_only_the_newest_spans_are_looked_at(shop, declare) -> None:
    for span in (9, 10):
        (shop / f"log-{span}.csv").write_text(f"reader,isbn,stars,rated_at\nada,10{span - 8},5,2000\n")
    log = {"sources": [{"files": "log-{SPAN}.csv"}], "spans": 1}
    assert read_query(declare(interactions=log), str(shop), "ada").seen == ["102"]
