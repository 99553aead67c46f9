"""The report, from a real ML Metadata store and real statistics and metrics files, made small."""

import math
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from components.evaluate.results import read_reliability
from components.ingest.errors import UserError
from pipeline.domain import load_domain
from pipeline.report import page as report_page
from pipeline.report import write_report
from pipeline.report.formats import duration, quantity, share, size
from pipeline.report.lineage import read_record
from pipeline.report.scores import Scores
from pipeline.report.statistics import read_profile
from pipeline.run_root import RunRoot

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fixtures"))

from finished_run import (
    CACHED,
    FAILED,
    HOSTILE,
    RUNNING,
    WARNING,
    Store,
    _write_evaluation,
    _write_statistics,
    run,
)


class Page(HTMLParser):
    """What a page refers to, its elements and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.tags, self.references, self.sections, self.words = html, [], [], [], []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._hidden += tag == "style"
        for name, value in attrs:
            if name.split(":")[-1] in ("src", "href", "srcset", "data", "action", "poster", "background"):
                self.references.append(value)
            if tag == "section" and name == "id":
                self.sections.append(value)

    def handle_endtag(self, tag):
        self._hidden -= tag == "style"

    def handle_data(self, data):
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def part(self, section: str) -> str:
        """The HTML of a section."""
        return self.html.split(f'<section id="{section}"')[1].split("</section>")[0]


def report(root: Path) -> Page:
    domain = load_domain(str(root / "schemas")) if (root / "schemas").exists() else None
    return Page(write_report(root, domain).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pushed_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pushed")
    run(root)
    return root


@pytest.fixture(scope="module")
def pushed(pushed_root):
    return report(pushed_root)


def test_the_page_refers_to_nothing_outside_itself(pushed):
    assert pushed.references, "the navigation refers to the sections"
    assert [reference for reference in pushed.references if not reference.startswith("#")] == []
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(pushed.tags)
    assert not re.search(r"@import|url\((?!#)", pushed.html)


def test_every_reference_within_the_page_leads_somewhere(pushed):
    ids = set(re.findall(r'\bid="([^"]+)"', pushed.html))
    targets = {reference[1:] for reference in pushed.references} | set(
        re.findall(r"url\(#([^)]+)\)", pushed.html)
    )
    assert targets - ids == set()


def test_a_definition_shared_by_plots_is_the_same_in_each(pushed):
    definitions: dict[str, set[str]] = {}
    for tag, id_, content in re.findall(
        r'<(clipPath|path) id="([^"]+)"(.*?)(?:/>\s*<|</\1>)', pushed.html, re.S
    ):
        definitions.setdefault(f"{tag} {id_}", set()).add(re.sub(r"\s+", " ", content).strip())
    assert definitions
    assert [id_ for id_, contents in definitions.items() if len(contents) > 1] == []


def test_the_sections_come_in_the_order_a_user_needs_them(pushed):
    assert pushed.sections == ["verdict", "metrics", "slices", "training", "data", "lineage"]


def test_titles_values_and_reasons_of_the_data_are_escaped(pushed):
    assert "script" not in pushed.tags and "img" not in pushed.tags and "b" in pushed.tags
    assert HOSTILE in pushed.text
    assert "<img src=x onerror=y> 75.0%, $\\frac{1}{$ 25.0%" in pushed.text
    assert "'<b>' is no number" in pushed.text


def test_a_pushed_model_is_said_to_be_with_its_version_and_numbers(pushed):
    assert "Blessed and pushed" in pushed.text
    assert "served as version 1700000000 ." in pushed.text
    assert (
        "Recall@10 0.2500 1.2× iALS re-ranked 0.2500 popularity 0.1250 iALS 0.2000 item-kNN 0.1000"
        in pushed.text
    )
    assert "Novelty@10 8.5000 re-ranked 8.5000 popularity 8.5000 iALS 8.5000" in pushed.text
    assert "Rating RMSE 0.8000 20.0% less error item mean 1.0000" in pushed.text
    assert "Positive AUC 0.9000" in pushed.text


def test_the_cascade_is_drawn_and_told_beside_the_ranker_over_everything(pushed):
    metrics = pushed.part("metrics")
    assert all(text in metrics for text in ("60.0%", "28.0%", "95.0%", "90.0%"))
    assert "Test, of 40 Eval, of 40" in pushed.text
    assert "Of the ranker's best 100, among retrieval's best 100 0.7000 0.7000" in pushed.text
    assert "Of the held-out positives, in the ranker's best 10 0.3000 0.3000" in pushed.text
    assert "NDCG@10 of the ranker's best 10 0.2000 0.2000" in pushed.text


def test_each_head_s_probabilities_have_a_reliability_diagram_for_each_split(pushed):
    for split in ("test", "eval"):
        assert f"<title>positive, {split} split</title>" in pushed.part("metrics")
    assert "Positive log loss (lower is better) 0.4500" in pushed.text
    assert "Positive predicted / observed 1.0500" in pushed.text


def test_bins_of_a_reliability_diagram_hold_about_as_many(tmp_path):
    _write_evaluation(str(tmp_path), blessed=True, repeats=False)
    (found,) = read_reliability(str(tmp_path), bins=6)
    assert (found.head, found.counts.tolist()) == ("positive", [50] * 6)
    assert found.predicted == pytest.approx([0.25, 0.35, 0.45, 0.55, 0.65, 0.75])
    assert found.observed == pytest.approx(0.9 * found.predicted)


def test_metrics_stand_beside_the_baselines_for_both_splits(pushed):
    for split in ("Test", "Eval"):
        table = pushed.text.split(f"{split} split: lists, over 50 positive interactions")[1]
        assert table.startswith(
            " Metric Retrieval Re-ranked Popularity iALS Item-kNN"
            " Recall@10 0.2500 0.2500 0.1250 0.2000 0.1000"
        )
        assert "Popularity bias@10 1.7500" in table
        best = "Recall@10 Retrieval, Recall@100 Retrieval, NDCG@10 Retrieval, MRR Retrieval"
        assert f"Best on the {split.lower()} split: {best}." in pushed.text
    assert pushed.part("metrics").count('class="plot"') == 6, "lists, funnel and reliability, twice"


def test_the_best_of_two_errors_is_the_smaller_one(pushed):
    row = pushed.part("metrics").split("Rating RMSE (lower is better)")[1].split("</tr>")[0]
    assert re.findall(r'<td class="number( best)?">([\d.]+)', row) == [(" best", "0.8000"), ("", "1.0000")]


def test_slices_are_plotted_in_order_with_their_counts(pushed):
    slices = pushed.part("slices")
    assert "By activity of the user" in slices
    assert slices.count('class="plot"') == 3
    assert [text for text in re.findall(r">([^<>]+)</t(?:ext|span)>", slices) if text in ("0", "1-5")][
        :2
    ] == [
        "0",
        "1-5",
    ]
    assert "(50)" in slices and "(100)" in slices


def test_training_shows_losses_and_validation_metrics_once_each(pushed):
    titles = re.findall(r"<title>(.*?)</title>", pushed.part("training"))
    assert titles == [
        "Retrieval: loss",
        "Retrieval: Recall@10, eval split",
        "Retrieval: Recall@100, eval split",
        "Ranking: loss",
        *["Recall of the exact 100 best"] * 2,
    ]
    assert (
        "Retrieval 3 epochs; factorized_top_k/top_10_categorical_accuracy 0.3000, "
        "factorized_top_k/top_100_categorical_accuracy 0.6000, on 4,096 interactions of the eval split"
    ) in pushed.text


def test_the_report_says_which_index_was_chosen_and_plots_its_curve(pushed):
    assert (
        "ivf over 5,000 candidates: 4 of 100 leaves (4.0% of the candidates) find 0.9850 of the exact 100 "
        "best, target 0.98, in 0.25 ms a query, exact search in 2.00; tuned on 200 test queries."
    ) in pushed.text
    training = pushed.part("training")
    assert "candidates visited, %" in training and "milliseconds a query" in training
    assert "var(--recommend)" in training, "the chosen point"


def test_the_data_profile_tells_splits_bad_rows_and_features(pushed):
    assert re.search(r"train 800 50\.0% 5 1970-01-01 00:00 1970-01-10 00:00", pushed.text)
    assert "What became of the rows Rows Share in a split 1,000 99.7% bad 3 0.3%" in pushed.text
    assert "'<b>' is no number 2 0.2% no timestamp 1 < 0.1%" in pushed.text
    assert "Interactions, train split: 200 examples" in pushed.text
    assert re.search(
        r"stars rating, positive from 3\.5 float 0% – mean 3\.25, sd 1\.5 min 0\.5,", pushed.text
    )
    assert re.search(r"town vocabulary string 50\.0% 2 ", pushed.text)
    assert "rated_at timestamp, context int 0% – 1970-01-01 00:00 to 1970-01-10 00:00" in pushed.text
    assert "Interactions over time" in pushed.text


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """The report on a run without ratings, with repeats, several sources and actions."""
    root = tmp_path_factory.mktemp("repeated")
    run(root, repeats=True)
    return report(root)


def test_with_repeats_the_metrics_stand_twice_beside_their_baselines(repeated):
    metrics = repeated.part("metrics")
    assert metrics.count('class="plot"') == 4
    for split in ("Test", "Eval"):
        later = repeated.text.split(f"{split} split: lists, over 50 positive interactions")[1]
        assert later.startswith(
            " Metric Retrieval Re-ranked Popularity Own most frequent iALS Item-kNN"
            " Recall@10 0.2500 0.2500 0.1250 0.3125 0.2000 0.1000"
        )
        new = repeated.text.split(f"{split} split: new to the user, over 20 positive interactions")[1]
        assert new.startswith(
            " Metric Retrieval Re-ranked Popularity iALS Item-kNN"
            " Recall@10 0.1000 0.1250 0.0625 0.1500 0.0250 Recall"
        )
    assert "Recall@10 0.2500 0.8× own most frequent" in repeated.text
    assert "Recall@10, new to the user 0.1250 0.8× iALS" in repeated.text
    assert repeated.part("slices").count("new to the user") == repeated.part("slices").count("<h3>") * 2


def test_the_report_says_in_words_where_the_model_is_not_above_a_baseline(repeated, pushed):
    said = (
        "recommend is not above own most frequent: recall@10 0.2500 against 0.3125, "
        "recall@100 0.7500 against 0.9375, ndcg@10 0.2000 against 0.2500, mrr 0.1000 against 0.1250"
    )
    loud = (
        "Loses: recommend is not above iALS, a much simpler model on candidates new to the user: "
        "recall@10 0.1250 against 0.1500"
    )
    for split in ("test", "eval"):
        told = repeated.text.split(f"Where the model is not above a baseline, {split} split:")[1]
        told = told.split("Where the model")[0]
        assert said in told and loud in told
    assert repeated.part("metrics").count('<li class="loud">') == 4
    assert "On the test split the model is above every baseline, in every metric of the lists" in pushed.text
    assert "Where the model is not above" not in pushed.text


def test_the_report_tells_how_the_baselines_were_tuned(pushed):
    chosen = "iALS: factors 32, regularization 30, alpha 4, iterations 15"
    assert (
        f"{chosen}; best of 3 tried, recall@100 0.5000 on 50 interactions of the eval split." in pushed.text
    )
    assert "The search trained on 300 of the 400 positive interactions." in pushed.text
    table = pushed.text.split("iALS: trials Hyper-parameters Recall@10 Recall@100")[1]
    settings = [line for line in re.findall(r"factors (\d+), regularization ([\d.]+)", table)]
    assert settings == [("32", "30"), ("32", "0.1"), ("64", "30")], "the best first"
    assert "Item-kNN: similarity bm25, neighbours 20; best of 1 tried" in pushed.text


def test_a_domain_without_ratings_and_negatives_is_reported_without_them(repeated):
    assert not re.search(r"rating|RMSE|item mean|AUC|judgements", repeated.text, re.IGNORECASE)


def test_the_report_tells_what_was_left_out_where_rows_came_from_and_what_they_did(repeated):
    for expected in (
        "8 candidates, 2 of them known to the log alone. The newest span is 7.",
        "Splits: the last positive interaction of each user is test",
        "in a split 1,000 83.3% bad 3 0.2% repeat another row, dropped 150 12.5% older than since 47 3.9%",
        "Rows by source Rows views-*.csv 900 orders.csv 300",
        "Interactions by action train eval test view 790 90 90 order 10 10 10",
        "Of the test split’s 100 interactions 60 were evaluated",
        f"The data passed its gate with a warning: {WARNING}",
    ):
        assert expected in repeated.text, expected


def test_lineage_walks_from_the_pushed_model_back_to_the_raw_files(pushed):
    ancestry, bystanders = pushed.part("lineage").split("<details>")
    steps = re.findall(r'<tr id="execution-\d+">\s*<th scope="row">(\w+)', ancestry)
    assert steps == [
        "InteractionGen",
        "InteractionSchema",
        "InteractionTransform",
        "RetrievalTrainer",
        "RankingTrainer",
        "BaselineTrainer",
        "Assembler",
        "Evaluator",
        "InfraValidator",
        "Pusher",
    ]
    assert re.findall(r'<th scope="row">(\w+)', bystanders) == [
        "InteractionStatistics",
        "AnomalyGate",
        "TestEvaluator",
    ]
    assert "artifacts/Assembler/model/" in ancestry
    assert "InteractionGen interactions 2 1.2 MB 77 / 88" in pushed.text


def test_the_diagram_leaves_out_what_follows_from_other_lines(pushed):
    # 1 table + 10 steps; drawn: table>gen, gen>transform, schema>transform, transform>3 trainers,
    # 2 trainers>assembler, assembler>evaluator and validator, baselines>evaluator, both>pusher. Not:
    # gen>evaluator, assembler>pusher, ...
    drawing = pushed.part("lineage").split('<svg class="diagram"')[1].split("</svg>")[0]
    assert drawing.count("<rect") == 11
    assert drawing.count('class="edge"') == 13


def test_a_model_that_is_not_blessed_is_reported_with_the_bound_it_misses(tmp_path):
    run(tmp_path, blessed=False)
    (tmp_path / "serving" / "1600000000").mkdir(parents=True)
    page = report(tmp_path)
    assert "Not blessed, not pushed" in page.text and "Blessed and pushed" not in page.text
    assert "positive/auc 0.9 is below its floor 0.95" in page.text
    assert "An earlier run's model stays in place, version 1600000000 ." in page.text
    assert "Nothing was pushed. Where the model this run assembled comes from" in page.text
    steps = re.findall(r'<tr id="execution-\d+">\s*<th scope="row">(\w+)', page.part("lineage"))
    assert "Assembler" in steps and steps.index("Assembler") < steps.index("Pusher")


def test_a_model_that_cannot_be_served_is_reported_with_the_reason(tmp_path):
    run(tmp_path, servable=False)
    page = report(tmp_path)
    assert "Not blessed, not pushed" in page.text
    assert "The model cannot be served: the server cannot serve the model: out of <memory>" in page.text
    assert "Tried on a server not servable by westwork serve" in page.text
    assert "is below its floor" not in page.text and "No bound failed" not in page.text


def test_a_run_that_failed_early_is_reported_as_far_as_it_came(tmp_path):
    run(tmp_path, until="RetrievalTrainer", state=FAILED)
    page = report(tmp_path)
    assert "The run failed at RetrievalTrainer" in page.text
    assert "Nothing is being served yet." in page.text
    assert "The run did not get to evaluate a model." in page.text
    assert "The run did not get to train a model." in page.text
    assert "Interactions, train split: 200 examples" in page.text
    assert "no model assembled. What the last step depended on" in page.text
    assert page.sections == ["verdict", "metrics", "slices", "training", "data", "lineage"]


def test_a_run_that_failed_at_its_first_step_is_reported(tmp_path):
    run(tmp_path, until="InteractionGen", state=FAILED)
    page = report(tmp_path)
    assert "The run failed at InteractionGen" in page.text
    assert "The run did not get to read the data." in page.text


def test_a_killed_run_is_not_taken_for_a_failed_one(tmp_path):
    run(tmp_path, until="Assembler", state=RUNNING)
    page = report(tmp_path)
    assert "The run did not finish" in page.text
    assert "The last step recorded is Assembler (running)." in page.text
    assert "Ranking: loss" in page.text


def test_after_a_cached_run_everything_is_found_and_lineage_names_who_did_the_work(tmp_path):
    store, made = run(tmp_path)
    first = report(tmp_path)
    store.start_run("again")
    for step, artifacts in made.items():
        store.execute(step, state=CACHED, artifacts=artifacts)
    page = report(tmp_path)
    for section in ("metrics", "slices", "training", "data"):
        assert page.part(section) == first.part(section)
    assert "Blessed and pushed" in page.text
    rows = r'<tr id="execution-(\d+)">.*?<span class="state (\w+)">'
    before, after = (re.findall(rows, p.part("lineage").split("<details>")[0], re.S) for p in (first, page))
    assert {state for _, state in before} == {"done"} and {state for _, state in after} == {"reused"}
    assert [id_ for id_, _ in after] == [id_ for id_, _ in before]


def test_only_the_last_run_is_reported(tmp_path):
    store, made = run(tmp_path)
    store.start_run("again")
    store.execute("InteractionGen", state=CACHED, artifacts=made["InteractionGen"])
    store.execute("InteractionStatistics", {"examples": made["InteractionGen"]["examples"]}, state=FAILED)
    page = report(tmp_path)
    assert "The run failed at InteractionStatistics" in page.text
    assert "An earlier run's model stays in place, version 1700000000 ." in page.text
    assert "The run did not get to evaluate a model." in page.text


def test_a_root_that_was_moved_is_still_read(tmp_path):
    run(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    page = report(tmp_path / "there")
    assert "Blessed and pushed" in page.text and "folder is gone" not in page.text
    assert "Test split: lists" in page.text and "Interactions, train split" in page.text


def test_what_has_been_deleted_is_named_and_left_out(tmp_path):
    _, made = run(tmp_path)
    shutil.rmtree(made["TestEvaluator"]["evaluation"].uri)
    shutil.rmtree(tmp_path / "serving" / "1700000000")
    page = report(tmp_path)
    assert f"TestEvaluator: {made['TestEvaluator']['evaluation'].uri}" in page.text
    assert "That version's folder is gone" in page.text
    assert "Test split: lists" not in page.text and "Eval split: lists" in page.text
    assert "On the eval split" in page.text


def test_without_the_domain_file_the_pipeline_gives_the_title(tmp_path):
    run(tmp_path)
    shutil.rmtree(tmp_path / "schemas")
    page = report(tmp_path)
    assert "<h1>shop</h1>" in page.html
    assert "town vocabulary string" in page.text, "the declaration is recorded with the run"


def test_the_same_run_gives_the_same_page(pushed_root):
    findings = report_page.gather(RunRoot(pushed_root))
    assert report_page.render(findings, written=0) == report_page.render(findings, written=0)


def test_the_page_takes_its_place_at_once_or_not_at_all(pushed_root, monkeypatch):
    path = write_report(pushed_root)
    assert path == pushed_root / "report.html"
    path.write_text("an older one")

    def fail(*_, **__):
        raise RuntimeError("drawing failed")

    with monkeypatch.context() as patch:
        patch.setattr(report_page, "render", fail)
        with pytest.raises(RuntimeError):
            write_report(pushed_root)
    assert path.read_text() == "an older one"
    write_report(pushed_root)
    assert "Blessed and pushed" in path.read_text()
    assert [p.name for p in pushed_root.iterdir() if p.suffix == ".part"] == []


def test_without_a_run_the_user_is_told_to_run(tmp_path):
    with pytest.raises(UserError, match="run `westwork run` first"):
        write_report(tmp_path)
    Store(tmp_path / "empty")
    with pytest.raises(UserError, match=r"found no run in .*run `westwork run` first"):
        write_report(tmp_path / "empty")


def test_a_file_that_is_no_metadata_store_is_named(tmp_path):
    (tmp_path / "metadata.sqlite").write_text("not a database" * 100)
    with pytest.raises(UserError, match=r"metadata\.sqlite is damaged \(file is not a database\)"):
        write_report(tmp_path)


def test_reading_leaves_the_metadata_as_it_was(pushed_root):
    before = (pushed_root / "metadata.sqlite").read_bytes()
    read_record(RunRoot(pushed_root))
    assert (pushed_root / "metadata.sqlite").read_bytes() == before


def test_a_profile_tells_what_the_statistics_counted(tmp_path):
    _write_statistics(str(tmp_path), "train", 0)
    profile = read_profile(tmp_path, "train")
    assert profile.examples == 200 and list(profile.features) == ["rated_at", "stars", "town"]
    town, stars = profile.features["town"], profile.features["stars"]
    assert (town.missing, town.unique, town.numbers) == (0.5, 2, None)
    assert [bar.count for bar in town.bars] == [75, 25]
    assert (stars.missing, stars.unique, stars.numbers.median) == (0, None, 3.5)
    assert [(bar.low, bar.high) for bar in stars.bars] == [(0.5, 2.75), (2.75, 5)]
    assert read_profile(tmp_path, "eval") is None


def test_slices_are_ordered_by_their_numbers_or_from_known_to_unknown():
    names = ["a:21+", "a:0", "a:6-20", "a:1-5", "b:cold", "b:tail", "b:head", "b:zz", "b:middle", "overall"]
    scores = Scores({(name, "candidate", "x/y"): 1.0 for name in names})
    assert scores.slice_features() == ["a", "b"]
    assert scores.slice_values("a") == ["0", "1-5", "6-20", "21+"]
    assert scores.slice_values("b") == ["head", "middle", "tail", "cold", "zz"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (share(0.0001), "< 0.1%"),
        (share(0), "0%"),
        (share(0.25), "25.0%"),
        (share(math.nan), "–"),
        (quantity(1995), "1995"),
        (quantity(1989.07), "1989"),
        (quantity(14_457_694.4), "14,457,694"),
        (quantity(0.50912), "0.5091"),
        (size(999), "999 B"),
        (size(1_234_567), "1.2 MB"),
        (duration(None), "–"),
        (duration(59.94), "59.9 s"),
        (duration(61), "1 min 1 s"),
        (duration(3_720), "1 h 2 min"),
    ],
)
def test_numbers_are_written_for_people(written, expected):
    assert written == expected
