"""Asks a pushed MovieLens model by TensorFlow and ScaNN alone, and writes the answers as JSON.

Run as a script: ``python ask_saved_model.py MODEL_DIR ANSWERS_JSON``.
"""

import json
import sys

import numpy as np
import tensorflow as tf
from scann import scann_ops

assert scann_ops, "registers the ops that the index is made of"

KNOWN = {"user_id": "1", "age": 24.0, "gender": "M", "occupation": "technician", "zip_code": "85711"}
STRANGER = {"user_id": "nobody", "age": float("nan"), "gender": "", "occupation": "", "zip_code": ""}
LIKED = ["50", "172", "181", "100", "127"]


def query(attributes, history, batch=1):
    """Inputs of a query, ``batch`` times the same."""
    inputs = {
        name: tf.constant([value] * batch, tf.float32 if name == "age" else tf.string)
        for name, value in attributes.items()
    }
    inputs["timestamp"] = tf.constant([893_286_638] * batch, tf.int64)
    inputs["history"] = tf.constant([history] * batch, tf.string, shape=(batch, len(history)))
    ages = [86_400.0 * (len(history) - i) for i in range(len(history))]
    inputs["history_age"] = tf.constant([ages] * batch, tf.float32, shape=(batch, len(history)))
    return inputs


def ask(signature, inputs, k, exclude=(), genres=(), years=(float("nan"), float("nan"))):
    """Asks ``retrieve`` or ``recommend``, for one query."""
    diversity = {"diversity": tf.constant(0.0)} if "positive" in signature.structured_outputs else {}
    return signature(
        **inputs,
        **diversity,
        k=tf.constant(k),
        exclude=tf.constant([list(exclude)], tf.string, [1, len(exclude)]),
        filter_genres=tf.constant([list(genres)], tf.string, [1, len(genres)]),
        filter_year=tf.constant([years], tf.float32),
    )


def readable(outputs):
    """Tensors as JSON knows them: NaN and infinities as None."""

    def plain(value):
        if isinstance(value, bytes):
            return value.decode()
        return value if np.isfinite(value) else None

    return {
        name: [[plain(v) for v in row] for row in tensor.numpy().tolist()] for name, tensor in outputs.items()
    }


def main(model_dir, out):
    """Asks every signature everything the tests look at."""
    model = tf.saved_model.load(model_dir)
    signatures = model.signatures
    queries = {
        "known": query(KNOWN, LIKED),
        "unknown user": query(STRANGER, LIKED),
        "empty history": query(KNOWN, []),
        # Oldest, so that the others are as old as in "known".
        "unknown ids in the history": query(KNOWN, ["no such film", *LIKED]),
        "nothing known": query(STRANGER, []),
        "long history": query(KNOWN, LIKED * 30),
    }
    with open(f"{model_dir}/assets.extra/model.json") as file:
        size = json.load(file)["candidates"]
    answers = {"size": size, "signatures": sorted(signatures)}
    for search in ("retrieve", "recommend", "serving_default"):
        for name, inputs in queries.items():
            answers[f"{search}: {name}"] = readable(ask(signatures[search], inputs, 10))
        for k in (1, size, size + 500):
            answers[f"{search}: k={k}"] = readable(ask(signatures[search], queries["known"], k))
        first = answers[f"{search}: known"]["candidate_ids"][0]
        excluded = [*first[:5], "no such film", ""]
        answers[f"{search}: exclude"] = readable(ask(signatures[search], queries["known"], 10, excluded))
        answers[f"{search}: animation since 1990"] = readable(
            ask(signatures[search], queries["known"], 10, genres=["Animation"], years=(1990.0, float("nan")))
        )
        try:
            ask(signatures[search], queries["known"], 0)
            answers[f"{search}: k=0"] = "answered"
        except tf.errors.InvalidArgumentError as error:
            answers[f"{search}: k=0"] = str(error)
    everything = answers[f"retrieve: k={size}"]["candidate_ids"][0]
    answers["retrieve: all excluded"] = readable(ask(signatures["retrieve"], queries["known"], 5, everything))
    for name, inputs in queries.items():
        answers[f"rank: {name}"] = readable(
            signatures["rank"](**inputs, candidate_ids=tf.constant([["50", "no such film", "181"]]))
        )
        answers[f"embed_query: {name}"] = readable(signatures["embed_query"](**inputs))
    film = {"title": "Star Wars", "year": 1977.0}
    for name, film_id in (("known", "50"), ("unknown", "no such film")):
        answers[f"embed_candidate: {name}"] = readable(
            signatures["embed_candidate"](
                movie_id=tf.constant([film_id]),
                title=tf.constant([film["title"]]),
                year=tf.constant([film["year"]], tf.float32),
                genres=tf.constant([["Action", "Adventure", "Romance", "Sci-Fi", "War"]]),
            )
        )
    answers["ann agreement"] = agreement(model)
    with open(out, "w") as file:
        json.dump(answers, file)


def agreement(model, k=100):
    """Mean share of the exact top k that the index finds, over 200 random histories."""
    random = np.random.default_rng(5)
    none = tf.constant([[""]])
    ids = ask(model.signatures["retrieve"], query(KNOWN, LIKED), 10_000)
    pool = ids["candidate_ids"].numpy()[0].astype(str)
    shares = []
    for _ in range(200):
        inputs = query(STRANGER, list(random.choice(pool, 12, replace=False)))
        found = ask(model.signatures["retrieve"], inputs, k)["candidate_ids"]
        exact = model.retrieve_exact(inputs, tf.constant(k), none)["candidate_ids"]
        shares.append(len(set(found.numpy()[0]) & set(exact.numpy()[0])) / k)
    return float(np.mean(shares))


if __name__ == "__main__":
    main(*sys.argv[1:])
