"""Taking values apart: against numbers by hand, and against a known truth."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError
from scipy.stats import kendalltau

from components.ingest.declaration import Interactions
from components.retrieval.config import Debias, RetrievalConfig
from components.retrieval.debiasing import debiased, item_values, multiplicative_parts, of_known
from components.retrieval.trainer import build_model
from components.retrieval.training import fit
from components.transform.interaction_dataset import EncodedInteractions


def interactions(users, items, places, values):
    """Encoded interactions; of value 0: not positive."""
    n = len(users)
    return EncodedInteractions(
        {
            "user": tf.constant(users, tf.int64),
            "history": tf.fill([n, 1], tf.constant(-1, tf.int32)),
            "history_age": tf.zeros([n, 1]),
            "candidate_row": tf.constant(items, tf.int32),
            "place": tf.constant(places, tf.int32),
            "positive": tf.constant(np.asarray(values) > 0, tf.float32),
            "weight": tf.constant(np.where(np.asarray(values) > 0, values, 1), tf.float32),
        }
    )


def test_one_kind_s_parts_are_damped_means_of_its_groups():
    values, groups = np.array([4.0, 2, 0, 0]), np.array([7, 7, 9, 9])
    # With five average rows (of 1.5) in mind, over what is expected: 2 rows of 1.5, and those.
    raw = np.array([(6 + 7.5) / (3 + 7.5), (0 + 7.5) / (3 + 7.5)])[[0, 0, 1, 1]]
    (found,) = multiplicative_parts(values, [groups])
    # Each round starts from the last one's scale, of which the damping is a share.
    assert found.shape == (4,) and found.mean() == pytest.approx(1)
    np.testing.assert_allclose(found, raw / raw.mean(), rtol=0.05)


def test_parts_multiply_and_each_is_found_though_kinds_are_unevenly_mixed():
    random = np.random.default_rng(3)
    users, items = random.integers(0, 30, 60_000), random.integers(0, 20, 60_000)
    # The later the item, the nearer to the top it is shown.
    places = 1 + np.clip((20 - items) // 3 + random.integers(-3, 4, 60_000), 0, 9)
    of_user, of_item, of_place = random.uniform(0.5, 1.5, 30), np.linspace(0.1, 0.6, 20), 1 / np.arange(1, 11)
    chance = of_user[users] * of_item[items] * of_place[places - 1]
    found = multiplicative_parts(chance, [items, users, places])
    for part, group, truth in zip(
        found, (items, users, places - 1), (of_item, of_user, of_place), strict=True
    ):
        ratios = part / truth[group]
        assert part.mean() == pytest.approx(1)
        # But for the damping, and the scale.
        assert np.std(np.log(ratios)) < 0.02


def test_nothing_that_differs_and_nothing_positive_leave_every_part_1():
    for values in (np.ones(6), np.zeros(6), np.zeros(0)):
        groups = [np.arange(len(values)) % 2, np.arange(len(values)) % 3]
        for part in multiplicative_parts(values, groups):
            np.testing.assert_allclose(part, np.ones(len(values)))


@pytest.mark.parametrize("shape", [(6, 1), (1, 6), (5,)])
def test_columns_of_any_other_shape_are_refused_and_never_broadcast(shape):
    values = np.ones(6)
    with pytest.raises(ValueError, match=r"expected shape \(6,\) of every column, found \("):
        multiplicative_parts(values, [np.zeros(6, int), np.zeros(shape, int)])
    parts = {"position": np.ones(shape), "user": np.ones(6)}
    with pytest.raises(ValueError, match=r"expected shape \(6,\)"):
        item_values(values, values > 0, parts, Debias())
    with pytest.raises(ValueError, match="expected shape"):
        multiplicative_parts(values[:, np.newaxis], [np.zeros(6, int)])


@pytest.mark.parametrize(
    ("debias", "factors"),
    [
        ({"user": False}, [2.0, 0.5, 3.0]),
        ({"position": False}, [4.0, 0.25, 1.0]),
        ({"clip": 100}, [8.0, 0.125, 3.0]),
        ({"clip": 5}, [5.0, 0.125, 3.0]),
    ],
)
def test_weights_lose_the_parts_asked_for_up_to_the_clip_and_keep_their_sum(debias, factors):
    weights, positive = np.array([1.0, 5, 1, 1]), np.array([True, True, True, False])
    parts = {"position": np.array([0.5, 2, 1 / 3, 9]), "user": np.array([0.25, 4, 1, 9])}
    expected = weights[:3] * factors
    expected *= weights[:3].sum() / expected.sum()
    found = item_values(weights, positive, parts, Debias(**debias))
    assert found.shape == (4,) and (found >= 0).all()
    np.testing.assert_allclose(found[:3], expected)
    # What was passed over weighs what it did.
    assert found[3] == 1


def test_a_missing_position_is_no_place_and_its_part_is_1():
    positions = np.array([0, 1, 2, 2])
    np.testing.assert_allclose(of_known(np.array([9.0, 3, 1, 2]), positions), [1, 1.5, 0.5, 1])
    assert of_known(np.array([2.0, 3]), np.zeros(2, int)).tolist() == [1, 1]


def test_only_weights_change_and_a_click_far_down_by_who_seldom_clicks_counts_most():
    random = np.random.default_rng(2)
    users, places = random.integers(0, 4, 4000), random.integers(1, 6, 4000)
    chance = (1 / places) * np.array([0.9, 0.9, 0.2, 0.2])[users]
    values = (random.random(4000) < chance).astype(float)
    log = interactions(users, random.integers(0, 5, 4000), places, values)
    found = debiased(log, Debias(clip=1e6), "user", "place")
    assert set(found.columns) == set(log.columns)
    for name in set(log.columns) - {"weight"}:
        assert found.columns[name] is log.columns[name]
    weights = found.columns["weight"].numpy()
    assert found.columns["weight"].shape == (4000,) and found.columns["weight"].dtype == tf.float32
    assert weights[values > 0].sum() == pytest.approx((values > 0).sum(), rel=1e-5)
    assert (weights[values == 0] == 1).all()
    mean = {
        (user, place): weights[(values > 0) & (users == user) & (places == place)].mean()
        for user in range(4)
        for place in range(1, 6)
    }
    assert mean[2, 5] / mean[0, 1] == pytest.approx(5 * 4.5, rel=0.15)


def test_towers_of_clicks_learn_where_things_stood_and_of_debiased_ones_what_is_liked(tiny, tmp_path):
    """Four candidates, of which the policy shows the worst first; people look at the top."""
    random = np.random.default_rng(4)
    relevance = np.array([0.8, 0.6, 0.45, 0.3])

    def lists(n):
        order = np.argsort(relevance + random.normal(scale=0.2, size=(n, 4)), axis=1)
        places = np.tile(np.arange(4), (n, 1))
        clicks = random.random((n, 4)) < relevance[order] / (1 + places)
        users = np.repeat(np.arange(n) % 2, 4)
        return interactions(users, order.ravel(), 1 + places.ravel(), clicks.ravel().astype(float))

    log, validation = lists(3000), lists(500).positives()
    config = RetrievalConfig(
        dim=2,
        layers=None,
        history={"encoder": "none"},
        loss={"kind": "full_softmax"},
        id_dropout=0,
        optimizer={"learning_rate": 0.02},
        epochs=3,
        batch_size=256,
        debias={"user": True},
    )

    def order(train):
        inputs = dataclasses.replace(tiny.inputs(features=False), train=train, validation=validation)
        model = build_model(inputs, config)
        fit(model, train, validation, config, str(tmp_path), exclude_history=False)
        scores = tf.matmul(
            model.embed_query(next(iter(validation.batches(1)))), model.embed_catalogue().numpy().T
        )
        return kendalltau(scores[0], relevance).statistic

    assert order(log.positives()) < 0
    assert order(debiased(log, config.debias, "user", "place").positives()) == pytest.approx(1)


LOG = {
    "sources": [{"files": "log.csv"}],
    "query_id": "user",
    "candidate_id": "item",
    "timestamp": {"column": "at"},
}
ACTIONS = {"actions": {"column": "what", "weights": {"view": 0, "click": 1}}}


def test_what_the_log_cannot_tell_is_refused_with_what_to_declare():
    Debias().check(Interactions(**LOG, **ACTIONS, position="place"))
    Debias(position=False).check(Interactions(**LOG, **ACTIONS))
    with pytest.raises(ValueError, match=r"declares no position: add interactions\.position"):
        Debias().check(Interactions(**LOG, **ACTIONS))
    with pytest.raises(ValueError, match="every interaction of the log is worth the same"):
        Debias(position=False).check(Interactions(**LOG))
    with pytest.raises(ValidationError, match="neither position nor user"):
        Debias(position=False, user=False)
