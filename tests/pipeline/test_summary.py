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
    "popularity/popularity_bias@10": 2.5,
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
        "bad_by_reason": {},
        "left_out": {},
        "evaluated": {"test": 10_000, "eval": 10_000},
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
    for split, retrieve in (("test", 0.1234), ("eval", 0.3456)):
        table = shown.split(f"{split.capitalize()} split: lists")[1].split("split:")[0]
        assert re.search(rf"recall@10 +{retrieve} +0\.2345 +0\.0567", table)
        assert re.search(r"pop\. bias@10 +- +- +2\.5000", table)
        assert f"best     recall@10 {'recommend' if split == 'test' else 'retrieve'}" in table
    assert re.search(r"rating RMSE +0\.9500 +1\.0200 +0\.9500 +1\.0200", shown)
    assert re.search(r"positive AUC +- +- +- +-", shown)
    assert "…" not in shown


def test_a_domain_without_ratings_and_negatives_has_no_table_of_them(serving):
    lists = {name: value for name, value in METRICS.items() if name.endswith("recall@10")}
    shown = _print(_summary(metrics={"test": lists}), serving)
    assert re.search(r"recall@10 +0\.1234 +0\.2345 +0\.0567", shown)
    assert not re.search("Ranking beside|rating |item mean|AUC|ndcg", shown)
    only_auc = _print(_summary(metrics={"test": {**lists, "positive/auc": 0.7}}), serving)
    assert re.search(r"Ranking +\n +test +\nmetric +model +\n[^\n]+\npositive AUC +0\.7000", only_auc)


def test_the_cascade_is_said_where_it_was_measured(serving):
    assert "\ncascade" not in _print(_summary(), serving)
    shares = {"top10_delivered": 0.91, "top10_kept": 0.875, "positives_kept": 0.125}
    said = "retrieval delivers 91.0%, and 87.5% are shown; recall@10 0.1250, were everything delivered"
    for found, index in ((0.91, ""), (0.95, "the index finds 95.0%, ")):
        funnel = {f"funnel/{name}": share for name, share in {**shares, "top10_retrieved": found}.items()}
        values = {**METRICS, **funnel, "exact_ranker/recall@10": 0.2}
        shown = _print(_summary(metrics={"test": values}), serving)
        assert f"of the ranker's best ten of everything, {index}{said}" in shown


REPEATS = {
    f"{rival}/{metric}": value
    for metric in ("recall@10", "mrr")
    for rival, value in {
        "retrieve": 0.11,
        "recommend": 0.22,
        "popularity": 0.12,
        "own_frequent": 0.33,
        "retrieve_new": 0.04,
        "recommend_new": 0.05,
        "popularity_new": 0.05,
        "ials": 0.2,
        "item_knn": 0.1,
        "ials_new": 0.06,
        "item_knn_new": 0.01,
    }.items()
}


def test_with_repeats_both_tables_are_shown_and_what_the_model_is_not_above(serving):
    shown = _print(_summary(metrics={"test": REPEATS, "eval": REPEATS}), serving)
    print(shown)
    assert all(len(line) <= 80 for line in shown.splitlines() if line.startswith(("metric", "recall", "mrr")))
    for split in ("test", "eval"):
        later, new = shown.split(f"{split.capitalize()} split: all later")[1].split("new to the user", 1)
        assert re.search(
            r"own most +\n *metric +retrieve +recommend +popularity +frequent +iALS +item-kNN", later
        )
        assert re.search(r"recall@10 +0\.1100 +0\.2200 +0\.1200 +0\.3300 +0\.2000 +0\.1000", later)
        assert "best     recall@10 own most frequent, mrr own most frequent" in later
        assert re.search(r"recall@10 +0\.0400 +0\.0500 +0\.0500 +0\.0600 +0\.0100", new)
        assert "best     recall@10 iALS, mrr iALS" in new
    for sentence in (
        "retrieve is not above popularity: recall@10 0.1100 against 0.1200, mrr 0.1100 against 0.1200",
        "recommend is not above own most frequent: recall@10 0.2200 against 0.3300",
        "recommend is not above popularity on candidates new to the user: recall@10 0.0500 against 0.0500",
    ):
        assert f"test     {sentence}" in shown and f"eval     {sentence}" in shown
    assert "recommend is not above popularity:" not in shown


def test_losing_to_ials_is_said_loudly_with_what_it_is(serving):
    def printed(**metrics) -> str:
        console = Console(file=io.StringIO(), width=80, color_system="standard", force_terminal=True)
        values = {
            f"{rival}/{name}": value for name in ("recall@10", "mrr") for rival, value in metrics.items()
        }
        told = {"ials": "factors 64, alpha 4: best of 24 tried"}
        summary = _summary(metrics={"test": values}, baselines=told)
        print_summary(console, summary, {}, serving / "a.log", serving, [])
        return console.file.getvalue()

    loses = printed(retrieve=0.3, recommend=0.2, popularity=0.1, ials=0.25, item_knn=0.22)
    plain = re.sub(r"\x1b\[[\d;]*m", "", loses)
    assert re.search(r"iALS +factors 64, alpha 4: best of 24 tried", plain)
    assert (
        "test     LOSES: recommend is not above iALS, a much simpler model: "
        "recall@10 0.2000 against 0.2500, mrr 0.2000 against 0.2500"
    ) in plain
    assert "test     recommend is not above item-kNN: recall@10 0.2000 against 0.2200" in plain
    bold_red, bold_yellow = "\x1b[1;31m", "\x1b[1;33m"
    assert f"{bold_red}test     LOSES: recommend" in loses
    assert f"{bold_yellow}test     " in loses and f"{bold_yellow}test     LOSES" not in loses
    assert "LOSES" not in printed(retrieve=0.3, recommend=0.3, popularity=0.1, ials=0.25, item_knn=0.22)


def test_rows_in_no_split_are_told_with_the_commonest_reasons(serving):
    reasons = {"unknown candidate": 1200, "no timestamp": 7, "rating out of range": 2, "no query id": 1}
    left_out = {"repeat another row": 31}
    shown = _print(_summary(bad_by_reason=reasons, left_out=left_out, stubs=4), serving)
    assert (
        "bad rows 1,210 left out: 1,200 unknown candidate; 7 no timestamp; 2 rating out of range; "
        "1 more reasons, in the report\n" in shown
    )
    assert "left out 31 repeat another row\n" in shown
    assert "1,682 candidates, 4 of them known to the log alone" in shown
    assert "bad rows" not in _print(_summary(), serving)


def test_a_sample_is_said_to_be_one_and_warnings_are_shown(serving):
    shown = _print(_summary(evaluated={"test": 2_000}, warnings=("town: drift 0.2 above 0.1",)), serving)
    assert "test     2,000 of 10,000 interactions, a sample (evaluation.max_interactions)\n" in shown
    assert "warning  town: drift 0.2 above 0.1\n" in shown
    assert "a sample" not in _print(_summary(), serving)


def test_factorized_top_k_of_the_trained_towers_is_told_by_its_full_names(serving):
    measures = {
        "factorized_top_k/top_10_categorical_accuracy": 0.18,
        "factorized_top_k/top_57_categorical_accuracy": 0.65,
        "factorized_top_k/interactions": 4096.0,
    }
    line = (
        "towers   factorized_top_k/top_10_categorical_accuracy 0.1800, "
        "factorized_top_k/top_57_categorical_accuracy 0.6500, on 4,096 interactions of the eval split"
    )
    assert line in _print(_summary(factorized_top_k=measures), serving)
    assert "towers   " not in _print(_summary(), serving)


def test_the_index_that_was_chosen_is_told(serving):
    assert "index    exact over 9 candidates" in _print(_summary(index="exact over 9 candidates"), serving)
    assert "index    " not in _print(_summary(), serving)


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


def test_a_model_that_cannot_be_served_is_told_beside_the_bounds_it_misses(serving):
    reason = "the server cannot serve the model; its last lines:\nERROR no variables"
    shown = _print(
        _summary(failures=("a is below b",), not_servable=(reason,), served="not servable"), serving
    )
    told = "  a is below b\n  the server cannot serve the model; its last lines:\n  ERROR no variables\n"
    assert f"NOT BLESSED, NOT PUSHED:\n{told}" in shown
    assert "served   not servable\n" in shown
    shown = _print(_summary(not_servable=(reason,)), serving)
    assert "no bound failed" not in shown


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
