"""Another index for a model that is finished: the same answers, without anything of its run."""

import json

import numpy as np
import pytest
import tensorflow as tf
from scann import scann_ops  # noqa: F401  registers the ops of the model exported first

from components.assemble.build_index import TuningQueries, build_index
from components.assemble.catalogue_file import CATALOGUE_FILE
from components.assemble.config import AssembleConfig
from components.assemble.executor import tuning_queries
from components.assemble.export import switch_index
from components.assemble.filters import Filters, read_filter_values
from components.assemble.index_report import IndexReport
from components.assemble.op_census import read_meta_graph, take_census
from components.assemble.recommender import Recommender
from components.assemble.saved import read_tuning_queries, write_model
from components.ingest.errors import UserError
from components.ranking.config import RankingConfig
from components.ranking.heads import resolved_heads
from pipeline.export import export_model
from serving.model_files import ModelFiles

SCANN = {
    "index": "scann",
    "exact_below": 0,
    "leaves": 4,
    "tune_k": 5,
    "ann_recall": 0.5,
    "rank_history": True,
    "retrieve": 6,
    "keep": 4,
    "filters": ["aisle", "labels", "since"],
}


@pytest.fixture(scope="module")
def models(grocer, grocer_models, tmp_path_factory):
    """Directories of a model with ScaNN's index, of it with ivf, and of that as the command exports it."""
    folder = tmp_path_factory.mktemp("exported")
    scann, ivf = folder / "scann", folder / "ivf"
    declaration, config = grocer.inputs.declaration, AssembleConfig(**SCANN)
    values = read_filter_values(grocer.table, declaration, [grocer.goods_file], config.filters)
    queries = tuning_queries(grocer_models, grocer.inputs.train)
    built = build_index(grocer_models.embed_catalogue(), queries, config)
    ids = tf.constant(grocer.table.ids)
    filters = Filters.of(declaration, values)
    heads = resolved_heads(declaration.interactions, RankingConfig())
    parts = (declaration, grocer_models, ids, built.exact, built.index, filters, heads, config)
    recommender = Recommender(*parts)
    goods = {CATALOGUE_FILE: b"goods"}
    write_model(str(scann), recommender, built.report, declaration, heads, config, queries, goods)
    switch_index(str(scann), str(ivf), {"index": "ivf"})
    exact, _ = export_model(ivf, folder / "serving", {"index": "exact", "retrieve": 24})
    return {"scann": scann, "ivf": ivf, "exact": exact}


@pytest.fixture(scope="module")
def signatures(models):
    """Signatures of the model exported first and of the one exported last."""
    # A model that nothing holds would take its variables along.
    loaded = [tf.saved_model.load(str(models[kind])) for kind in ("scann", "exact")]
    yield [model.signatures for model in loaded]


def described(model):
    return json.loads((model / "assets.extra" / "model.json").read_text())


def asked(signature, **inputs):
    query = {
        "customer.no": tf.constant(["c1", "c9"]),
        "device": tf.constant(["phone", ""]),
        "query-text": tf.constant(["Fresh bread", ""]),
        "mood": tf.constant([[0.5, 1.0], [np.nan, np.nan]], tf.float32),
        "history": tf.constant([["g01", "g02"], ["", ""]]),
        "history_age": tf.constant([[200.0, 100.0], [0.0, 0.0]]),
        "history_action": tf.constant([["bought", "basket"], ["", ""]]),
    }
    return signature(**query, **inputs)


def test_the_embeddings_are_found_beside_the_graph_whatever_the_index(models, grocer_models):
    for path in models.values():
        np.testing.assert_array_equal(ModelFiles(path).embeddings(), grocer_models.embed_catalogue())


def test_the_tuning_queries_are_the_embeddings_of_real_queries(grocer, grocer_models):
    queries = tuning_queries(grocer_models, grocer.inputs.train)
    batch = next(iter(grocer.inputs.train.batches(len(grocer.inputs.train))))
    names = grocer.retrieval.embed_query.input_signature[0]
    expected = grocer.retrieval.embed_query({name: batch[name] for name in names})["embedding"]
    np.testing.assert_allclose(queries.embeddings, expected, atol=1e-5)
    assert queries.source == "queries of the eval split"


def test_every_signature_answers_the_same_but_for_the_index(signatures):
    search = {
        "k": tf.constant(24),
        "exclude": tf.constant([["g03"], [""]]),
        "filter_aisle": tf.constant([["wine", "bread"], ["", ""]]),
        "filter_labels": tf.constant([[""], ["fair"]]),
        "filter_since": tf.constant([[np.nan] * 2, [1_700_000_003, np.nan]], tf.float64),
    }
    for name, inputs in (
        ("retrieve", search),
        ("embed_query", {}),
        ("rank", {"candidate_ids": tf.constant([["g01", "none"], ["g05", "g06"]])}),
        ("recommend", {**search, "diversity": tf.constant(0.0)}),
        ("recommend", {**search, "diversity": tf.constant(0.4)}),
    ):
        first, last = (asked(model[name], **inputs) for model in signatures)
        for output, values in first.items():
            if values.dtype == tf.string:
                np.testing.assert_array_equal(last[output], values)
            else:
                np.testing.assert_allclose(last[output], values, rtol=1e-4)


def test_a_candidate_is_embedded_by_an_exported_model_as_before(signatures):
    goods = {
        "sku": tf.constant(["g01", "new"]),
        "aisle": tf.constant(["wine", ""]),
        "picture": tf.constant([[1.0, 2.0, 3.0], [np.nan] * 3], tf.float32),
        "labels": tf.constant([["fair"], [""]]),
        "price": tf.constant([1.0, np.nan]),
        "since": tf.constant([1_700_000_000, 0], tf.int64),
    }
    first, last = (model["embed_candidate"](**goods)["embedding"] for model in signatures)
    np.testing.assert_allclose(first, last, rtol=1e-5)


def test_the_description_says_what_index_it_is_now_and_keeps_the_other_settings(models):
    assert [described(model)["index"] for model in models.values()] == ["scann", "ivf", "exact"]
    report = IndexReport.model_validate(described(models["ivf"])["index_report"])
    assert report.tuned_on == "queries of the eval split"
    assert report.tuning.k == 5
    assert described(models["ivf"])["assemble"] == {**described(models["scann"])["assemble"], "index": "ivf"}
    assert described(models["exact"])["assemble"]["retrieve"] == 24


def test_what_is_exported_is_a_version_of_a_serving_directory_and_nothing_is_left_beside_it(models):
    serving = models["exact"].parent
    assert [path.name for path in serving.iterdir()] == [models["exact"].name]
    assert models["exact"].name.isdecimal()


def test_companions_come_along(models):
    assert (models["exact"] / "assets.extra" / CATALOGUE_FILE).read_bytes() == b"goods"
    assert (models["exact"] / "assets.extra" / "tf_serving_warmup_requests").stat().st_size
    first, last = (read_tuning_queries(str(models[kind])) for kind in ("scann", "exact"))
    np.testing.assert_array_equal(first.embeddings, last.embeddings)
    assert first.source == last.source


def test_only_scann_s_index_has_ops_that_stock_tensorflow_has_not(models):
    census = {kind: take_census(read_meta_graph(str(model))) for kind, model in models.items()}
    assert set(census["scann"].custom) == {
        "Scann>ScannSearchBatched",
        "Scann>TensorsToScann",
    }
    assert census["scann"].loads_with_scann
    assert census["ivf"].custom == census["exact"].custom == {}
    assert "PyFunc" not in census["ivf"].ops and "EagerPyFunc" not in census["ivf"].ops
    assert "PartitionedCall" in census["ivf"].ops or "StatefulPartitionedCall" in census["ivf"].ops


def test_wrong_settings_and_foreign_models_are_refused_in_words(models, tmp_path):
    with pytest.raises(UserError, match=r"assemble.ann_recall: found 2; Input should be less than or equal"):
        switch_index(str(models["ivf"]), str(tmp_path / "x"), {"ann_recall": 2})
    with pytest.raises(UserError, match=r"assemble.filters: it holds no values of 'price'; expected .*aisle"):
        switch_index(str(models["ivf"]), str(tmp_path / "x"), {"filters": ["price"]})
    with pytest.raises(UserError, match=r"assemble.weights: there is no head 'rating'; .*: retrieval"):
        switch_index(str(models["ivf"]), str(tmp_path / "x"), {"weights": {"rating": 1}})
    with pytest.raises(UserError, match=r"assemble: .*'keep' is 4, more than 'retrieve', 3"):
        switch_index(str(models["ivf"]), str(tmp_path / "x"), {"retrieve": 3})
    with pytest.raises(UserError, match=r"there is a light ranker .*: set assemble.keep below"):
        switch_index(str(models["ivf"]), str(tmp_path / "x"), {"keep": None})
    with pytest.raises(UserError, match=r"is not a model whose index can be changed: .*model.json cannot be"):
        switch_index(str(tmp_path), str(tmp_path / "x"), {"index": "ivf"})
    extra = tmp_path / "foreign" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "model.json").write_text("{}")
    with pytest.raises(UserError, match=r"model.json has no 'declaration'"):
        switch_index(str(extra.parent), str(tmp_path / "x"), {"index": "ivf"})


def test_a_model_without_queries_to_tune_on_has_none(models, tmp_path):
    assert read_tuning_queries(str(tmp_path)) is None
    assert isinstance(read_tuning_queries(str(models["scann"])), TuningQueries)
