"""`westwork validate`: every verdict on small hand-made data, and the same as ingestion's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from tfx.types import standard_artifacts

from components.ingest import interactions
from components.ingest.errors import UserError
from components.ingest.nodes import interaction_gen
from components.ingest.summary import read_ingestion_summary
from pipeline.check_data.check import check_data
from pipeline.check_data.report import Finding, Report
from pipeline.cli import main
from pipeline.domain import load_domain

TINY = Path(__file__).parent.parent / "fixtures" / "tiny"
SCHEMAS = ("interactions.pbtxt", "candidates.pbtxt")
BEAM_ARGS = ["--runner=FnApiRunner", "--direct_num_workers=1", "--sdk_container_image=none"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the tiny bookshop: domain, schemas and data in one folder."""
    return Path(shutil.copytree(TINY, tmp_path / "shop"))


@pytest.fixture
def look(shop: Path) -> Callable[..., Report]:
    """Looks at the shop with some keys of its domain set.

    Without its schemas, unless asked: TFDV is not needed to see what else is told.
    """

    def run(*settings: str, schemas: bool = False, most_rows: int = 1000) -> Report:
        for name in () if schemas else SCHEMAS:
            (shop / name).unlink(missing_ok=True)
        return check_data(load_domain(str(shop), settings), str(shop), most_rows=most_rows)

    return run


def told(report: Report, about: str) -> list[tuple[str, str]]:
    """Level and message of each finding about something."""
    return [(finding.level, finding.message) for finding in report.findings if finding.about == about]


def rewrite(path: Path, edit: Callable[[str], str]) -> None:
    before = path.read_text()
    assert edit(before) != before
    path.write_text(edit(before))


def add(path: Path, *rows: str) -> None:
    rewrite(path, lambda text: text + "\n".join(rows) + "\n")


# --- the command ---------------------------------------------------------------------------------------


def test_the_tiny_bookshop_is_found_in_order(tmp_path):
    arguments = ["validate", "--domain", str(TINY), "--data", str(TINY), "--root", str(tmp_path)]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 0, shown.output
    assert "24 of 24 interactions can be used" in shown.output
    assert "ok a run would take domain and data as they are" in shown.output
    answered = CliRunner().invoke(main, [*arguments, "--json"])
    assert answered.exit_code == 0
    report = Report.model_validate_json(answered.stdout)
    assert report.ok and report.log is not None and report.log.rows == 24
    assert [table.rows for table in report.tables] == [24, 8, 4]


def test_the_command_fails_where_a_run_would_stop_and_shows_the_rows(shop):
    add(shop / "interactions.csv", "ada,none,5,2300", ",007,5,2300")
    arguments = ["validate", "--domain", str(shop), "--data", str(shop)]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 1
    assert "not ok a run would stop" in shown.output
    assert f"{shop}/interactions.csv, row 25, column 'isbn': found 'none'" in shown.output.replace("\n", "")
    allowed = CliRunner().invoke(main, [*arguments, "--set", "max_bad_fraction=0.1"])
    assert allowed.exit_code == 0, allowed.output


def test_a_domain_file_that_is_wrong_is_a_finding(shop):
    arguments = ["validate", "--domain", str(shop), "--set", "history.lenght=3", "--json"]
    answered = CliRunner().invoke(main, arguments)
    assert answered.exit_code == 1
    (finding,) = json.loads(answered.stdout)["findings"]
    assert finding["about"] == "domain.yaml" and "history.lenght: there is no such key" in finding["message"]


def test_demo_settings_that_cannot_be_set_are_an_error(shop):
    add(shop / "domain.yaml", "demo: {history.lenght: 3}")
    answered = CliRunner().invoke(main, ["validate", "--domain", str(shop), "--data", str(shop), "--json"])
    assert answered.exit_code == 1
    ((level, message),) = told(Report.model_validate_json(answered.stdout), "demo")
    assert level == "error" and "history.lenght: there is no such key" in message


def test_public_data_are_had_first_unless_they_are_there(shop, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "tinyshelf").mkdir(parents=True)
    (site / "tinyshelf-1.0.dist-info").mkdir()
    (site / "tinyshelf-1.0.dist-info" / "METADATA").write_text("Name: tinyshelf\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))
    tables = {}
    for name in ("interactions", "candidates", "queries"):
        content = (shop / f"{name}.csv").read_bytes()
        (site / "tinyshelf" / f"{name}.csv").write_bytes(content)
        member = {"member": f"tinyshelf/{name}.csv", "sha256": hashlib.sha256(content).hexdigest()}
        columns = content.decode().splitlines()[0].split(",")
        if name == "candidates":  # A quoted comma; acquire reads without quotes.
            continue
        tables[f"{name}.parquet"] = {"columns": columns, "package": {**member, "delimiter": ","}}
    domain = yaml.safe_load((shop / "domain.yaml").read_text())
    domain["interactions"]["sources"] = [{"files": "interactions.parquet"}]
    domain["queries"]["files"] = "queries.parquet"
    domain["candidates"]["files"] = str(shop / "candidates.csv")
    package = {"name": "tinyshelf", "version": "1.0", "sha256": "0" * 64}
    domain["acquire"] = {"terms": "Be kind.", "package": package, "tables": tables}
    (shop / "domain.yaml").write_text(yaml.safe_dump(domain))
    arguments = ["validate", "--domain", str(shop), "--root", str(tmp_path / "root")]
    first = CliRunner().invoke(main, arguments)
    assert first.exit_code == 0, first.output
    assert "Be kind." in first.stderr and "Be kind." not in first.stdout
    assert (tmp_path / "root" / "data" / "queries.parquet").is_file()
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 0 and "Be kind." not in again.output


# --- files, columns, keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["interactions", "candidates", "queries"])
def test_a_missing_file_is_named_and_the_other_tables_are_still_looked_at(shop, look, table):
    (shop / f"{table}.csv").unlink()
    report = look()
    ((level, message),) = told(report, f"{table} files")
    assert level == "error" and f"found no file {shop}/{table}.csv" in message
    assert {facts.table for facts in report.tables if facts.files} == {
        "interactions",
        "candidates",
        "queries",
    } - {table}
    assert {facts.table for facts in report.features} >= {"candidates", "queries"} - {table}


def test_every_file_without_a_declared_column_is_named(shop, look):
    shutil.copy(shop / "queries.csv", shop / "queries2.csv")
    for name in ("queries.csv", "queries2.csv"):
        rewrite(shop / name, lambda text: text.replace("town", "city", 1))
    messages = [message for _, message in told(look("queries.files='queries*.csv'"), "queries files")]
    assert len(messages) == 2
    assert all("has no column 'town'; the columns there are: reader, city" in text for text in messages)


def test_spans_are_counted_and_only_the_newest_are_read(shop, look):
    for span in (1, 2, 3):
        shutil.copy(shop / "interactions.csv", shop / f"log-{span}.csv")
    report = look("interactions.sources=[{files: 'log-{SPAN}.csv'}]", "interactions.spans=2")
    assert report.tables[0].spans == (2, 3)
    assert report.log is not None
    assert (report.log.rows, report.log.duplicates, report.log.usable) == (48, 24, 24)


@pytest.mark.parametrize(
    ("file", "row", "about"),
    [
        ("candidates.csv", "007,Again,10,crime", "candidates"),
        ("queries.csv", "ada,Soest,1,1,1970", "queries"),
    ],
)
def test_a_key_that_comes_twice_is_an_error_naming_both_rows(shop, look, file, row, about):
    add(shop / file, row)
    (level, message) = told(look(), about)[0]
    assert level == "error" and "comes twice" in message and f"{shop / file}, row" in message


def test_a_wrong_cell_of_the_catalogue_leaves_the_log_to_be_looked_at(shop, look):
    rewrite(shop / "candidates.csv", lambda text: text.replace(",320,", ",many,"))
    report = look()
    (level, message) = told(report, "candidates")[0]
    assert level == "error" and "row 2, column 'pages': found 'many'" in message
    assert report.log is not None and report.log.usable == 24


# --- rows of the log -----------------------------------------------------------------------------------

FAULTY = (
    ",007,5,2300",
    "ada,,5,2300",
    "ada,999,5,2300",
    "ada,999,5,2310",
    "ada,007,5,yesterday",
    "ada,007,9,2300",
    "ada,007,great,2300",
    "ada,007",
)


def ingest(shop: Path, uri: Path, *settings: str) -> Any:
    """What the real InteractionGen makes of the shop."""
    examples = standard_artifacts.Examples()
    examples.uri = str(uri)
    uri.mkdir(parents=True)
    node = interaction_gen(load_domain(str(shop), settings).declaration, str(shop))
    context = interactions.Executor.Context(
        beam_pipeline_args=BEAM_ARGS, tmp_dir=str(uri.parent / "tmp"), unique_id="1"
    )
    interactions.Executor(context).Do({}, {"examples": [examples]}, dict(node.exec_properties))
    return read_ingestion_summary(str(uri))


@pytest.mark.parametrize(
    "settings",
    [
        ("interactions.duplicates=dead_letter",),
        ("interactions.unknown_candidates=stub", "interactions.since=1970-01-01"),
        ("split={kind: leave_last_out}",),
    ],
    ids=["time", "stub", "leave_last_out"],
)
def test_counts_equal_those_of_ingestion_on_the_same_faulty_files(shop, look, tmp_path, settings):
    add(shop / "interactions.csv", *FAULTY, "ada,007,4,1000")
    settings = ("max_bad_fraction=0.5", *settings)
    report, summary = look(*settings), ingest(shop, tmp_path / "examples" / "1", *settings)
    log = report.log
    assert log is not None
    assert (log.rows, log.bad, log.bad_by_reason) == (summary.rows, summary.bad, summary.bad_by_reason)
    assert log.bad >= 6
    repeated = "dead_letter" not in settings[1]
    assert log.duplicates == (summary.duplicates if repeated else 1) == 1
    assert (report.eval_from, report.test_from) == (summary.eval_from, summary.test_from)
    for name, split in summary.splits.items():
        found = report.splits[name]
        assert (found.interactions, found.positives, found.repeats, found.queries) == (
            split.count,
            split.positives,
            split.repeats,
            split.queries,
        )
        assert (found.first, found.last) == (split.first, split.last)
    assert set(report.splits) == set(summary.splits)


def test_too_many_bad_rows_stop_ingestion_and_are_an_error_here(shop, look, tmp_path):
    add(shop / "interactions.csv", *FAULTY)
    report = look("max_bad_fraction=0.2")
    ((level, message),) = told(report, "max_bad_fraction")
    assert level == "error"
    assert "8 of 32 interactions cannot be used (25.00%); at most 20.00% are allowed" in message
    assert "unknown_candidates: stub" in message and "max_bad_fraction: 0.26" in message
    assert report.log is not None
    assert report.log.bad_by_reason["candidate not in the catalogue"] == 2
    assert [row.row for row in report.log.bad_rows if row.value == "999"] == [27, 28]
    with pytest.raises(UserError, match="8 of 32 interactions cannot be used"):
        ingest(shop, tmp_path / "examples" / "1", "max_bad_fraction=0.2")
    assert not told(look("max_bad_fraction=0.26"), "max_bad_fraction")


def test_where_the_unit_may_be_mistaken_it_is_the_first_thing_to_set(look):
    ((_, message),) = told(look("interactions.timestamp.earliest=2000-01-01"), "max_bad_fraction")
    assert "Do one of: set interactions.timestamp.unit; correct the rows." in message


def test_joins_are_shares_of_the_interactions(shop, look):
    add(shop / "interactions.csv", "ada,999,5,2300", "zoe,007,5,2300")
    log = look().log
    assert log is not None
    assert log.in_catalogue == pytest.approx(25 / 26)
    assert log.in_queries == pytest.approx(22 / 25)  # eli has no row, nor has zoe
    stubbed = look("interactions.unknown_candidates=stub")
    assert stubbed.log is not None
    assert (stubbed.log.bad, stubbed.log.usable) == (0, 26)
    assert stubbed.log.in_catalogue == pytest.approx(25 / 26)
    assert stubbed.log.candidates_met == log.candidates_met == 7


@pytest.mark.parametrize(
    ("written", "how"),
    [("7", "leading zeros"), ("' 101'", "blanks around")],
)
def test_ids_written_differently_in_both_tables_are_recognised(shop, look, written, how):
    add(shop / "interactions.csv", f"ada,{written.strip(chr(39))},5,2300")
    ((level, message),) = told(look(), "interactions.candidate_id")
    assert level == "warning" and how in message


def test_queries_without_a_row_in_their_table_are_a_warning_from_a_twentieth_on(look):
    assert told(look(), "queries") == [
        (
            "warning",
            "8% of the interactions are of queries without a row in the queries table: their attributes are "
            "missing. Is it the same id?",
        )
    ]


def test_a_log_before_since_and_one_without_rows_are_errors(shop, look):
    report = look("interactions.since=1971-01-01")
    assert report.log is not None and report.log.before_since == 24 and not report.splits
    ((level, message),) = told(report, "interactions.since")
    assert level == "error" and "all 24 rows that could be used are before 1971-01-01" in message
    (shop / "interactions.csv").write_text("reader,isbn,stars,rated_at\n")
    assert any("found no rows" in message for _, message in told(look(), "interactions"))


def test_interactions_in_the_future_are_a_warning(shop, look):
    add(shop / "interactions.csv", "ada,007,5,4000000000")
    messages = [message for _, message in told(look(), "interactions.timestamp")]
    assert any("latest interaction is of 2096-10-02, in the future" in message for message in messages)


# --- splits, histories, labels -------------------------------------------------------------------------

MADE = """reader,isbn,stars,rated_at
ada,101,5,100
ada,102,5,200
bob,101,5,300
bob,103,1,400
ada,101,5,500
ada,103,5,510
cyd,104,5,520
cyd,101,5,600
ada,102,5,700
bob,105,1,800
"""


@pytest.fixture
def made(shop):
    (shop / "interactions.csv").write_text(MADE)
    return shop


def test_splits_and_cold_shares_are_those_counted_by_hand(made, look):
    report = look("split={kind: time, eval: 0.3, test: 0.3}")
    # train: 100 … 400; eval: 500, 510, 520; test: 600, 700, 800.
    assert {name: split.interactions for name, split in report.splits.items()} == {
        "train": 4,
        "eval": 3,
        "test": 3,
    }
    assert (report.eval_from, report.test_from) == (500, 600)
    train, later, test = (report.splits[name] for name in ("train", "eval", "test"))
    assert train.cold_candidates is None
    # eval's positives: ada 101, ada 103 (bob's, not liked, in train), cyd 104.
    assert later.cold_candidates == pytest.approx(1 / 3)
    assert later.cold_queries == pytest.approx(1 / 3)
    # test's: cyd 101, ada 102.
    assert (test.positives, test.cold_candidates, test.cold_queries) == (2, 0, 0.5)
    assert (later.repeats, test.repeats) == (1, 1)
    assert ("warning", "33% of eval's positives are with candidates that never occur in train: only their "
            "features can find them.") in told(report, "split")  # fmt: skip
    # With more than a tenth of the later interactions repeating:
    ((level, message),) = told(report, "evaluation.repeats")
    assert level == "suggestion" and "33% of the later interactions" in message
    assert not told(look("evaluation.repeats=true"), "evaluation.repeats")


def test_history_facts_are_those_counted_by_hand(made, look):
    history = look("history.length=2").history
    # Past positives by row: ada 0 1 2 3 4, bob 0 1 1, cyd 0 1.
    assert history is not None
    assert (history.median, history.empty, history.truncated) == (1, 0.3, 0.2)
    assert history.same_moment == 0
    assert not told(look("history.length=2"), "history.length")


def test_histories_cut_short_and_a_clock_of_days_are_told(made, look):
    (made / "interactions.csv").write_text(
        "reader,isbn,stars,rated_at\n" + "".join(f"ada,{101 + n % 7},5,{n // 2}\n" for n in range(1, 60))
    )
    report = look("history.length=3")
    ((level, message),) = told(report, "history.length")
    assert level == "suggestion" and "3 is too short for 92% of the interactions" in message
    ((level, message),) = told(report, "interactions.timestamp")
    assert level == "suggestion" and "98% of the interactions share their second" in message


@pytest.mark.parametrize(
    ("split", "advice"),
    [
        ("{kind: time}", "a second is never divided"),
        ("{kind: leave_last_out}", "at least three positive interactions"),
        ("{kind: column, column: isbn, train: ['101'], eval: ['102'], test: ['x']}", "values of each split"),
    ],
)
def test_a_split_that_would_be_empty_is_an_error(made, look, split, advice):
    rows = "ada,101,5,100\nada,102,5,100\n"
    (made / "interactions.csv").write_text("reader,isbn,stars,rated_at\n" + rows)
    levels = [level for level, message in told(look(f"split={split}"), "split") if advice in message]
    assert levels == ["error"]


def test_a_column_of_the_log_divides_it(made, look):
    rewrite(made / "interactions.csv", lambda text: "\n".join(
        f"{line},{'fold' if number == 0 else 'abc'[number % 3]}" for number, line in enumerate(text.split())
    ))  # fmt: skip
    report = look("split={kind: column, column: fold, train: [a, b], eval: [c], test: [d]}")
    assert {name: split.interactions for name, split in report.splits.items()} == {"train": 7, "eval": 3}
    assert report.eval_from is None


def test_a_train_split_without_positives_is_an_error_a_small_test_split_a_suggestion(made, look):
    rewrite(made / "interactions.csv", lambda text: text.replace(",5,", ",1,"))
    levels = sorted((message.split(" has no ")[0], level) for level, message in told(look(), "split"))
    assert levels == [("test", "warning"), ("the eval split", "error"), ("the train split", "error")]


def test_labels_all_alike_and_actions_that_never_occur_are_warnings(made, look):
    rewrite(made / "interactions.csv", lambda text: text.replace(",1,", ",5,"))
    ((level, message),) = told(look(), "interactions.rating.positive_from")
    assert level == "warning" and "makes 100.0% of the interactions positive" in message
    actions = "interactions.actions={column: stars, weights: {'5': 1, loan: 0}}"
    report = look("interactions.rating=null", actions)
    assert told(report, "interactions.actions") == [
        ("warning", "no interaction has action 'loan'. Correct its spelling, or leave it out.")
    ]
    assert report.splits["train"].actions == {"5": 6, "loan": 0}


def test_a_longer_log_than_is_held_is_looked_at_in_whole_queries(made, look):
    rows = [
        f"u{user},{101 + (user + n) % 5},{1 + n % 5},{1000 * n + user}"
        for user in range(300)
        for n in range(10)
    ]
    (made / "interactions.csv").write_text("reader,isbn,stars,rated_at\n" + "\n".join(rows) + "\n")
    whole, part = look(most_rows=5000), look(most_rows=1000)
    assert whole.log is not None and part.log is not None
    assert whole.log.exact and not part.log.exact
    assert part.log.rows == whole.log.rows == 3000
    assert part.log.share_of_rows * 3000 % 10 == 0 and 1 / 6 < part.log.share_of_rows <= 1 / 3
    assert (part.eval_from, part.test_from) == (whole.eval_from, whole.test_from)
    assert part.history is not None and whole.history is not None
    assert part.history.empty == pytest.approx(whole.history.empty)
    for name, split in whole.splits.items():
        assert part.splits[name].interactions == pytest.approx(split.interactions, rel=0.05)
        assert part.splits[name].queries == pytest.approx(split.queries, rel=0.15)


# --- features and schemas ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "about", "level", "words"),
    [
        ("queries.features.town={kind: vocabulary, top_k: 1}", "queries.features.town", "suggestion",
         "top_k 1 knows 67% of what the column holds; 2 would know 90%"),
        ("candidates.features.name={kind: text, max_tokens: 2}", "candidates.features.name", "suggestion",
         "max_tokens 2 cuts words off in 100% of the cells; 4 would"),
        ("candidates.features.shelves={kind: multivalent, separator: /, max_values: 1}",
         "candidates.features.shelves", "suggestion", "max_values 1 cuts values off in 43% of the cells; 2"),
        ("candidates.features.pages={kind: numeric, scale: buckets}", "candidates.features.pages",
         "suggestion", "buckets 10 are more than its 8 different values"),
        ("candidates.title=null", "candidates.title", "suggestion", "is not declared"),
        ("history.length=3", "candidates.title", "warning", "1 of 8 candidates have nothing"),
    ],
)  # fmt: skip
def test_features_are_held_against_their_declaration(look, setting, about, level, words):
    findings = told(look(setting), about)
    assert [found for found, message in findings if words in message] == [level], findings


def test_columns_that_say_nothing_or_less_than_nothing_are_told(shop, look):
    rewrite(shop / "queries.csv", lambda text: text.replace("Hagen", "Soest"))
    rewrite(shop / "queries.csv", lambda text: "\n".join(
        line if line.startswith("reader") else line.rsplit(",", 1)[0] + "," for line in text.splitlines()
    ))  # fmt: skip
    rewrite(shop / "candidates.csv", lambda text: text.replace(",320,", ",-320,"))
    report = look()
    assert told(report, "queries.features.born")[0][0] == "warning"
    assert "has no value in any row" in told(report, "queries.features.born")[0][1]
    assert "the same value wherever it has one" in told(report, "queries.features.town")[0][1]
    ((level, message),) = told(report, "candidates.features.pages")
    assert level == "warning" and "found 1, -320 the least" in message
    facts = {f"{feature.table}.{feature.name}": feature for feature in report.features}
    assert facts["queries.born"].missing == 1
    assert facts["queries.town"].missing == 0.25
    assert facts["candidates.shelves"].seen == "8 values, up to 2 in a cell"


def test_places_and_propensities_are_described_and_told_where_they_can_correct_nothing(shop, look):
    rewrite(
        shop / "interactions.csv",
        lambda text: "\n".join(
            f"{line},{'place,chance,stuck' if n == 0 else f'{n % 5 or str()},,0.5'}"
            for n, line in enumerate(text.splitlines())
        ),
    )
    report = look("interactions.position=place", "interactions.propensity=chance")
    facts = {fact.name: fact for fact in report.features if fact.table == "interactions"}
    place = facts["place"]
    assert (place.kind, place.distinct, place.seen) == ("position", 4, "1 … 4")
    assert place.missing == pytest.approx(4 / 24)
    assert not told(report, "interactions.position")
    ((level, message),) = told(report, "interactions.propensity")
    assert level == "warning" and "column 'chance' has no value in any row" in message
    stuck = look("interactions.propensity=stuck")
    assert "'stuck' has nothing but 0.5, so" in told(stuck, "interactions.propensity")[0][1]


def test_vectors_of_another_length_are_an_error_right_ones_are_described(shop, look):
    rewrite(shop / "queries.csv", lambda text: text.replace("born", "face").replace("1970", "1 2"))
    rewrite(shop / "queries.csv", lambda text: text.replace("1988.5", "1 3").replace("1999", ""))
    features = "queries.features={face: {kind: embedding, dim: %d}}"
    report = look(features % 2)
    (facts,) = (feature for feature in report.features if feature.name == "face")
    assert (facts.missing, facts.seen) == (0.5, "vectors of 2 numbers")
    assert told(look(features % 3), "queries")[0][0] == "error"


@pytest.mark.parametrize(
    ("file", "edit", "level", "words"),
    [
        ("interactions.pbtxt", ('name: "town"', 'name: "twon"'), "error",
         """lacks feature 'town'. Expected one of type BYTES: add feature { name: "town" type: BYTES }"""),
        ("interactions.pbtxt", ('name: "town"', 'name: "twon"'), "warning",
         "feature 'twon' is not declared in domain.yaml. There are: reader, isbn"),
        ("interactions.pbtxt", ('name: "postcode" type: BYTES',
                                'name: "post" type: BYTES presence { min_fraction: 1 }'), "error",
         "feature 'post' is not declared in domain.yaml, but must be present."),
        ("interactions.pbtxt", ('feature {', 'feature { name: "history" type: BYTES } feature {'), "warning",
         "describes 'history', which follow from domain.yaml: a run takes them "
         "from there"),
        ("interactions.pbtxt", ('feature {', 'feature { name: "stars" type: INT } feature {'), "error",
         "feature 'stars' has type INT; its examples hold FLOAT. Set type: FLOAT."),
        ("candidates.pbtxt", ('name: "pages" type: FLOAT float_domain { min: 1.0 }',
                              'name: "pages" type: INT'), "error",
         "feature 'pages' has type INT; its examples hold FLOAT"),
        ("candidates.pbtxt", ('feature { name: "pages"', 'feature { nmae: "pages"'), "error",
         "cannot be read as a TFMD schema"),
    ],
)  # fmt: skip
def test_schemas_are_held_against_the_declaration(shop, look, file, edit, level, words):
    rewrite(shop / file, lambda text: text.replace(*edit, 1))
    # Without data, TFDV has nothing to look at.
    (shop / "interactions.csv").unlink()
    findings = told(look(schemas=True), file)
    assert [found for found, message in findings if words in message] == [level], findings


def test_a_missing_schema_is_an_error(look):
    for file in SCHEMAS:
        ((level, message),) = told(look(), file)
        assert level == "error" and "found no such file" in message


def test_values_the_schemas_do_not_allow_are_errors_with_file_column_and_value(shop, look):
    rewrite(shop / "queries.csv", lambda text: text.replace("Hagen", "Paris"))
    rewrite(shop / "candidates.csv", lambda text: text.replace(",96,", ",0,"))
    report = look(schemas=True)
    assert [finding.level for finding in report.findings].count("error") == 2
    ((_, of_log),) = told(report, "interactions.pbtxt")
    assert of_log.startswith("queries.csv, column 'town', split train and eval and test: ")
    assert "Paris" in of_log
    ((_, of_catalogue),) = told(report, "candidates.pbtxt")
    assert of_catalogue.startswith("candidates.csv, column 'pages', split catalogue: ")


def test_findings_know_three_levels_and_only_errors_fail():
    report = Report(title="", folder="", data="")
    for level, ok in (("suggestion", True), ("warning", True), ("error", False)):
        finding = Finding(level=level, about="x", message="y")
        assert report.model_copy(update={"findings": (finding,)}).ok is ok


@pytest.mark.parametrize(
    ("names", "sources", "level", "words"),
    [
        (["day-2024-02-30.csv"], "day-{YYYY}-{MM}-{DD}.csv", "warning", "not read: "),
        (["day-2024-01-last.csv"], "day-{YYYY}-{MM}-{DD}.csv", "warning", "day-2024-01-last.csv"),
        (["day-2024-01-02 (1).csv"], "day-*.csv", "warning", "holds just what"),
        (["more/day.csv"], "{day-*.csv,more/*.csv}", "warning", "each of its rows is read twice"),
        ([], "{day-*.csv,day-2024-01-02.csv}", "error", "is read twice"),
        ([], "{day-*.csv,./day-2024-01-02.csv}", "error", "another way of writing its path"),
    ],
)
def test_rows_read_twice_and_files_not_read_are_told(shop, look, names, sources, level, words):
    (shop / "more").mkdir()
    for name in ["day-2024-01-02.csv", *names]:
        shutil.copy(shop / "interactions.csv", shop / name)
    listed = sources.strip("{}").split(",") if "," in sources else [sources]
    report = look(f"interactions.sources={json.dumps([{'files': name} for name in listed])}")
    ((found, message),) = told(report, "interactions files")
    assert found == level and words in message


@pytest.mark.parametrize(
    ("threshold", "over_threshold", "levels"),
    [(0.3, "stop", ["error"]), (0.3, "warn", ["warning"]), (0.4, "stop", [])],
)
def test_splits_further_apart_than_allowed_are_told_as_the_gate_would(
    made, look, threshold, over_threshold, levels
) -> None:
    report = look(
        "split={kind: time, eval: 0.3, test: 0.3}",
        f"distributions.skew.isbn.l_infinity={threshold}",
        f"distributions.over_threshold={over_threshold}",
    )
    found = told(report, "distributions.skew.isbn")
    assert [level for level, _ in found] == levels
    # Candidate 104 has none of train's four interactions and one of eval's three; 101 two and one.
    wanted = "split eval beside split train: L-infinity distance 0.3333, threshold 0.3; '104' changed most. "
    assert all(message.startswith(wanted) for _, message in found)
