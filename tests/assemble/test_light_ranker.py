"""Between the index and the ranker: which of the retrieved candidates are ranked, and which are not."""

import math

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from components.assemble.config import AssembleConfig
from tests.assemble.test_filters import filtered, passing
from tests.assemble.test_recommender import by_id, request, search

CASCADE = {"retrieve": 12, "keep": 5}
INDEXES = {
    "exact": {"index": "exact"},
    "ivf": {"index": "ivf", "exact_below": 0, "leaves": 6, "ann_recall": 0.3, "tune_k": 2},
    "scann": {"index": "scann", "exact_below": 0, "leaves": 4, "ann_recall": 0.5, "tune_k": 5},
}


@pytest.fixture(scope="module", params=INDEXES)
def model(assemble, request):
    return assemble(**INDEXES[request.param], **CASCADE, filters=["aisle", "labels", "price", "since"])


@pytest.fixture(scope="module")
def query(grocer):
    return request(grocer.rows[-9:])


def light_order(model, query, retrieved):
    """Each query's retrieved candidates, {id: towers' score}, by the light ranker's score, best first."""
    embedded = model.models.embed_query(model.models.encode_query(query))["light_ranker"].numpy()
    orders = []
    for several, found in zip(embedded, retrieved, strict=True):
        rows = model.models.rows(tf.constant([list(found)]))
        scores = model.models.light_rank(several[np.newaxis], rows, tf.constant([list(found.values())]))
        orders.append([list(found)[place] for place in np.argsort(-scores.numpy()[0], kind="stable")])
    return orders


@pytest.mark.parametrize("k", [3, 8, 24])
def test_the_best_of_the_retrieved_by_the_light_ranker_are_ranked_and_the_k_best_come_back(model, query, k):
    asked = filtered(query, k, ["g01", "g07"])
    retrieved = model.retrieve({**asked, "k": tf.constant(max(k, 12))})
    found = [by_id(retrieved, "scores", i) for i in range(9)]
    kept = [set(order[: max(k, 5)]) for order in light_order(model, query, found)]
    answer, delivered = model.recommend(asked), model.deliver(asked)
    heads = model.rank({**query, "candidate_ids": retrieved["candidate_ids"]})
    for i in range(9):
        likely = dict(zip(retrieved["candidate_ids"].numpy()[i], heads["positive"].numpy()[i], strict=True))
        assert {*delivered["retrieved"][i].numpy()} - {b""} == {*found[i]}
        assert {*delivered["ranked"][i].numpy()} - {b""} == kept[i]
        expected = {key: found[i][key] + math.log(likely[key]) for key in kept[i]}
        best = sorted(expected, key=expected.get, reverse=True)[:k]
        assert list(by_id(answer, "scores", i)) == best
        scores = list(by_id(answer, "scores", i).values())
        np.testing.assert_allclose(scores, [expected[key] for key in best], rtol=1e-4)
    assert answer["candidate_ids"].shape == (9, k)


def test_it_is_another_order_than_the_indexs_which_retrieve_keeps(model, query):
    asked = filtered(query, 12)
    found = [by_id(model.retrieve(asked), "scores", i) for i in range(9)]
    orders = light_order(model, query, found)
    assert any({*order[:5]} != {*list(own)[:5]} for order, own in zip(orders, found, strict=True))
    assert all(list(own.values()) == sorted(own.values(), reverse=True) for own in found)


@pytest.mark.parametrize(
    "wanted", [{"aisle": ["wine"]}, {"aisle": ["wine", "fruit"]}, {"price": (2.0, 3.0)}, {"labels": ["none"]}]
)
def test_what_is_excluded_or_filtered_out_takes_no_place_from_what_is_left(grocer, model, query, wanted):
    asked = filtered(query, 3, ["g02", "g05"], **wanted)
    allowed = passing(grocer.goods, **wanted) - {b"g02", b"g05"}
    answer, delivered = model.recommend(asked), model.deliver(asked)
    for i in range(9):
        ranked = [key for key in delivered["ranked"][i].numpy() if key]
        assert len(ranked) == min(5, len(allowed)) and {*ranked} <= allowed
        assert len(by_id(answer, "scores", i)) == min(3, len(allowed))
    assert answer["candidate_ids"].shape == (9, 3)
    unfilled = answer["candidate_ids"].numpy() == b""
    assert np.isinf(answer["scores"].numpy()[unfilled]).all()
    assert np.isnan(answer["positive"].numpy()[unfilled]).all()


def test_what_clients_see_of_a_query_is_its_one_embedding(model, query):
    assert set(model.embed_query(query)) == {"embedding"}


def test_the_history_is_ranked_beside_what_is_kept(grocer, assemble):
    rows = [row for row in grocer.rows if len(set(row["history"])) >= 3][:5]
    asked = search(request(rows), 2, ["g03"])
    alone, both = (assemble(**CASCADE, rank_history=history).deliver(asked) for history in (False, True))
    for i, row in enumerate(rows):
        kept, ranked = ([key for key in part["ranked"][i].numpy() if key] for part in (alone, both))
        assert len(kept) == 5 and len(ranked) == len({*ranked})
        assert {*ranked} == {*kept} | {key.encode() for key in row["history"]} - {b"g03"}


def test_as_many_kept_as_retrieved_is_a_cascade_without_it(assemble, query):
    asked = search(query, 4)
    chosen, plain = assemble(retrieve=12, keep=12).recommend(asked), assemble(retrieve=12).recommend(asked)
    for name, values in chosen.items():
        np.testing.assert_array_equal(values, plain[name])


def test_settings_that_do_not_fit_are_refused_in_words(grocer):
    with pytest.raises(ValidationError, match="'keep' is 300, more than 'retrieve', 200"):
        AssembleConfig(keep=300)
    declaration = grocer.inputs.declaration
    heads = {"weights": {"retrieval": 1.0}}
    with pytest.raises(ValueError, match=r"no light ranker to choose so many: set retrieval\.light_ranker"):
        AssembleConfig(keep=50, **heads).check(declaration, (), light_ranker=False)
    with pytest.raises(ValueError, match=r"set assemble\.keep below assemble\.retrieve"):
        AssembleConfig(**heads).check(declaration, (), light_ranker=True)
    AssembleConfig(keep=50, **heads).check(declaration, (), light_ranker=True)
    AssembleConfig(**heads).check(declaration, (), light_ranker=False)
