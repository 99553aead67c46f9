"""What is not finite is refused, with where it comes from."""

import numpy as np
import parity
import pytest
import tensorflow as tf

from components.ingest.errors import UserError
from components.retrieval.config import OptimizerConfig, RetrievalConfig
from components.retrieval.finite import (
    StopOnDivergence,
    refuse_candidates,
    refuse_encoded_candidates,
    refuse_encoded_interactions,
    refuse_queries,
    rows_not_finite,
)
from components.retrieval.trainer import build_model
from components.retrieval.training import fit
from components.transform.interaction_dataset import EncodedInteractions

IDS = np.array([b"a", b"b", b"c", b"d"], object)
BAD = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ([1.0, 2.0], []),
        ([1.0, np.nan, np.inf], [1, 2]),
        ([[1.0, 2.0], [-np.inf, 0.0], [0.0, 0.0]], [1]),
        (np.zeros((3, 0), np.float32), []),
        (np.array([], np.float32), []),
        (np.array([1, 2]), []),
        (np.array([b"nan"], object), []),
        (np.full((2, 2, 2), np.nan), [0, 1]),
        (np.array([np.nan, 1.0], np.float16), [0]),
    ],
)
def test_rows_that_are_not_finite_are_found_in_any_array(values, rows):
    assert rows_not_finite(values).tolist() == rows


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("row", [0, 2, 3])
def test_a_candidate_whose_embedding_is_not_finite_is_named_with_the_feature(value, row):
    embeddings, price = np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)
    refuse_candidates(embeddings, IDS, {"price": price})
    embeddings[row, 1] = price[row] = value
    name = "abcd"[row]
    with pytest.raises(UserError, match=f"1 of 4 candidates .* '{name}'. .*'?price'? is not finite") as error:
        refuse_candidates(embeddings, IDS, {"year": np.ones(4), "price": price})
    assert "year" not in str(error.value)


def test_embeddings_that_no_feature_explains_are_a_training_that_diverged():
    with pytest.raises(UserError, match=r"training diverged\. Lower retrieval.optimizer.learning_rate"):
        refuse_candidates(np.full((4, 2), np.nan), IDS, {"price": np.ones(4)})


@pytest.mark.parametrize("value", BAD)
def test_a_query_whose_embedding_is_not_finite_is_refused_with_the_feature(value):
    embeddings = np.array([[1.0, 2.0], [value, 1.0]])
    with pytest.raises(UserError, match=r"1 of 2 queries of the eval split .*age is not finite in 1 rows"):
        refuse_queries(embeddings, {"age": np.array([[0.5], [value]]), "user": np.array([1, 2])})
    with pytest.raises(UserError, match="training diverged"):
        refuse_queries(embeddings, {"age": np.array([[0.5], [0.2]])})
    refuse_queries(embeddings[:1], {})


@pytest.mark.parametrize("value", BAD)
def test_an_encoded_value_that_is_not_finite_is_refused_before_anything_trains(tiny, value):
    column = np.array([[0.0], [1.0], [value], [value]])
    refuse_encoded_candidates(IDS, {"genre": np.arange(4), "price": column[:2]})
    with pytest.raises(UserError, match=r"'price' is not a finite number for 2 of 4 candidates.*'c', 'd'"):
        refuse_encoded_candidates(IDS, {"genre": np.arange(4), "price": column})
    batch = {**tiny.batch(), "age": tf.constant(column[:3], tf.float32)}
    with pytest.raises(UserError, match="'age' is not a finite number in 1 of 3 rows of the train split"):
        refuse_encoded_interactions("train", EncodedInteractions(batch), ["age", "history_age"])


def diverging(**settings):
    """A small training and its parts; settings are as given, beyond what a domain file may say, too."""
    config = RetrievalConfig(dim=4, feature_dim=4, layers=None, batch_size=64, epochs=2).model_copy(
        update=settings
    )
    data = parity.inputs(40, 300)
    return data, config, build_model(data, config)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"temperature": 1e-42}, r"raise retrieval.temperature \(now 1e-42\)"),
        (
            {"optimizer": OptimizerConfig(kind="sgd").model_copy(update={"learning_rate": 1e30})},
            r"lower retrieval.optimizer.learning_rate \(now 1e\+30\)",
        ),
    ],
    ids=["temperature", "learning_rate"],
)
def test_a_training_that_diverges_stops_at_the_step_with_the_likely_cause(tmp_path, settings, remedy):
    data, config, model = diverging(**settings)
    with pytest.raises(UserError, match=rf"at epoch 1, step \d of \d.*{remedy}"):
        fit(model, data.train, data.validation, config, str(tmp_path))


def test_a_training_on_one_row_that_is_not_finite_stops_with_the_feature(tmp_path):
    data, config, model = diverging()
    name, column = next((n, c) for n, c in data.train.columns.items() if n == "weight")
    values = column.numpy()
    values[7] = np.nan
    train = EncodedInteractions({**data.train.columns, name: tf.constant(values)})
    with pytest.raises(
        UserError, match=r"step .*encoded feature 'weight' of interactions is not finite in 1"
    ):
        fit(model, train, data.validation, config, str(tmp_path))


@pytest.mark.parametrize(
    "logs", [{"loss": 1.0, "val_epoch_loss": np.nan}, {"epoch_loss": np.inf}, {"x": -np.inf}]
)
def test_what_an_epoch_came_to_has_to_be_finite_too(logs):
    callback = StopOnDivergence({"age": np.ones(3)}, "lower ranking.learning_rate (now 9)")
    callback.on_epoch_end(0, {"loss": 1.0})
    callback.on_train_batch_end(0, {"loss": tf.constant(2.0)})
    with pytest.raises(UserError, match=r"at the end of epoch 2.*lower ranking.learning_rate \(now 9\)"):
        callback.on_epoch_end(1, logs)
