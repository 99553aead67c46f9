"""Who, what, when and the catalogue, of raw files as public data sets have them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from components.ingest.errors import UserError
from pipeline.propose.chosen import Chosen
from pipeline.propose.given import given_tables
from pipeline.propose.profile import TableProfile, profile_table
from pipeline.propose.reshaped import reshaped
from pipeline.propose.roles import Roles, find_roles
from tests.pipeline.propose import raw_files
from tests.pipeline.propose.raw_files import Generator, write


def tables_of(files: list[Path]) -> list[TableProfile]:
    return [reshaped(profile_table(table)) for table in given_tables(files)[0]]


def roles_of(files: list[Path], chosen: Chosen | None = None) -> Roles:
    return find_roles(tables_of(files), chosen)


def named(roles: Roles) -> tuple[str, str, str | None, str | None]:
    return (
        roles.query.name,
        roles.candidate.name,
        roles.timestamp.name if roles.timestamp else None,
        roles.catalogue.table.given.label if roles.catalogue else None,
    )


@pytest.mark.parametrize(
    ("generator", "expected", "visit"),
    [
        (raw_files.online_retail, ("Customer ID", "StockCode", "InvoiceDate", None), False),
        (raw_files.order_lines_without_names, ("g", "b", "e", None), False),
        (raw_files.rees46, ("user_id", "product_id", "event_time", None), False),
        (raw_files.retailrocket, ("visitorid", "itemid", "timestamp", None), False),
        (raw_files.diginetica, ("sessionId", "itemId", "eventdate", "products.csv"), True),
        (raw_files.yoochoose, ("column_1", "column_3", "time", None), True),
        (raw_files.mind, ("column_2", "item", "time", "news.tsv"), False),
        (raw_files.bookcrossing, ("User-ID", "ISBN", None, "BX-Books.csv"), False),
        (raw_files.lastfm, ("column_1", "column_5", "time", None), False),
        (raw_files.amazon_reviews, ("reviewerID", "asin", "unixReviewTime", "meta_Office.json"), False),
    ],
)
def test_who_what_and_when_are_found_in_public_data_as_it_is(
    tmp_path: Path, generator: Generator, expected: tuple[str, ...], visit: bool
):
    roles = roles_of(generator(tmp_path))
    assert named(roles) == expected
    assert roles.is_visit == visit


def test_each_choice_says_its_evidence_and_the_runner_up(tmp_path: Path):
    roles = roles_of(raw_files.online_retail(tmp_path))
    who = roles.evidence["interactions.query_id"]
    assert "Invoice is a visit: 100% have all rows at one moment" in who
    assert "each has one Customer ID" in who
    assert "runner-up Invoice: --user Invoice takes it" in roles.unsure["interactions.query_id"]
    assert "Description, Price follow from it" in roles.evidence["interactions.candidate_id"]
    assert "--item Description takes it" in roles.unsure["interactions.candidate_id"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Chosen(user="Invoice"), ("Invoice", "StockCode", "InvoiceDate", None)),
        (Chosen(item="Description"), ("Customer ID", "Description", "InvoiceDate", None)),
        (Chosen(user="customer id", item="stockcode"), ("Customer ID", "StockCode", "InvoiceDate", None)),
        (Chosen(user="Customer_ID", time="InvoiceDate"), ("Customer ID", "StockCode", "InvoiceDate", None)),
        (Chosen(user="Country", catalogue="none"), ("Country", "StockCode", "InvoiceDate", None)),
    ],
)
def test_what_the_user_names_is_taken(tmp_path: Path, chosen: Chosen, expected: tuple[str, ...]):
    assert named(roles_of(raw_files.online_retail(tmp_path), chosen)) == expected


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            Chosen(user="Customer"),
            "--user Customer: no table has a column of that name. Found: category_tree.csv",
        ),
        (Chosen(user="visitorid", item="value"), "no single table has all these columns"),
        (Chosen(user="itemid", item="itemid"), "one column cannot be two of who, what and when"),
        (Chosen(catalogue="products.csv"), "--catalogue products.csv: no such table was given. Found:"),
        (Chosen(catalogue="category_tree.csv"), "none of its columns is a key in which at least 50%"),
        (Chosen(users="people"), "--users people: no such table was given"),
    ],
)
def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(
    tmp_path: Path, chosen: Chosen, message: str
):
    with pytest.raises(UserError, match=message):
        roles_of(raw_files.retailrocket(tmp_path), chosen)


def test_the_catalogue_named_is_taken_over_a_better_one(tmp_path: Path):
    first, second, log = _two_catalogues(tmp_path)
    assert named(roles_of([first, second, log]))[3] == "items.csv"
    assert named(roles_of([first, second, log], Chosen(catalogue="goods.csv")))[3] == "goods.csv"
    assert named(roles_of([first, second, log], Chosen(catalogue="none")))[3] is None


def _two_catalogues(folder: Path) -> tuple[Path, Path, Path]:
    chance = random.Random(1)
    rows = [
        [f"u{chance.randrange(30)}", f"i{chance.randrange(50)}", 1_600_000_000 + 60 * at] for at in range(600)
    ]
    return (
        write(folder / "items.csv", ["item", "name"], [[f"i{at}", f"Thing {at}"] for at in range(50)]),
        write(folder / "goods.csv", ["article", "name"], [[f"i{at}", f"Thing {at}"] for at in range(40)]),
        write(folder / "log.csv", ["user", "item", "at"], rows),
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("visitor", "sku", "seen_at"), True),
        (("customer", "article", "ordered_at"), True),
        (("x", "y", "at"), True),
        (("user", "item", "at"), True),
        (("seller", "item", "at"), False),
    ],
)
def test_a_second_log_is_joined_by_the_values_of_its_columns(
    tmp_path: Path, names: tuple[str, ...], expected: bool
):
    items, _, log = _two_catalogues(tmp_path)
    chance = random.Random(2)
    prefix = "u" if expected else "s"
    rows = [
        [f"{prefix}{chance.randrange(30)}", f"i{chance.randrange(50)}", 1_600_000_000 + 90 * at]
        for at in range(150)
    ]
    orders = write(tmp_path / "orders.csv", names, rows)
    roles = roles_of([items, log, orders])
    assert named(roles) == ("user", "item", "at", "items.csv")
    assert [table.given.label for table in roles.logs] == ["log.csv", *(["orders.csv"] if expected else [])]
    if expected:
        columns = {column.declared: column.name for column in roles.logs[1].columns}
        assert [columns[name] for name in ("user", "item", "at")] == list(names)


@pytest.mark.parametrize(
    ("ours", "theirs", "clean"),
    [
        ("{:06d}", "{}", {"leading_zeros": "drop"}),
        ("SKU{}", "sku{}", {"trim": True, "case": "lower"}),
        (" i{} ", "i{}", {"trim": True}),
        ("{}", "{:08d}", {"leading_zeros": "drop"}),
        ("i{}", "I{} ", {"trim": True, "case": "lower"}),
    ],
)
def test_ids_that_are_written_differently_are_joined_by_a_clean_up(
    tmp_path: Path, ours: str, theirs: str, clean: dict[str, object]
):
    chance = random.Random(3)
    rows = [
        [f"u{chance.randrange(30)}", ours.format(chance.randrange(1, 50)), 1_600_000_000 + 60 * at]
        for at in range(600)
    ]
    log = write(tmp_path / "log.csv", ["user", "item", "at"], rows)
    items = [[theirs.format(at), f"Thing {at}"] for at in range(1, 50)]
    roles = roles_of([log, write(tmp_path / "items.csv", ["item", "name"], items)])
    assert named(roles)[3] == "items.csv"
    assert roles.catalogue is not None and roles.catalogue.rate == 1
    found = [*roles.log.edits.clean.values(), *roles.catalogue.table.edits.clean.values()]
    assert found and all(rules == clean for rules in found)


def test_a_catalogue_that_repeats_ids_is_one_all_the_same(tmp_path: Path):
    items, _, log = _two_catalogues(tmp_path)
    items.write_text(items.read_text() + "i3,Thing 3 again\ni4,Thing 4 again\n")
    roles = roles_of([items, log])
    assert roles.catalogue is not None and roles.catalogue.repeated == 2


def test_a_matrix_is_refused_with_the_command_that_makes_a_log_of_it_and_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chance = random.Random(4)
    header = ["user", *(str(item) for item in range(1, 31))]
    rows = [[f"u{user}", *(chance.choice(["", "", 0, 3, 5]) for _ in range(30))] for user in range(40)]
    matrix = write(tmp_path / "matrix.csv", header, rows)
    with pytest.raises(UserError, match=r"matrix.csv is a matrix: one row for each user") as refused:
        roles_of([matrix])
    command = str(refused.value).split('python -c "')[1].split('"\n')[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(command, "advice", "exec"), {})
    assert named(roles_of([tmp_path / "interactions.csv"])) == ("user", "item", None, None)


@pytest.mark.parametrize("form", ["lines", "object"])
def test_rows_inside_a_cell_are_refused_with_the_command_that_takes_them_out_and_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
):
    chance = random.Random(8)
    rows = [
        {"item": f"i{chance.randrange(30)}", "at": 1_600_000_000 + at, "user": f"u{chance.randrange(20)}"}
        for at in range(600)
    ]
    sessions = [{"session": at, "events": rows[3 * at : 3 * at + 3]} for at in range(200)]
    log = tmp_path / ("log.jsonl" if form == "lines" else "log.json")
    texts = map(json.dumps, sessions)
    log.write_text(
        "\n".join(texts) if form == "lines" else json.dumps({"made": "2024-01-01", "events": rows})
    )
    with pytest.raises(UserError, match=r"events of .* holds a list of objects .* at, item, user") as refused:
        roles_of([log])
    command = str(refused.value).split('python -c "')[1].split('"\n')[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(command, "advice", "exec"), {})
    assert named(roles_of([tmp_path / "rows.csv"]))[:3] == ("user", "item", "at")


@pytest.mark.parametrize(
    ("generator", "label", "why"),
    [
        (
            raw_files.retailrocket,
            "item_properties_part1.csv",
            "it is in long form, one row a property of each itemid",
        ),
        (raw_files.retailrocket, "category_tree.csv", "its key is no column of the log"),
    ],
)
def test_a_table_without_a_role_says_why(tmp_path: Path, generator: Generator, label: str, why: str):
    unused = {table.given.label: reason for table, reason in roles_of(generator(tmp_path)).unused}
    assert why in unused[label]


def _ratings(folder: Path, extra: str = "rating") -> list[Path]:
    """Ratings of movies by integer ids, three tables about the movies, and tags without a rating."""
    chance = random.Random(5)
    grades = range(40, 4000) if extra == "watched" else [1, 2.5, 4, 5]
    rows = [
        [chance.randrange(1, 60), chance.randrange(1, 90), chance.choice(grades), 1_300_000_000 + at]
        for at in range(2000)
    ]
    tags = [
        [chance.randrange(1, 60), chance.randrange(1, 90), f"seen, {at % 40}", 1_300_000_000 + at]
        for at in range(200)
    ]
    movies = [[at, f"A Movie {at}", chance.choice(["Drama", "Drama|War", "War"])] for at in range(1, 90)]
    return [
        write(folder / "links.csv", ["movieId", "imdbId"], [[at, f"0{at * 37}"] for at in range(1, 90)]),
        write(folder / "movies.csv", ["movieId", "title", "genres"], movies),
        write(folder / "log.csv", ["userId", "movieId", extra, "timestamp"], rows),
        write(folder / "tags.csv", ["userId", "movieId", "tag", "timestamp"], tags),
    ]


@pytest.mark.parametrize("extra", ["rating", "stars", "watched"])
def test_a_table_of_other_events_or_of_ids_only_takes_no_place_from_a_better_one(tmp_path: Path, extra: str):
    roles = roles_of(_ratings(tmp_path, extra))
    assert named(roles) == ("userId", "movieId", "timestamp", "movies.csv")
    assert [log.given.label for log in roles.logs] == ["log.csv"]
    assert roles.queries is None
    unused = {table.given.label: reason for table, reason in roles.unused}
    assert "movies.csv does" in unused["links.csv"]
    assert ("rating" if extra != "watched" else "what people wrote") in unused["tags.csv"]


@pytest.mark.parametrize(
    ("who", "what", "day", "clock", "amount"),
    [
        ("Kundennr", "Artikelnr", "Kaufdatum", "Uhrzeit", "Menge"),
        ("Kunde", "Produktnummer", "Bestelldatum", "Zeit", "Anzahl"),
        ("client", "produit", "date", "heure", "quantité"),
        ("cliente", "artículo", "fecha", "hora", "cantidad"),
        ("klantnr", "artikelnr", "datum", "tijd", "aantal"),
        ("utente", "prodotto", "data", "ora", "quantità"),
        ("utilizador", "produto", "data", "hora", "quantidade"),
    ],
)
def test_clock_times_and_amounts_are_never_who_and_other_languages_name_people(
    tmp_path: Path, who: str, what: str, day: str, clock: str, amount: str
):
    chance = random.Random(6)
    rows = [
        [
            f"K{chance.randrange(40)}", f"{chance.randrange(60):04d}",
            f"{chance.randrange(1, 29):02d}.03.2023",
            f"{chance.randrange(8, 22):02d}:{chance.randrange(60):02d}", chance.randrange(1, 30),
        ]
        for _ in range(900)
    ]  # fmt: skip
    header = [clock, amount, who, what, day]
    log = write(tmp_path / "log.csv", header, [[r[3], r[4], r[0], r[1], r[2]] for r in rows], ";")
    found = named(roles_of([log]))
    assert found[:2] == (who, what)


def test_the_user_of_a_visit_in_another_table_is_told_with_the_command_that_joins_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chance = random.Random(7)
    lines = [[order, chance.randrange(1, 200), at] for order in range(1, 400) for at in range(1, 5)]
    orders = [[order, chance.randrange(1, 80), order % 9 + 1, f"{order % 24:02d}"] for order in range(1, 400)]
    goods = [[at, f"A thing {at}", at % 7] for at in range(1, 200)]
    files = [
        write(tmp_path / "lines.csv", ["order_id", "product_id", "cart_position"], lines),
        write(tmp_path / "orders.csv", ["order_id", "user_id", "order_number", "order_hour_of_day"], orders),
        write(tmp_path / "products.csv", ["product_id", "product_name", "aisle"], goods),
    ]
    roles = roles_of(files)
    assert named(roles) == ("order_id", "product_id", None, "products.csv")
    assert [log.given.label for log in roles.logs] == ["lines.csv"]
    command = roles.unsure["interactions.query_id"].split('python -c "')[1].removesuffix('"')
    monkeypatch.chdir(tmp_path)
    exec(compile(command, "advice", "exec"), {})
    assert roles_of([tmp_path / "merged.csv", files[2]]).query.name == "user_id"
