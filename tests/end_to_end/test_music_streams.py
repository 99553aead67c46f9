"""A domain like no other here, from raw files to an answer: every format, kind and action by declaration."""

import html
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from command import MUSIC, westwork
from music_service import DAYS, EVENTS_A_DAY, UNLISTED
from scann import scann_ops  # noqa: F401  registers the index's ops

from components.ingest.summary import read_ingestion_summary
from components.transform.candidate_table import read_candidate_table
from components.transform.interaction_dataset import read_interactions
from pipeline.domain import load_domain
from pipeline.tune.data import TransformedData


def test_every_row_of_every_source_is_accounted_for(music):
    (uri,) = (music.root / "artifacts" / "InteractionGen" / "examples").iterdir()
    summary = read_ingestion_summary(str(uri))
    assert summary.rows == len(DAYS) * EVENTS_A_DAY == sum(part.count for part in summary.splits.values())
    assert summary.rows_by_source == {
        "plays-{YYYY}-{MM}-{DD}.jsonl.gz": len(DAYS) * EVENTS_A_DAY * 9 // 10,
        "bought.csv": len(DAYS) * EVENTS_A_DAY // 10,
    }
    assert (summary.bad, summary.stubs, summary.candidates) == (0, 1, 41)
    assert summary.span == 19_814  # 2024-04-01
    assert (summary.split, summary.eval_from) == ("leave_last_out", None)
    actions = {name: sum(part.actions[name] for part in summary.splits.values()) for name in ("buy", "skip")}
    assert actions["buy"] == len(DAYS) * EVENTS_A_DAY // 10 and actions["skip"] > 0


def test_what_each_place_adds_is_told_for_every_head(artifact):
    learnt = json.loads((Path(artifact("RankingTrainer", "model_run")) / "training.json").read_text())
    for head in ("positive", "play", "buy"):
        added = learnt[f"position_{head}"]
        assert len(added) == 10 and np.isfinite(added).all() and np.abs(added).max() > 0


def test_the_report_plots_what_the_towers_learnt_from_the_ranker_and_where_they_began(music):
    plots = html.unescape((music.root / "report.html").read_text()).split("<svg ")
    for title in ("Recommended: NDCG@10", "Ranker's top 10 retrieved@100"):
        (plot,) = (plot for plot in plots if f"<title>Alignment: {title}, eval split</title>" in plot)
        assert ">before</text>" in plot and ">eval</text>" in plot
    (loss,) = (plot for plot in plots if "<title>Alignment: loss</title>" in plot)
    assert ">before</text>" not in loss


def test_the_summary_compares_with_what_listeners_play_anyway(music):
    assert "own most frequent" in music.said and "RMSE" not in music.said


def test_signatures_take_what_is_declared_and_give_what_can_be_learnt(music):
    signatures = tf.saved_model.load(str(music.model)).signatures
    inputs = signatures["recommend"].structured_input_signature[1]
    assert set(inputs) == {
        *("listener", "at", "device", "searched", "history", "history_age", "history_action"),
        *("k", "exclude", "diversity"),
    }
    assert inputs["device"].dtype == tf.string and inputs["at"].dtype == tf.int64
    vector = signatures["embed_candidate"].structured_input_signature[1]["sound"]
    assert vector.dtype == tf.float32 and vector.shape.as_list() == [None, 4]
    heads = {"positive", "play", "buy"}
    assert set(signatures["recommend"].structured_outputs) == {"candidate_ids", "scores", *heads}


@pytest.fixture(scope="module")
def artifact(music):
    """Where a step's output is; or, within it, the files of a folder."""

    def find(step, output, *within):
        folder = music.artifact(step, output)
        return sorted(map(str, folder.joinpath(*within).glob("*.gz"))) if within else str(folder)

    return find


def test_the_towers_learn_from_what_is_left_of_a_value_without_the_place_and_the_listener(artifact):
    domain = load_domain(MUSIC)
    assert domain.retrieval.debias
    data = TransformedData(
        declaration=domain.declaration,
        interactions=artifact("InteractionTransform", "transformed_examples"),
        interaction_graph=artifact("InteractionTransform", "transform_graph"),
        candidates=artifact("CandidateTransform", "transformed_examples"),
        candidate_graph=artifact("CandidateTransform", "transform_graph"),
    )
    plain, debiased = (
        data.read(positives_only=True, debias=debias).train.columns
        for debias in (None, domain.retrieval.debias)
    )
    for name in ("candidate_row", "positive", "action", "place"):
        np.testing.assert_array_equal(debiased[name], plain[name])
    before, after = plain["weight"].numpy(), debiased["weight"].numpy()
    assert set(before) == {1, 5} and len(set(after)) > 100
    assert after.sum() == pytest.approx(before.sum(), rel=1e-4)


def test_a_query_is_the_same_in_training_and_in_serving_with_the_action_of_each_event(artifact, music):
    declaration = load_domain(MUSIC).declaration
    query_graph, candidate_graph = (
        tft.TFTransformOutput(artifact(step, "transform_graph"))
        for step in ("InteractionTransform", "CandidateTransform")
    )
    songs = artifact("CandidateTransform", "transformed_examples", "Split-catalogue")
    rows = read_candidate_table(songs, "song", candidate_graph).row_lookup()
    encoded = artifact("InteractionTransform", "transformed_examples", "Split-eval")
    interactions = read_interactions(encoded, declaration, query_graph, rows, positives_only=False)
    batch = next(iter(interactions.batches(len(interactions))))
    assert set(np.unique(batch["place"])) == set(range(13))
    raw = raw_queries(artifact("InteractionGen", "examples", "Split-eval"), len(interactions))

    number = {b"": 0, b"play": 1, b"buy": 2}
    told = np.vectorize(number.get)(raw["history_action"].numpy())
    np.testing.assert_array_equal(batch["history_action"][:, : told.shape[1]], told)
    assert set(np.unique(told)) == {0, 1, 2}
    np.testing.assert_array_equal(raw["history"] != "", told > 0)

    trained = tf.saved_model.load(artifact("AlignmentTrainer", "model") + "/Format-Serving")
    names = trained.signatures["embed_query"].structured_input_signature[1]
    expected = trained.embed_query({name: batch[name] for name in names})["embedding"]
    served = tf.saved_model.load(str(music.model)).signatures["embed_query"](**raw)["embedding"]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(served, expected, atol=1e-5)


def raw_queries(files, count):
    """The first raw examples, as a client would send them."""
    text, texts = tf.io.FixedLenFeature([], tf.string, ""), tf.io.RaggedFeature(tf.string)
    spec = {
        **dict.fromkeys(("listener", "device", "searched"), text),
        **dict.fromkeys(("history", "history_action"), texts),
        "at": tf.io.FixedLenFeature([], tf.int64),
        "history_age": tf.io.RaggedFeature(tf.float32),
    }
    records = next(iter(tf.data.TFRecordDataset(files, compression_type="GZIP").batch(count)))
    parsed = tf.io.parse_example(records, spec)
    return {
        name: values.to_tensor() if isinstance(values, tf.RaggedTensor) else values
        for name, values in parsed.items()
    }


def test_an_answer_is_titled_and_a_stub_can_be_recommended_and_left_out(music):
    asked = westwork(
        *(
            "recommend",
            "--domain",
            MUSIC,
            "--root",
            str(music.root),
            "--user",
            "höre1",
            "--k",
            "50",
            "--json",
        ),
        *("--context", "device=tv"),
    )
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)["recommendations"]
    assert len(found) == 41 and str(UNLISTED) in {item["id"] for item in found}
    assert any(item["title"] and item["title"].startswith("Metal No.") for item in found)
