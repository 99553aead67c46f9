"""The first hour of a user: run, look, ask, run again."""

import json
import re

import pytest
from command import run_movielens, westwork
from tensorflow_serving.apis import prediction_log_pb2

from components.evaluate.results import read_metrics

NOISE = re.compile(r"tensorflow/|absl|cuda|WARNING|DeprecationWarning|oneDNN|^[IWE]\d{4} ", re.MULTILINE)


@pytest.fixture(scope="module")
def metrics(movielens):
    """Overall metrics of the test split, by ``rival/name``."""
    values = read_metrics(str(movielens.artifact("TestEvaluator", "evaluation")))
    return {f"{v.rival}/{v.name}": v.value for v in values if v.slice == "overall"}


def test_the_summary_says_what_a_user_wants_to_know_next(movielens):
    said = movielens.said
    for expected in ("train", "79,999", "1998-04-22", "recall@10", "popularity", "BLESSED", "report.html"):
        assert expected in said, expected
    assert movielens.model.name in said
    assert f"westwork recommend --domain movielens --root {movielens.root}" in said


def test_the_terminal_is_free_of_library_chatter(movielens):
    assert not NOISE.search(movielens.said), NOISE.search(movielens.said)


@pytest.mark.parametrize("name", ["recall@10", "recall@100", "ndcg@10"])
def test_retrieval_and_recommendation_beat_popularity_on_the_last_tenth(metrics, name):
    assert metrics[f"retrieve/{name}"] > metrics[f"popularity/{name}"]
    assert metrics[f"recommend/{name}"] > metrics[f"popularity/{name}"]


@pytest.mark.parametrize("name", ["recall@10", "recall@100", "ndcg@10"])
def test_the_trained_baselines_are_no_straw_men(metrics, movielens, name):
    for kind in ("ials", "item_knn"):
        assert metrics[f"{kind}/{name}"] > 1.3 * metrics[f"popularity/{name}"]
    assert re.search(r"metric +retrieve +recommend +popularity +iALS +item-kNN", movielens.said)
    assert re.search(
        r"iALS +factors \d+, regularization \d+, alpha \d+, iterations \d+: best of", movielens.said
    )


def test_the_rating_error_is_below_that_of_each_films_mean(metrics):
    assert metrics["rating/rmse"] < metrics["candidate_mean/rmse"]


def test_the_pushed_version_carries_warm_up_requests_for_every_signature(movielens):
    import tensorflow as tf

    records = tf.data.TFRecordDataset(str(movielens.model / "assets.extra" / "tf_serving_warmup_requests"))
    logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]
    asked = {log.predict_log.request.model_spec.signature_name for log in logs}
    assert asked == {
        "serving_default",
        "recommend",
        "retrieve",
        "rank",
        "embed_query",
        "embed_candidate",
    }


def test_recommend_names_films_the_user_has_not_seen(movielens):
    asked = westwork(
        "recommend", "--root", str(movielens.root), "--user", "42", "--k", "10", "--exclude-seen", "--json"
    )
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    recommended = [film["id"] for film in answer["recommendations"]]
    assert len(set(recommended)) == 10
    assert not set(recommended) & {film["id"] for film in answer["history"]}
    assert all(film["title"] for film in answer["recommendations"])


def test_the_report_is_one_offline_page_with_its_sections(movielens):
    page = (movielens.root / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    for expected in (
        "Popularity",
        "By activity of the user",
        "<svg",
        "RetrievalTrainer",
        movielens.model.name,
    ):
        assert expected in page, expected


def test_a_second_run_reuses_every_step(movielens):
    again = westwork(*run_movielens(movielens.root))
    assert again.returncode == 0, again.stdout + again.stderr
    steps = re.findall(r"^(\w+) (cached|done|running)", again.stdout, re.MULTILINE)
    assert {step for step, state in steps if state == "cached"} >= {
        "InteractionGen",
        "InfraValidator",
        "Evaluator",
        "Pusher",
    }
    assert {step for step, state in steps if state == "done"} <= {"Report"}
    assert [path.name for path in (movielens.root / "serving").iterdir()] == [movielens.model.name]
