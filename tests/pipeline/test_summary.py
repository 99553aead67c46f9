"""What the terminal says at the end of a run."""

import io
import re

import pytest
from rich.console import Console

from components.ingest.errors import UserError
from pipeline.run_events import Summarised, decode
from pipeline.summary import (
    Pushed,
    RunSummary,
    SplitFacts,
    newest_version,
    newest_version_or_refuse,
    print_summary,
)

METRICS = {
    "retrieve/recall@10": 0.1234,
    "recommend/recall@10": 0.2345,
    "popularity/recall@10": 0.0567,
    "rating/rmse": 0.95,
    "candidate_mean/rmse": 1.02,
    "positive/auc": None,
}


@pytest.fixture
def serving(tmp_path):
    (tmp_path / "1700000000").mkdir()
    return tmp_path


def _summary(**changes) -> RunSummary:
    splits = {
        "train": SplitFacts(count=80_000, positives=44_000, queries=900, first=874_724_710, last=888_259_984),
        "test": SplitFacts(count=10_000, positives=5_000, queries=150, first=890_000_000, last=893_286_638),
    }
    values = {
        "splits": splits,
        "bad_rows": 0,
        "candidates": 1682,
        "metrics": {"test": METRICS, "eval": {**METRICS, "retrieve/recall@10": 0.3456}},
        "failures": (),
        "pushed": None,
        "report": "/runs/report.html",
    }
    return RunSummary(**{**values, **changes})


def _print(summary: RunSummary, serving, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    seconds = {"InteractionGen": 4.25, "RetrievalTrainer": 61.0, "CandidateGen": None}
    ask = ["westwork", "recommend", "--domain", "./my data", "--example"]
    print_summary(console, summary, seconds, serving / "a.log", serving, ask)
    return console.file.getvalue()


def test_splits_times_and_metrics_beside_the_baselines_fit_80_columns(serving):
    shown = _print(_summary(), serving)
    assert re.search(r"train +80,000 +44,000 +900 +1997-09-20 03:05 +1998-02-23 18:53", shown)
    assert "Steps (seconds, 65 in all): InteractionGen 4.2, RetrievalTrainer 61.0, 1 cached" in shown
    assert re.search(r"recall@10 +0\.1234 +0\.2345 +0\.0567 +0\.3456 +0\.2345 +0\.0567", shown)
    assert re.search(r"rating RMSE +0\.9500 +1\.0200 +0\.9500 +1\.0200", shown)
    assert re.search(r"positive AUC +- +- +- +-", shown)
    assert "…" not in shown


def test_a_blessed_run_says_where_the_model_is_and_how_to_ask_it(serving):
    path = serving / "1700000000"
    shown = _print(_summary(pushed=Pushed(version="1700000000", path=str(path))), serving)
    assert "BLESSED" in shown and "NOT BLESSED" not in shown
    assert f"version 1700000000, {path}" in shown
    assert "westwork recommend --domain './my data' --example" in shown
    assert "/runs/report.html" in shown and "a.log" in shown


def test_a_run_that_is_not_blessed_says_which_bound_failed_and_what_is_served(serving):
    shown = _print(_summary(failures=("positive/auc 0.512 is below its floor 0.55",)), serving)
    assert "NOT BLESSED, NOT PUSHED:\n  positive/auc 0.512 is below its floor 0.55\n" in shown
    assert f"the earlier version stays in place: {serving / '1700000000'}" in shown


def test_a_first_run_that_is_not_blessed_offers_no_command_to_ask(tmp_path):
    shown = _print(_summary(failures=("x",)), tmp_path / "serving")
    assert "nothing is being served yet" in shown
    assert "westwork recommend" not in shown


def test_a_pushed_version_that_has_been_removed_is_noticed(serving):
    shown = _print(_summary(pushed=Pushed(version="5", path=str(serving / "5"))), serving)
    assert "That folder is gone since. Run with --no-cache" in shown


def test_the_summary_survives_the_pipe():
    event = Summarised(summary=_summary())
    assert decode(event.model_dump_json()) == event


def test_the_newest_version_is_the_greatest_number(tmp_path):
    assert newest_version(tmp_path / "nowhere") is None
    for name in ("999", "1000", ".1001.part", "latest"):
        (tmp_path / name).mkdir()
    (tmp_path / "2000").write_text("a file")
    assert newest_version(tmp_path) == tmp_path / "1000"


def test_without_a_pushed_version_the_user_is_told_to_run(tmp_path):
    with pytest.raises(UserError, match=r"no model has been pushed to .*westwork run"):
        newest_version_or_refuse(tmp_path)
