"""The two towers and their loss, against plain numpy."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.retrieval.config import RetrievalConfig
from components.retrieval.model import RetrievalModel, id_embedding_indices, sampling_probabilities
from components.retrieval.towers import (
    UNKNOWN_ID,
    CandidateTower,
    FeatureEncoder,
    QueryTower,
    drop_ids,
    masked_mean,
    mean_embedding,
)
from components.retrieval.training import catalogue_recall, fit
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import EncodedInteractions

COUNTS = np.array([4, 0, 2, 2])
TABLE = CandidateTable(
    np.array([b"a", b"b", b"c", b"d"], object),
    {"genre": np.array([0, 0, 1, 1]), "words": np.array([[1, 0], [2, 1], [0, 0], [2, 2]])},
)
CANDIDATE_FEATURES = [EncodedFeature("genre", "category", 2, 1), EncodedFeature("words", "categories", 3, 2)]
QUERY_FEATURES = [EncodedFeature("age", "dense", 0, 1)]


def make(**settings):
    config = RetrievalConfig(
        **{"dim": 4, "feature_dim": 3, "layers": (5,), "dropout": 0.0, "id_dropout": 0.0} | settings
    )
    known = int((COUNTS > 0).sum())
    return RetrievalModel(
        QueryTower("user", 3, QUERY_FEATURES, known, config),
        CandidateTower(CANDIDATE_FEATURES, known, config),
        TABLE,
        COUNTS,
        config,
    )


def batch(rows=(0, 2, 0), weights=(1.0, 1.0, 1.0)):
    n = len(rows)
    return {
        "user": tf.constant([i % 3 for i in range(n)], tf.int64),
        "age": tf.reshape(tf.linspace(-1.0, 1.0, n), [n, 1]),
        "history": tf.constant([[2, -1, -1], [0, 3, -1], [-1, -1, -1]][:n], tf.int64),
        "candidate_row": tf.constant(rows, tf.int64),
        "weight": tf.constant(weights, tf.float32),
    }


def softmax_loss(model, inputs, temperature, weights):
    """Yi et al. 2019 eq. 3 with accidental hits out of the denominator, in numpy."""
    queries = model.embed_query(inputs).numpy()
    rows = inputs["candidate_row"].numpy()
    candidates = model.embed_rows(inputs["candidate_row"]).numpy()
    logits = queries @ candidates.T / temperature - np.log(sampling_probabilities(COUNTS)[rows])[None, :]
    losses = []
    for i in range(len(rows)):
        denominator = [logits[i, j] for j in range(len(rows)) if j == i or rows[j] != rows[i]]
        losses.append(np.log(np.sum(np.exp(denominator))) - logits[i, i])
    return float(np.mean(np.array(losses) * weights))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 0.0, 3.0)])
def test_loss_is_the_corrected_softmax_without_accidental_hits(normalize, temperature, weights):
    model = make(normalize=normalize, temperature=temperature)
    inputs = batch(weights=weights)
    expected = softmax_loss(model, inputs, temperature, np.array(weights))
    assert float(model.compute_loss(inputs)) == pytest.approx(expected, rel=1e-5)


def test_uniform_negatives_join_the_batch_at_the_probability_of_the_mixture(monkeypatch):
    model = make(uniform_negatives=3, temperature=0.5)
    drawn = np.array([1, 2, 3])
    monkeypatch.setattr(tf.random, "uniform", lambda *_, **__: tf.constant(drawn, tf.int64))
    inputs = batch()
    queries, own = model.embed_query(inputs).numpy(), inputs["candidate_row"].numpy()
    rows = np.concatenate([own, drawn])
    mixture = (3 * sampling_probabilities(COUNTS)[rows] + 3 / 4) / 6
    logits = queries @ model.embed_rows(tf.constant(rows)).numpy().T / 0.5 - np.log(mixture)
    losses = [
        np.log(sum(np.exp(logits[i, j]) for j in range(6) if j == i or rows[j] != own[i])) - logits[i, i]
        for i in range(3)
    ]
    assert float(model.compute_loss(inputs)) == pytest.approx(np.mean(losses), rel=1e-5)


def test_sampling_probability_is_the_share_of_interactions_and_never_zero():
    np.testing.assert_allclose(sampling_probabilities(COUNTS), [0.5, 0.0625, 0.25, 0.25])


def test_only_candidates_with_interactions_have_an_id_embedding_of_their_own():
    assert id_embedding_indices(COUNTS).tolist() == [1, UNKNOWN_ID, 2, 3]


def test_a_candidate_outside_the_table_is_embedded_like_one_without_interactions():
    model = make()
    features = {name: tf.constant(column[1:2]) for name, column in TABLE.features.items()}
    stranger = model.embed_candidates(tf.constant([-1], tf.int64), features)
    cold = model.embed_rows(tf.constant([1], tf.int64))
    np.testing.assert_allclose(stranger, cold)


def test_normalized_embeddings_have_unit_length():
    model = make(normalize=True)
    lengths = np.linalg.norm(model.embed_catalogue(), axis=1)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-5)


def test_padding_of_the_history_changes_nothing():
    model = make()
    inputs = batch()
    wider = {**inputs, "history": tf.pad(inputs["history"], [[0, 0], [0, 4]], constant_values=-1)}
    np.testing.assert_allclose(model.embed_query(inputs), model.embed_query(wider), rtol=1e-6)


def test_towers_may_have_no_hidden_layer():
    assert make(layers=()).embed_query(batch()).shape == (3, 5)


def test_a_vector_is_projected_to_the_width_of_an_embedding_and_a_missing_one_adds_nothing():
    encoder = FeatureEncoder([EncodedFeature("picture", "vector", 0, 5)], 3, seed=1)
    one, other = np.random.default_rng(0).normal(size=(2, 5))
    vectors = tf.constant([one, other, one + other, np.zeros(5)], tf.float32)
    (projected,) = encoder({"picture": vectors})
    assert projected.shape == (4, 3)
    np.testing.assert_allclose(projected[2], projected[0] + projected[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(projected[3], [0, 0, 0])
    assert np.abs(projected[0]).min() > 0


def test_mean_of_nothing_is_zero_not_nan():
    vectors = tf.ones([2, 3, 4])
    mask = tf.constant([[True, False, False], [False, False, False]])
    np.testing.assert_array_equal(masked_mean(vectors, mask), [[1] * 4, [0] * 4])


def test_mean_embedding_is_the_mean_of_the_looked_up_ones_and_has_its_gradient():
    embedding = keras.layers.Embedding(6, 4)
    embedding.build(None)
    indices = tf.constant([[1, 5, 5, 0], [0, 0, 0, 0], [2, 1, 0, 0]], tf.int64)
    mask = indices > 0
    found = []
    for pooled in (
        lambda: mean_embedding(embedding, indices, mask),
        lambda: masked_mean(embedding(indices), mask),
    ):
        with tf.GradientTape() as tape:
            mean = pooled()
            loss = tf.reduce_sum(mean**2)
        found.append((mean, tf.convert_to_tensor(tape.gradient(loss, embedding.embeddings))))
    for fast, plain in zip(*found, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-8)
    assert np.abs(found[0][0]).max() > 0


def test_dropped_ids_become_the_unknown_one():
    tf.random.set_seed(3)
    ids = drop_ids(tf.ones([10_000], tf.int64), 0.25, unknown=7).numpy()
    assert set(ids) == {1, 7}
    assert np.mean(ids == 7) == pytest.approx(0.25, abs=0.03)


def test_catalogue_recall_counts_hits_over_the_whole_catalogue():
    model = make()
    scores = model.embed_query(batch()).numpy() @ model.embed_catalogue().numpy().T
    best = scores.argmax(axis=1)
    worst = scores.argmin(axis=1)
    data = tf.data.Dataset.from_tensors(batch(rows=tuple(best)))
    # Four candidates: k = 10 and 100 both mean all of them.
    assert catalogue_recall(model, data) == {"val_recall@10": 1.0, "val_recall@100": 1.0}
    assert (best != worst).all()


def test_catalogue_recall_at_10_of_a_larger_catalogue_is_the_hand_computed_share():
    n = 40
    table = CandidateTable(np.array([b"%03d" % i for i in range(n)], object), {})
    config = RetrievalConfig(dim=4, feature_dim=3, layers=())
    counts = np.ones(n, int)
    model = RetrievalModel(
        QueryTower("user", 3, QUERY_FEATURES, n, config), CandidateTower([], n, config), table, counts, config
    )
    inputs = batch(rows=(0, 20, 39))
    scores = model.embed_query(inputs).numpy() @ model.embed_catalogue().numpy().T
    order = (-scores).argsort(axis=1)
    expected = np.mean([row in order[i, :10] for i, row in enumerate((0, 20, 39))])
    found = catalogue_recall(model, tf.data.Dataset.from_tensors(inputs))
    assert found["val_recall@10"] == pytest.approx(expected)


def learnable(n, interactions, seed):
    """Users of parity p like candidates of parity p."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 2, interactions)
    rows = rng.integers(0, n // 2, interactions) * 2 + users
    return EncodedInteractions(
        {
            "user": tf.constant(users),
            "age": tf.zeros([interactions, 1]),
            "history": tf.fill([interactions, 2], -1),
            "candidate_row": tf.constant(rows, tf.int32),
            "weight": tf.ones([interactions]),
        }
    )


def test_fit_learns_stops_early_and_keeps_the_best_weights(tmp_path):
    n = 200
    config = RetrievalConfig(
        dim=8, feature_dim=8, layers=(16,), batch_size=128, epochs=30, patience=2, learning_rate=0.02
    )
    table = CandidateTable(np.array([b"%03d" % i for i in range(n)], object), {})
    counts = np.full(n, 10)
    model = RetrievalModel(
        QueryTower("user", 3, QUERY_FEATURES, n, config), CandidateTower([], n, config), table, counts, config
    )
    validation = learnable(n, 300, seed=1)
    history = fit(model, learnable(n, 4000, seed=0), validation, config, str(tmp_path))
    recalls = history["val_recall@100"]
    assert len(recalls) < config.epochs
    assert max(recalls) > 0.8, "half of the catalogue suits each user: knowing which half finds all in 100"
    restored = catalogue_recall(model, validation.batches(256))
    assert restored["val_recall@100"] == pytest.approx(max(recalls))
    assert list(tmp_path.rglob("events.out.tfevents.*")), "TensorBoard logs are written"
