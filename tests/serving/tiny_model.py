"""A SavedModel that keeps the served contract, small and quick to save, whose answers tell its version."""

import json
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

CATALOGUE = 50

_STRINGS = tf.TensorSpec([None, None], tf.string)
_QUERY = {
    "user": tf.TensorSpec([None], tf.string),
    "age": tf.TensorSpec([None], tf.float32),
    "tags": _STRINGS,
    "history": _STRINGS,
    "history_age": tf.TensorSpec([None, None], tf.float32),
}
_SEARCH = {**_QUERY, "k": tf.TensorSpec([], tf.int32), "exclude": _STRINGS}
_FILTERED = {**_SEARCH, "filter_id": _STRINGS, "filter_number": tf.TensorSpec([None, 2], tf.float32)}


class Tiny(tf.Module):
    """Scores candidate i of 50 by 50 - i, those of the history 100 more, plus a thousandth of the version."""

    def __init__(self, version: int):
        super().__init__()
        self.ids = tf.Variable([f"c{i}" for i in range(CATALOGUE)], trainable=False)
        self.bonus = tf.Variable(version / 1000, trainable=False)

    def recommend(self, inputs):
        liked, excluded = (
            tf.reduce_any(self.ids[None, :, None] == inputs[name][:, None, :], axis=2)
            for name in ("history", "exclude")
        )
        same = tf.debugging.assert_equal(
            tf.shape(inputs["history"]), tf.shape(inputs["history_age"]), message="as many ages as events"
        )
        positive = tf.debugging.assert_positive(inputs["k"], message="k must be at least 1")
        with tf.control_dependencies([same, positive]):
            scores = tf.range(float(CATALOGUE), 0.0, -1.0)[None, :] + tf.where(liked, 100.0, 0.0) + self.bonus
        scores = tf.where(excluded, float("-inf"), scores)
        scores, rows = tf.math.top_k(scores, k=tf.minimum(inputs["k"], CATALOGUE))
        missing = tf.math.is_inf(scores)
        age = tf.where(tf.math.is_nan(inputs["age"]), 0.0, inputs["age"])
        tagged = tf.reduce_sum(tf.cast(inputs["tags"] != "", tf.float32), axis=1)
        return {
            "candidate_ids": tf.where(missing, "", tf.gather(self.ids, rows)),
            "scores": scores,
            "positive": tf.where(missing, float("nan"), (age + tagged)[:, None]),
        }

    def retrieve(self, inputs):
        """As :meth:`recommend`, of the ids asked for and the numbers within the bounds."""
        wanted = inputs["filter_id"]
        of_ids = tf.reduce_any(self.ids[None, :, None] == wanted[:, None, :], axis=2)
        passes = of_ids | ~tf.reduce_any(wanted != "", axis=1, keepdims=True)
        bounds = inputs["filter_number"]
        least = tf.where(tf.math.is_nan(bounds[:, :1]), 0.0, bounds[:, :1])
        most = tf.where(tf.math.is_nan(bounds[:, 1:]), float(CATALOGUE), bounds[:, 1:])
        numbers = tf.range(float(CATALOGUE))[None]
        passes &= (numbers >= least) & (numbers <= most)
        barred = tf.where(passes, "", self.ids[None])
        return self.recommend({**inputs, "exclude": tf.concat([inputs["exclude"], barred], axis=1)})

    def slow(self, inputs):
        """Multiplies matrices so many times: some milliseconds each."""
        x = mean = tf.fill([300, 300], 1.0 / 300)
        for _ in tf.range(inputs["rounds"]):
            x = tf.linalg.matmul(x, mean)
        return {"same": tf.identity(inputs["x"]) + 0.0 * x[0, 0]}

    def rank(self, inputs):
        """50 - i for candidate i; NaN for others."""
        same = self.ids[None, None, :] == inputs["candidate_ids"][:, :, None]
        place = tf.cast(tf.argmax(same, axis=2), tf.float32)
        return {"positive": tf.where(tf.reduce_any(same, axis=2), CATALOGUE - place, float("nan"))}

    def embed_query(self, inputs):
        return {"embedding": tf.stack([inputs["age"], tf.cast(inputs["user"] == "ada", tf.float32)], axis=1)}

    def embed_candidate(self, inputs):
        return {"embedding": tf.stack([inputs["price"], -inputs["price"]], axis=1)}

    def echo_bytes(self, inputs):
        return {"said_bytes": tf.identity(inputs["text"])}


def _signature(function, specs):
    named = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
    return tf.function(function, input_signature=[named]).get_concrete_function()


def save(path: Path, version: int, warm_k: int | None = 5, ours: bool = True) -> Path:
    """Writes a version.

    Args:
        path: Its directory.
        version: What its scores tell.
        warm_k: ``k`` of its one warm-up request; None for no warm-up.
        ours: Whether it says that it is one of Westwork's.
    """
    model = Tiny(version)
    recommend = _signature(model.recommend, _SEARCH)
    signatures = {
        "serving_default": recommend,
        "recommend": recommend,
        "retrieve": _signature(model.retrieve, _FILTERED),
        "rank": _signature(model.rank, {**_QUERY, "candidate_ids": _STRINGS}),
        "embed_query": _signature(model.embed_query, _QUERY),
        "embed_candidate": _signature(model.embed_candidate, {"price": tf.TensorSpec([None], tf.float32)}),
        "slow": _signature(
            model.slow, {"x": tf.TensorSpec([None], tf.float32), "rounds": tf.TensorSpec([], tf.int32)}
        ),
        "echo": _signature(model.echo_bytes, {"text": tf.TensorSpec([None], tf.string)}),
    }
    tf.saved_model.save(model, str(path), signatures=signatures)
    extra = path / "assets.extra"
    extra.mkdir()
    if ours:
        (extra / "model.json").write_text(json.dumps({"index": "exact", "candidates": CATALOGUE}))
    if warm_k is not None:
        with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
            log = prediction_log_pb2.PredictLog(request=predict_request("warm", warm_k))
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
    return path


def inputs_of(users=("ada",), k=3, history=(), exclude=(), **changes) -> dict:
    """Arrays for ``recommend``: every user with the same history."""
    rows = len(users)
    arrays = {
        "user": tf.constant(list(users), tf.string, [rows]),
        "age": tf.constant([float("nan")] * rows, tf.float32, [rows]),
        "tags": tf.constant([], tf.string, [rows, 0]),
        "history": tf.constant([list(history)] * rows, tf.string, [rows, len(history)]),
        "history_age": tf.zeros([rows, len(history)]),
        "k": tf.constant(k, tf.int32),
        "exclude": tf.constant([list(exclude)] * rows, tf.string, [rows, len(exclude)]),
    }
    return {**arrays, **changes}


def predict_request(
    name: str, k: int = 3, signature: str = "recommend", **inputs
) -> predict_pb2.PredictRequest:
    """A Predict request to a model of this name."""
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name=name, signature_name=signature))
    for key, value in inputs_of(k=k, **inputs).items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request
