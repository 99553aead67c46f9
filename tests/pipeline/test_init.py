"""`westwork init`: raw files to a domain, each choice against an answer known beforehand."""

from __future__ import annotations

import bz2
import gzip
import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.files.tables import check_columns, table_files
from pipeline.cli import main
from pipeline.domain import Domain, load_domain
from pipeline.propose import sample
from pipeline.propose.given import given_tables
from pipeline.propose.profile import profile_table

Rows = list[dict[str, Any]]
START = 1_700_000_000
ACTIONS = ("view",) * 8 + ("add_to_cart",) * 3 + ("purchase",)
GENRES = ("Action", "Comedy", "Drama", "Horror", "Romance", "Western")


def events(count: int = 400, users: int = 40) -> Rows:
    """Who did what with which item; one a minute."""
    chance = random.Random(3)
    return [
        {
            "user_id": f"u{chance.randrange(users)}",
            "item_id": f"i{chance.randrange(60)}",
            "event": chance.choice(ACTIONS),
            "ts": START + 60 * number,
        }
        for number in range(count)
    ]


def items() -> Rows:
    chance = random.Random(4)
    return [
        {
            "item_id": f"i{number}",
            "name": f"The {chance.choice(GENRES)} number {number}",
            "genres": "|".join(sorted(chance.sample(GENRES, chance.randint(1, 3)))),
            "price": round(math.exp(chance.uniform(0, 9)), 2),
            "year": chance.randint(1950, 2020),
            "flag": "same",
        }
        for number in range(60)
    ]


def users() -> Rows:
    chance = random.Random(5)
    return [
        {"user_id": f"u{number}", "gender": chance.choice("FM"), "age": chance.randint(18, 80)}
        for number in range(40)
    ]


def write_csv(path: Path, rows: Rows, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    lines = [delimiter.join(rows[0]), *(delimiter.join(map(str, row.values())) for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def init(folder: Path, *files: Path, more: tuple[str, ...] = ()) -> Result:
    return CliRunner().invoke(main, ["init", *map(str, files), "--to", str(folder), *more])


def proposed(tmp_path: Path, *files: Path) -> Domain:
    """The domain that init writes, read as a run reads it, its tables found and their columns there."""
    result = init(tmp_path / "domain", *files)
    assert result.exit_code == 0, result.output
    domain = load_domain(str(tmp_path / "domain"))
    for table in (*domain.interactions.sources, domain.candidates, domain.queries):
        if table is not None:
            found = table_files(table, str(tmp_path / "no data directory"))
            ours = domain.candidates is table or domain.queries is table
            check_columns(table, found, list(table.features) if ours else [domain.interactions.query_id])  # type: ignore[union-attr]
    return domain


def schema_of(folder: Path, name: str) -> schema_pb2.Schema:
    return text_format.Parse((folder / "domain" / name).read_text(), schema_pb2.Schema())


def unbroken(text: str) -> str:
    """Output or comments without the line breaks of a console's or file's width."""
    return " ".join(text.replace("#", " ").split())


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Path, Path, Path]:
    return (
        write_csv(tmp_path / "events.csv", events()),
        write_csv(tmp_path / "items.csv", items()),
        write_csv(tmp_path / "users.csv", users()),
    )


def test_a_shop_is_understood_whatever_the_order_of_its_files(tmp_path, shop):
    log, catalogue, people = shop
    domain = proposed(tmp_path, people, catalogue, log)
    interactions = domain.interactions
    assert [source.files for source in interactions.sources] == [str(log)]
    assert (interactions.query_id, interactions.candidate_id) == ("user_id", "item_id")
    assert (interactions.timestamp.column, interactions.timestamp.unit) == ("ts", "s")
    assert interactions.rating is None
    assert interactions.actions is not None and interactions.actions.column == "event"
    assert interactions.actions.weights == {"view": 1, "add_to_cart": 3, "purchase": 5}
    assert list(interactions.context) == ["ts"]
    assert (domain.candidates.files, domain.candidates.id) == (str(catalogue), "item_id")
    assert domain.candidates.title == "name"
    kinds = {name: feature.kind for name, feature in domain.candidates.features.items()}
    assert kinds == {"name": "text", "genres": "multivalent", "price": "numeric", "year": "numeric"}
    assert domain.candidates.features["genres"].separator == "|"
    assert domain.candidates.features["genres"].max_values == 3
    assert domain.candidates.features["price"].scale == "log1p"
    assert domain.candidates.features["year"].scale == "buckets"
    assert domain.queries is not None and domain.queries.files == str(people)
    assert list(domain.queries.features) == ["gender", "age"]
    assert domain.max_bad_fraction == 0


def test_the_schemas_name_every_column_of_the_users_with_type_and_values(tmp_path, shop):
    proposed(tmp_path, *shop)
    log = schema_of(tmp_path, "interactions.pbtxt")
    found = {feature.name: schema_pb2.FeatureType.Name(feature.type) for feature in log.feature}
    assert found == {"gender": "BYTES", "age": "FLOAT"}
    values = {domain.name: set(domain.value) for domain in log.string_domain}
    assert values == {"gender": {"F", "M"}}
    catalogue = schema_of(tmp_path, "candidates.pbtxt")
    assert [feature.name for feature in catalogue.feature] == ["name", "genres", "price", "year"]
    assert set(catalogue.string_domain[0].value) == set(GENRES)


def test_each_guess_is_marked_in_the_file_and_listed_on_the_screen(tmp_path, shop):
    shown = unbroken(init(tmp_path / "domain", *shop).output)
    written = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    guess = "the weights are a guess by what the actions are called; 0 makes an action a negative"
    assert f"unsure: {guess}" in written
    assert f"interactions.actions: {guess}" in shown
    assert "100.0% of the log's rows find their item_id in item_id of items.csv" in shown
    assert "flag has the same value in every row" in written
    assert f"westwork validate --domain {tmp_path / 'domain'}" in shown
    assert f"westwork run --domain {tmp_path / 'domain'}" in shown


@pytest.mark.parametrize(
    ("unit", "per_second"), [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)]
)
def test_the_unit_of_a_timestamp_is_told_by_what_gives_plausible_times(tmp_path, unit, per_second):
    rows = [{**row, "ts": row["ts"] * per_second} for row in events()]
    log = write_parquet(tmp_path / "log.parquet", rows)
    domain = proposed(tmp_path, log, write_csv(tmp_path / "items.csv", items()))
    assert domain.interactions.timestamp.unit == unit


@pytest.mark.parametrize(
    ("form", "parts", "says_local"),
    [
        ("%Y-%m-%dT%H:%M:%S%z", ("hour_of_day", "day_of_week"), False),
        ("%Y-%m-%d %H:%M:%S", ("hour_of_day", "day_of_week"), True),
        ("%Y-%m-%d", ("day_of_week",), False),
    ],
)
def test_times_in_text_are_read_and_a_missing_offset_is_told(tmp_path, form, parts, says_local):
    rows = [
        {**row, "ts": (datetime.fromtimestamp(START, UTC) + timedelta(hours=number)).strftime(form)}
        for number, row in enumerate(events())
    ]
    log = write_csv(tmp_path / "log.csv", rows)
    domain = proposed(tmp_path, log, write_csv(tmp_path / "items.csv", items()))
    assert domain.interactions.context["ts"].parts == parts
    text = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    assert ("the times say no offset" in text) == says_local


def test_integer_ids_that_overlap_are_joined_by_their_names_and_coverage(tmp_path):
    rows = [{**r, "user_id": r["user_id"][1:], "item_id": r["item_id"][1:]} for r in events()]
    log = write_csv(tmp_path / "log.csv", rows)
    catalogue = write_csv(tmp_path / "films.csv", [{**r, "item_id": r["item_id"][1:]} for r in items()])
    people = write_csv(tmp_path / "people.csv", [{**r, "user_id": r["user_id"][1:]} for r in users()])
    domain = proposed(tmp_path, log, catalogue, people)
    assert domain.candidates.files == str(catalogue)
    assert domain.queries is not None and domain.queries.files == str(people)
    # Without the names the joins alone must do: every user's number is also a film's.
    rows = [{"a": r["user_id"], "b": r["item_id"], "ts": r["ts"]} for r in rows]
    log = write_csv(tmp_path / "log.csv", rows)
    assert init(tmp_path / "domain", log, catalogue, people, more=("--force",)).exit_code == 0
    assert load_domain(str(tmp_path / "domain")).interactions.candidate_id == "b"


def test_a_catalogue_with_times_and_brands_is_no_log_even_if_it_is_larger(tmp_path):
    brands = [{"brand_id": f"b{number}", "brand": f"Brand {number}"} for number in range(20)]
    catalogue = [
        {"item_id": f"i{at}", "brand_id": f"b{at % 20}", "kind_id": f"k{at % 3}", "created": START + at % 90}
        for at in range(900)
    ]
    domain = proposed(
        tmp_path,
        write_csv(tmp_path / "items.csv", catalogue),
        write_csv(tmp_path / "brands.csv", brands),
        write_csv(tmp_path / "log.csv", events()),
    )
    assert domain.interactions.sources[0].files == str(tmp_path / "log.csv")
    assert domain.candidates.files == str(tmp_path / "items.csv")
    assert domain.queries is None


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([1, 2, 3, 4, 5], (1, 5, 4)),
        ([0.5, 1, 2.5, 4, 4.5, 5], (0.5, 5, 4)),
        ([2, 5, 8, 10], (1, 10, 8)),
        ([0, 1], (0, 1, 1)),
    ],
)
def test_a_rating_gets_the_scale_its_numbers_lie_on(tmp_path, values, bounds):
    rows = [
        {"user_id": r["user_id"], "item_id": r["item_id"], "stars": values[at % len(values)], "ts": r["ts"]}
        for at, r in enumerate(events())
    ]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "items.csv", items())
    )
    rating = domain.interactions.rating
    assert rating is not None
    assert (rating.minimum, rating.maximum, rating.positive_from) == bounds
    text = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    share = sum(r["stars"] >= bounds[2] for r in rows) / len(rows)
    assert f"positive_from: {bounds[2]:g} makes {share:.0%} of the rows positive" in text


def test_files_named_after_actions_become_sources_with_actions(tmp_path):
    rows = [{key: row[key] for key in ("user_id", "item_id", "ts")} for row in events()]
    views = write_csv(tmp_path / "views.csv", rows[:300])
    # The same column under another name in the other file.
    bought = [{"user_id:token": r["user_id"], "item_id": r["item_id"], "ts": r["ts"]} for r in rows[300:]]
    purchases = write_csv(tmp_path / "purchases.csv", bought, ";")
    domain = proposed(tmp_path, views, purchases, write_csv(tmp_path / "items.csv", items()))
    sources = {source.action: source for source in domain.interactions.sources}
    assert set(sources) == {"views", "purchases"}
    assert sources["purchases"].delimiter == ";"
    assert sources["purchases"].columns == {"user_id": "user_id:token"}
    assert domain.interactions.actions is not None
    assert domain.interactions.actions.weights == {"views": 1, "purchases": 5}


def test_parts_become_a_glob_and_dated_folders_spans(tmp_path):
    catalogue = write_csv(tmp_path / "items.csv", items())
    for part in range(3):
        write_csv(tmp_path / "log" / f"part-{part:05d}.csv", events()[part::3])
    domain = proposed(tmp_path, tmp_path / "log", catalogue)
    assert domain.interactions.sources[0].files == str(tmp_path / "log" / "part-*.csv")
    for day in (1, 2):
        write_csv(tmp_path / "daily" / f"2024-03-0{day}" / "events.csv", events()[day::2])
    assert init(tmp_path / "domain", tmp_path / "daily", catalogue, more=("--force",)).exit_code == 0
    source = load_domain(str(tmp_path / "domain")).interactions.sources[0]
    assert source.files == str(tmp_path / "daily" / "{YYYY}-{MM}-{DD}" / "events.csv")
    assert len(table_files(source, "")) == 2


def test_a_catalogue_delivered_again_each_day_is_taken_from_the_newest_day(tmp_path):
    for day in (1, 2):
        write_csv(tmp_path / f"2024-03-0{day}" / "events.csv", events()[day::2])
        write_csv(tmp_path / f"2024-03-0{day}" / "items.csv", items())
    domain = proposed(tmp_path, tmp_path / "2024-03-01", tmp_path / "2024-03-02")
    assert "{YYYY}" in domain.interactions.sources[0].files
    assert domain.candidates.files == str(tmp_path / "2024-03-02" / "items.csv")


def test_formats_compressions_delimiters_and_encodings_are_told_by_the_content(tmp_path):
    log = tmp_path / "log.data"
    log.write_bytes(gzip.compress(write_csv(tmp_path / "x.csv", events(), "\t").read_bytes()))
    # A bar separates the cells here, so it cannot separate genres, too.
    rows = [
        {"item_id": r["item_id"], "name": f"Café au lait n° {at}", "genres": r["genres"].replace("|", ", ")}
        for at, r in enumerate(items())
    ]
    catalogue = write_csv(tmp_path / "items.txt", rows, "|", "latin-1")
    people = tmp_path / "users.jsonl.bz2"
    people.write_bytes(bz2.compress(write_jsonl(tmp_path / "y.jsonl", users()).read_bytes()))
    domain = proposed(tmp_path, log, catalogue, people)
    source = domain.interactions.sources[0]
    assert (source.resolved_format, source.compression_of(source.files), source.delimiter) == (
        "csv",
        "gzip",
        "\t",
    )
    assert (domain.candidates.delimiter, domain.candidates.encoding) == ("|", "iso8859-1")
    assert domain.candidates.features["genres"].separator == ","
    assert domain.queries is not None and domain.queries.resolved_format == "jsonl"
    assert "read as iso8859-1 it says 'i0|Café au lait n°" in unbroken(
        (tmp_path / "domain" / "domain.yaml").read_text()
    )


def test_lists_vectors_times_and_nearly_numbers_get_their_kinds(tmp_path):
    rows = [
        {
            "item_id": row["item_id"],
            "name": row["name"],
            "tags": row["genres"].split("|"),
            "vector": [float(at), 0.5, 0.25, 1.0],
            "released": datetime(2000, 1 + at % 12, 1),
            "pages": "unknown" if at == 7 else str(100 + at),
            "zip": f"{at:05d}",
            "slug": f"x{at}",
            "inner": {"a": at},
        }
        for at, row in enumerate(items())
    ]
    catalogue = write_parquet(tmp_path / "items.parquet", rows)
    domain = proposed(tmp_path, write_jsonl(tmp_path / "log.jsonl", events()), catalogue)
    features = domain.candidates.features
    assert features["tags"].kind == "multivalent"
    assert (features["vector"].kind, features["vector"].dim) == ("embedding", 4)
    assert (features["released"].kind, features["released"].parts) == ("timestamp", ("month_of_year",))
    assert "slug" not in features and "inner" not in features
    assert "zip" not in features or features["zip"].kind != "numeric"
    text = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    assert "pages" not in features or features["pages"].kind != "numeric"
    assert "slug nearly every row has its own value" in text


def test_columns_whose_names_ingestion_takes_are_declared_under_others(tmp_path):
    people = [{"user_id": r["user_id"], "ts": 18 + at, "weight": 60 + at} for at, r in enumerate(users())]
    domain = proposed(
        tmp_path,
        write_csv(tmp_path / "log.csv", events()),
        write_csv(tmp_path / "items.csv", items()),
        write_csv(tmp_path / "users.csv", people),
    )
    assert domain.queries is not None
    assert domain.queries.columns == {"query_ts": "ts", "query_weight": "weight"}
    assert set(domain.queries.features) == {"query_ts", "query_weight"}


def test_what_comes_with_the_interaction_is_offered_as_context_but_not_used(tmp_path):
    rows = [
        {**r, "device": "phone" if at % 3 else "desk", "seconds": at % 97} for at, r in enumerate(events())
    ]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "items.csv", items())
    )
    assert list(domain.interactions.context) == ["ts", "device"]
    text = (tmp_path / "domain" / "domain.yaml").read_text()
    assert "    # seconds: {kind: numeric, scale: z_score}\n" in text
    # Uncommented in both files, it is a feature: nothing else is to be done.
    folder = tmp_path / "domain"
    (folder / "domain.yaml").write_text(text.replace("    # seconds:", "    seconds:"))
    assert "seconds" in load_domain(str(folder)).interactions.context
    assert "seconds" not in [feature.name for feature in schema_of(tmp_path, "interactions.pbtxt").feature]
    schema = folder / "interactions.pbtxt"
    before, block = schema.read_text().split('# feature {\n#   name: "seconds"')
    block, after = block.split("# }\n", 1)
    schema.write_text(before + 'feature {\n  name: "seconds"' + block.replace("\n#", "\n") + "}\n" + after)
    added = [feature for feature in schema_of(tmp_path, schema.name).feature if feature.name == "seconds"]
    assert [feature.type for feature in added] == [schema_pb2.FLOAT]


def test_where_and_how_probably_something_was_shown_is_declared_and_never_offered_as_context(tmp_path):
    rows = [
        {**r, "list_position": 1 + at % 9 if at % 4 else "", "propensity": 0.1 + at % 5 / 6, "slot": at % 3}
        for at, r in enumerate(events())
    ]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "items.csv", items())
    )
    assert domain.interactions.shown == ("list_position", "propensity")
    text = (tmp_path / "domain" / "domain.yaml").read_text()
    assert "# list_position:" not in text and "# propensity:" not in text
    # Places start from 1: a slot 0 is none.
    assert "    # slot:" in text
    declared = {feature.name: feature for feature in schema_of(tmp_path, "interactions.pbtxt").feature}
    place, chance = declared["list_position"], declared["propensity"]
    assert (place.type, chance.type) == (schema_pb2.INT, schema_pb2.FLOAT)
    assert 0 < place.presence.min_fraction < chance.presence.min_fraction


def test_rows_ingestion_would_refuse_get_room_and_unknown_candidates_are_kept_if_many(tmp_path):
    rows = events(1000)
    for row in rows[:4]:
        row["user_id"] = ""
    catalogue = write_csv(tmp_path / "items.csv", items())
    domain = proposed(tmp_path, write_csv(tmp_path / "log.csv", rows), catalogue)
    assert domain.max_bad_fraction == pytest.approx(0.008)
    assert domain.interactions.unknown_candidates == "dead_letter"
    for row in rows[100:200]:
        row["item_id"] = "gone"
    write_csv(tmp_path / "log.csv", rows)
    assert init(tmp_path / "domain", tmp_path / "log.csv", catalogue, more=("--force",)).exit_code == 0
    domain = load_domain(str(tmp_path / "domain"))
    assert domain.max_bad_fraction == pytest.approx(0.008)
    assert domain.interactions.unknown_candidates == "stub"


def test_groceries_are_measured_with_repeats(tmp_path):
    rows = [{"user_id": f"u{at % 5}", "item_id": f"i{at % 7}", "ts": START + at} for at in range(500)]
    domain = proposed(
        tmp_path, write_csv(tmp_path / "log.csv", rows), write_csv(tmp_path / "items.csv", items())
    )
    assert domain.evaluation.repeats and domain.assemble.rank_history
    assert domain.interactions.actions is None and domain.interactions.rating is None


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "csv.gz"])
def test_of_a_large_table_stretches_from_all_over_are_read(tmp_path, monkeypatch, form):
    rows = [{"user_id": f"u{at % 99}", "item_id": f"i{at}", "ts": START + at} for at in range(20_000)]
    path = tmp_path / f"log.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
    elif form == "jsonl":
        write_jsonl(path, rows)
    else:
        write_csv(path, rows)
    if form.endswith("gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(sample, "WHOLE_BYTES", 0)
    monkeypatch.setattr(sample, "WHOLE_PARQUET_ROWS", 0)
    monkeypatch.setattr(sample, "STRETCH_BYTES", 2_000)
    monkeypatch.setattr(sample, "STRETCH_ROWS", 60)
    monkeypatch.setattr(sample, "COMPRESSED_HEAD_BYTES", 30_000)
    profile = profile_table(given_tables([path])[0][0])
    assert not profile.sample.whole
    assert 300 < profile.sample.rows.num_rows < 5_000
    if not form.endswith("gz"):
        assert profile.sample.total == pytest.approx(20_000, rel=0.25)
    assert profile.sample.malformed == 0
    seen = profile.column("ts").numbers - START
    assert seen.min() == 0
    if not form.endswith("gz"):
        assert seen.max() > 18_900
        assert len(set(seen // 1250)) >= 12
    assert len(set(seen)) == len(seen)
    # A key is looked for in the whole column, not in the sample.
    assert [key.name for key in profile.keys] == ["item_id"]
    assert len(profile.key_values(profile.column("item_id"))) == 20_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"user,item,ts\n", "holds no rows, only columns: user, item, ts"),
        (b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t878887116\n", "has no header row"),
        (b"1::1193::5::978300760\n1::661::3::978302109\n", "the cells are separated by '::'"),
        (b'[{"user": 1}]', "is one JSON array. Expected JSON Lines"),
        (b'{"user": 1}\n{"user": \n', "line 2, is not JSON"),
        (b"PK\x03\x04 a spreadsheet", "is a zip archive or a spreadsheet"),
        (b"PAR1 broken", "cannot be read as Parquet"),
        (b"\x1f\x8b broken", "cannot be decompressed as gzip"),
        (b"a,a\n1,2\n", "has 2 columns called 'a'"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_what_to_do(tmp_path, content, message):
    path = tmp_path / "log"
    path.write_bytes(content)
    result = init(tmp_path / "domain", path)
    assert result.exit_code == 1
    assert message in result.stderr and str(path) in result.stderr
    assert not (tmp_path / "domain").exists()


def test_without_a_catalogue_init_says_how_to_make_one_and_that_works(tmp_path, monkeypatch):
    log = write_csv(tmp_path / "log.csv", [{**row, "item_name": row["item_id"].upper()} for row in events()])
    result = init(tmp_path / "domain", log, write_csv(tmp_path / "users.csv", users()))
    assert result.exit_code == 1
    assert "one row for each item_id" in result.stderr
    assert "one value for each (item_name):" in result.stderr
    assert "user_id" in result.output  # The profile is shown all the same.
    code = result.stderr.split('python -c "')[1].split('"')[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "advice", "exec"), {})
    assert proposed(tmp_path, log, tmp_path / "catalogue.csv").candidates.id == "item_id"


def test_without_a_time_init_says_what_was_found_and_expected(tmp_path):
    rows = [{"user": r["user_id"], "item": r["item_id"], "day": "31/12/2023"} for r in events()]
    result = init(tmp_path / "domain", write_csv(tmp_path / "log.csv", rows))
    assert result.exit_code == 1
    assert "none of the files is an event log. Found: log.csv (user, item, day)" in result.stderr
    assert (
        "day of log.csv looks like dates, but holds such as '31/12/2023'; expected ISO 8601" in result.stderr
    )


def test_a_missing_path_and_a_folder_without_data_are_named(tmp_path):
    assert f"there is no file or folder {tmp_path / 'x'}" in init(tmp_path / "d", tmp_path / "x").stderr
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.md").touch()
    assert "holds no data file: found readme.md" in init(tmp_path / "d", tmp_path / "empty").stderr


def test_a_domain_that_is_there_is_replaced_only_when_told(tmp_path, shop):
    folder = tmp_path / "domain"
    folder.mkdir()
    (folder / "domain.yaml").write_text("mine")
    refused = init(folder, *shop)
    assert refused.exit_code == 1 and "holds a domain already (domain.yaml)" in refused.stderr
    assert (folder / "domain.yaml").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["domain.yaml"]
    assert init(folder, *shop, more=("--force", "--name", "Our: shop")).exit_code == 0
    assert load_domain(str(folder)).title == "Our: shop"
    assert sorted(path.name for path in folder.iterdir()) == [
        "candidates.pbtxt",
        "domain.yaml",
        "interactions.pbtxt",
    ]
