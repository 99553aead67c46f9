"""Business filters: what comes back passes them, and it is the best that does, whatever the index."""

import math

import numpy as np
import pytest
import tensorflow as tf

from components.assemble.config import AssembleConfig
from components.assemble.filters import CategoryFilter, Filters, read_filter_values
from components.assemble.warmup import warmup_requests
from tests.assemble.test_recommender import by_id, request, search

OPEN = (math.nan, math.nan)
FILTERS = ["aisle", "labels", "price", "since"]
INDEXES = {
    "exact": {"index": "exact"},
    "ivf": {"index": "ivf", "exact_below": 0, "leaves": 6, "ann_recall": 0.3, "tune_k": 2},
}


def filtered(query, k, exclude=(), aisle=(), labels=(), price=OPEN, since=OPEN):
    """The same filters for each query."""
    size = len(query["device"])
    return {
        **search(query, k, exclude),
        "filter_aisle": tf.constant([list(aisle)] * size, tf.string, [size, len(aisle)]),
        "filter_labels": tf.constant([list(labels)] * size, tf.string, [size, len(labels)]),
        "filter_price": tf.constant([price] * size, tf.float32),
        "filter_since": tf.constant([since] * size, tf.float64),
    }


def passing(goods, aisle=(), labels=(), price=OPEN, since=OPEN):
    """Ids of the goods that pass, by hand."""

    def within(values, least, most):
        value = values[0] if values else math.nan
        unbounded = math.isnan(least) and math.isnan(most)
        return unbounded or not (value < least or value > most or math.isnan(value))

    wanted_aisles, wanted_labels = ({value for value in asked if value} for asked in (aisle, labels))
    return {
        row["sku"][0].encode()
        for row in goods
        if (not wanted_aisles or wanted_aisles & set(row["aisle"]))
        and (not wanted_labels or wanted_labels & set(row["labels"]))
        and within(row["price"], *price)
        and within(row["since"], *since)
    }


@pytest.fixture(scope="module", params=INDEXES)
def model(assemble, request):
    return assemble(**INDEXES[request.param], filters=FILTERS)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"aisle": ["wine"]},
        {"aisle": ["", "wine", "bread", ""]},
        {"labels": ["organic"]},
        {"labels": ["organic", "local", "never heard of"]},
        {"price": (3.0, math.nan)},
        {"price": (math.nan, 4.0)},
        {"since": (1_700_000_005, 1_700_000_006)},
        {"aisle": ["wine", "fruit"], "labels": ["fair"], "price": (1.0, 11.0), "since": (math.nan, 2e9)},
    ],
)
@pytest.mark.parametrize("k", [1, 3, 24])
def test_the_k_best_that_pass_come_back_wherever_k_pass(grocer, model, asked, k):
    query = request(grocer.rows[-6:])
    answer = model.retrieve(filtered(query, k, ["g01"], **asked))
    scores = model.retrieve_exact(query, tf.constant(24), tf.constant([["g01"]] * 6))
    allowed = passing(grocer.goods, **asked) - {b"g01"}
    assert answer["candidate_ids"].shape == (6, k)
    for i in range(6):
        best = {key: score for key, score in by_id(scores, "scores", i).items() if key in allowed}
        found = by_id(answer, "scores", i)
        assert len(found) == min(k, len(allowed))
        assert set(found) <= allowed
        if model._index is model.exact:
            assert list(found) == list(best)[:k]
        np.testing.assert_allclose(list(found.values()), [best[key] for key in found], rtol=1e-5)


def test_an_unknown_value_passes_nothing_and_is_no_error(grocer, model):
    query = request(grocer.rows[:3])
    for asked in ({"aisle": ["cheese"]}, {"labels": ["g"]}, {"price": (5.0, 4.0)}):
        answer = model.recommend(filtered(query, 2, **asked))
        assert answer["candidate_ids"].numpy().tolist() == [[b"", b""]] * 3
        assert np.isneginf(answer["scores"]).all() and np.isnan(answer["positive"]).all()


def test_each_query_of_a_batch_has_filters_of_its_own(grocer, model):
    query = request(grocer.rows[-4:])
    asked = filtered(query, 24)
    asked["filter_aisle"] = tf.constant([["wine", ""], ["", ""], ["cheese", ""], ["bread", "fruit"]])
    asked["filter_price"] = tf.constant([OPEN, OPEN, OPEN, (math.nan, 5.0)], tf.float32)
    answer = model.retrieve(asked)
    expected = [{"aisle": ["wine"]}, {}, None, {"aisle": ["bread", "fruit"], "price": (math.nan, 5.0)}]
    for i, one in enumerate(expected):
        allowed = set() if one is None else passing(grocer.goods, **one)
        assert set(by_id(answer, "scores", i)) == allowed


def test_what_is_recommended_passes_also_where_it_is_of_the_history(grocer, assemble):
    model = assemble(retrieve=1, rank_history=True, filters=FILTERS)
    rows = [row for row in grocer.rows if len(set(row["history"])) >= 3][:10]
    answer = model.recommend(filtered(request(rows), 5, labels=["organic"]))
    allowed = passing(grocer.goods, labels=["organic"])
    seen = set()
    for i, row in enumerate(rows):
        found = set(by_id(answer, "scores", i))
        assert found <= allowed
        seen |= found & {key.encode() for key in row["history"]}
    assert seen, "the history's goods that pass are there"


def test_a_filter_nobody_uses_changes_nothing(grocer, assemble, model):
    query = request(grocer.rows[:5])
    plain = assemble(index="exact").retrieve(search(query, 24, ["g01"]))
    answer = model.retrieve(filtered(query, 24, ["g01"]))
    np.testing.assert_array_equal(answer["candidate_ids"], plain["candidate_ids"])


def test_the_signatures_take_the_filters_and_warm_up_requests_give_them(assemble):
    signatures = assemble(filters=["labels", "price", "since"]).signatures()
    for name, function in signatures.items():
        inputs = function.structured_input_signature[0][0]
        filters = {key: spec for key, spec in inputs.items() if key.startswith("filter_")}
        if name not in ("serving_default", "recommend", "retrieve"):
            assert not filters
            continue
        assert {key: (spec.dtype, spec.shape.as_list()) for key, spec in filters.items()} == {
            "filter_labels": (tf.string, [None, None]),
            "filter_price": (tf.float32, [None, 2]),
            "filter_since": (tf.float64, [None, 2]),
        }
    asked = [log.predict_log.request for log in warmup_requests(signatures, b"g01")]
    labels = [tf.make_ndarray(one.inputs["filter_labels"])[0, 0] for one in asked if "k" in one.inputs]
    assert len(labels) == 12 and set(labels) == {b"", b"g01"}


def test_values_are_in_the_order_of_the_catalogue_and_moments_keep_their_seconds(grocer):
    values = read_filter_values(grocer.table, grocer.inputs.declaration, [grocer.goods_file], FILTERS)
    assert values["labels"].to_list() == [[label.encode() for label in row["labels"]] for row in grocer.goods]
    filters = Filters.of(grocer.inputs.declaration, values).by_feature
    moments = [row["since"][0] if row["since"] else math.nan for row in grocer.goods]
    np.testing.assert_array_equal(filters["since"].values, moments)


def test_a_feature_without_any_value_passes_nothing():
    nothing = CategoryFilter.of("colour", tf.ragged.constant([[], []], dtype=tf.string, ragged_rank=1))
    assert not nothing.passes_all(tf.constant([["red"]])).numpy().any()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ailse"], r"no candidate feature 'ailse'; expected some of: aisle, labels, price, since"),
        (["picture"], r"'picture' is of kind embedding, which nothing can be filtered by; expected some of"),
    ],
)
def test_what_cannot_be_filtered_by_is_refused(grocer, names, message):
    with pytest.raises(ValueError, match=message):
        AssembleConfig(filters=names, weights={"retrieval": 1}).check(
            grocer.inputs.declaration, (), light_ranker=False
        )
