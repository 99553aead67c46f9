"""The served signatures over a domain without ratings, and how they combine towers and ranker."""

import math

import numpy as np
import pytest
import tensorflow as tf

from components.assemble.inputs import refuse_unusable_outputs
from components.assemble.warmup import warmup_requests, write_warmup


def request(rows):
    """Rows of the log as a client sends them."""
    length = max(1, *(len(row["history"]) for row in rows))

    def first(name):
        return tf.constant([row[name][0] if row[name] else "" for row in rows])

    def padded(name, padding):
        return [row[name] + [padding] * (length - len(row[name])) for row in rows]

    return {
        **{name: first(name) for name in ("customer.no", "device", "query-text")},
        "mood": tf.constant([row["mood"] or [math.nan] * 2 for row in rows], tf.float32),
        "history": tf.constant(padded("history", "")),
        "history_age": tf.constant(padded("history_age", 0.0), tf.float32),
        "history_action": tf.constant(padded("history_action", "")),
    }


def search(query, k, exclude=()):
    excluded = tf.constant([list(exclude) or [""]] * len(query["device"]))
    return {**query, "k": tf.constant(k), "exclude": excluded, "diversity": tf.constant(0.0)}


def by_id(answer, name, i):
    """One output of an answer's request i, by candidate id."""
    ids = answer["candidate_ids"].numpy()[i]
    return {key: float(v) for key, v in zip(ids, answer[name].numpy()[i], strict=True) if key}


def test_a_query_is_embedded_in_serving_as_in_training(grocer, assemble):
    signature = grocer.retrieval.embed_query.input_signature[0]
    batch = next(iter(grocer.inputs.train.batches(64)))
    expected = grocer.retrieval.embed_query({name: batch[name] for name in signature})["embedding"]
    actual = assemble().embed_query(request(grocer.rows[:64]))["embedding"]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.fixture(scope="session")
def encoded(grocer_models):
    """From a request to the features the towers are given."""
    return grocer_models.encode_query


def test_a_query_is_encoded_in_serving_as_in_training(grocer, encoded):
    batch = next(iter(grocer.inputs.train.batches(64)))
    served = encoded(request(grocer.rows[:64]))
    assert set(served) == set(grocer.retrieval.embed_query.input_signature[0])
    for name, values in served.items():
        assert values.dtype == batch[name].dtype
        np.testing.assert_allclose(values, batch[name], atol=1e-6, err_msg=name)


def test_each_events_action_is_its_number_in_the_order_declared_and_0_if_not_known(grocer, encoded):
    query = request(grocer.rows[:1])
    query["history"] = tf.constant([["", "g01", "g02", "g03", "g04", "g05"]])
    query["history_age"] = tf.constant([[0.0, 5.0, 4.0, 3.0, 2.0, 1.0]])
    # Declared: bought, basket. The first of the five is cut off, the padding before it left out.
    query["history_action"] = tf.constant([["", "basket", "basket", "bought", "stolen", ""]])
    assert grocer.inputs.history_actions == 2
    found = encoded(query)
    assert found["history_action"].numpy().tolist() == [[2, 1, 0, 0]]
    assert found["history_age"].numpy().tolist() == [[4, 3, 2, 1]]


@pytest.mark.parametrize("told", [[], ["basket"]])
def test_actions_that_are_not_told_are_unknown(grocer, encoded, told):
    query = request(grocer.rows[:1])
    query["history"], query["history_age"] = tf.constant([["g01", "g02"]]), tf.constant([[2.0, 1.0]])
    query["history_action"] = tf.constant([told], tf.string, shape=(1, len(told)))
    expected = [2, 0] if told else [0, 0]
    assert encoded(query)["history_action"].numpy().tolist() == [[*expected, 0, 0]]


def test_more_actions_than_events_are_refused(grocer, encoded):
    query = request(grocer.rows[:1])
    query["history"], query["history_age"] = tf.constant([["g01"]]), tf.constant([[1.0]])
    query["history_action"] = tf.constant([["basket", "bought"]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="history_action must not be wider than history"):
        encoded(query)


def test_heads_are_those_the_domain_has(grocer, assemble):
    query = request(grocer.rows[:2])
    heads = {"positive", "bought", "basket"}
    assert set(assemble().recommend(search(query, 3))) == {"candidate_ids", "scores", *heads}
    assert set(assemble().rank({**query, "candidate_ids": tf.constant([["g01"], ["g02"]])})) == heads


def test_a_vector_with_a_number_missing_counts_as_none(grocer, assemble):
    query = {**request(grocer.rows[:3]), "mood": tf.constant([[math.nan, 1.0], [math.nan] * 2, [0.0, 0.0]])}
    for name in ("customer.no", "device", "query-text", "history", "history_age", "history_action"):
        query[name] = tf.repeat(query[name][:1], 3, axis=0)
    embedded = assemble().embed_query(query)["embedding"].numpy()
    np.testing.assert_allclose(embedded, embedded[[0, 0, 0]])


def test_the_history_is_ranked_beside_what_was_retrieved_once_and_not_if_excluded(grocer, assemble):
    rows = [row for row in grocer.rows if len(set(row["history"])) >= 3][:20]
    excluded = rows[0]["history"][0]
    query = request(rows)
    plain = assemble(retrieve=1).recommend(search(query, 1, [excluded]))
    answer = assemble(retrieve=1, rank_history=True).recommend(search(query, 24, [excluded]))
    few = assemble(retrieve=1, rank_history=True).recommend(search(query, 2, [excluded]))
    exact = assemble().retrieve(search(query, 24))
    probability = assemble().rank({**query, "candidate_ids": exact["candidate_ids"]})
    for i, row in enumerate(rows):
        found = [key for key in answer["candidate_ids"].numpy()[i] if key]
        assert len(found) == len(set(found)) == 23, "k of everything retrieves everything, each once"
        retrieved = by_id(assemble(retrieve=2).retrieve(search(query, 2, [excluded])), "scores", i)
        choice = {*retrieved, *(key.encode() for key in row["history"])} - {excluded.encode()}
        likely = dict(zip(exact["candidate_ids"].numpy()[i], probability["positive"].numpy()[i], strict=True))
        scores = {key: by_id(exact, "scores", i)[key] + math.log(likely[key]) for key in choice}
        best = sorted(scores, key=scores.get, reverse=True)[:2]
        assert list(by_id(few, "scores", i)) == best
        np.testing.assert_allclose(
            list(by_id(few, "scores", i).values()), [scores[key] for key in best], 1e-4
        )
    assert plain["candidate_ids"].shape == (20, 1)


def test_weights_say_how_towers_and_ranker_combine(grocer, assemble):
    query = request(grocer.rows[-5:])
    towers = assemble().retrieve(search(query, 24, ["g03"]))
    answer = assemble(weights={"positive": 2.0}).recommend(search(query, 24, ["g03"]))
    mixed = assemble(weights={"retrieval": 0.5, "positive": 3.0}).recommend(search(query, 24))
    for i in range(5):
        probabilities = by_id(answer, "positive", i)
        assert len(probabilities) == 23
        assert b"g03" not in probabilities
        assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
        for key, score in by_id(answer, "scores", i).items():
            assert score == pytest.approx(2 * math.log(probabilities[key]), rel=1e-4)
            expected = 0.5 * by_id(towers, "scores", i)[key] + 3 * math.log(by_id(mixed, "positive", i)[key])
            assert by_id(mixed, "scores", i)[key] == pytest.approx(expected, rel=1e-4)


def test_the_largest_k_there_is_asks_for_all_that_is_not_excluded(grocer, assemble):
    answer = assemble().recommend(search(request(grocer.rows[-1:]), 2**31 - 1, ["g03"]))
    found = answer["candidate_ids"].numpy()[0]
    assert len(found) == 24 and len({*found}) == 24 and found[-1] == b"" and b"g03" not in found


def test_what_is_saved_answers_its_own_warm_up_requests(grocer, assemble, tmp_path):
    model = assemble(rank_history=True, filters=["labels", "price"])
    signatures = model.signatures()
    tf.saved_model.save(model, str(tmp_path / "model"), signatures=signatures)
    requests = warmup_requests(signatures, b"g01")
    write_warmup(str(tmp_path / "warmup"), requests)
    assert sum(1 for _ in tf.data.TFRecordDataset(str(tmp_path / "warmup"))) == len(requests)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for log in requests:
        asked = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in asked.inputs.items()}
        answer = loaded.signatures[asked.model_spec.signature_name](**inputs)
        finite = all(np.isfinite(v.numpy()).all() for v in answer.values() if v.dtype.is_floating)
        assert finite or any(asked.inputs["filter_labels"].string_val), "nothing passes where it filters"
    assert {log.predict_log.request.model_spec.signature_name for log in requests} == set(signatures)


@pytest.fixture(scope="module")
def signatures(assemble):
    """The served signatures, traced once."""
    return assemble().signatures()


def refused(signature, inputs):
    """What a signature says of inputs that it refuses."""
    (names,), _ = signature.structured_input_signature
    with pytest.raises(tf.errors.InvalidArgumentError) as told:
        signature({name: inputs[name] for name in names})
    return str(told.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("mood", [[math.inf, 0.0]], "input mood holds a number that is not finite"),
        ("mood", [[0.0, -math.inf]], "input mood holds a number that is not finite"),
        ("history_age", [[math.inf]], "input history_age holds a number that is not finite"),
        ("history_age", [[math.nan]], "input history_age holds a number that is not finite"),
    ],
)
@pytest.mark.parametrize("signature", ["recommend", "retrieve", "rank", "embed_query"])
def test_a_number_that_is_not_finite_is_refused_by_the_graph_itself(
    grocer, signatures, signature, name, value, told
):
    query = request([next(row for row in grocer.rows if len(row["history"]) == 1)])
    query[name] = tf.constant(value, tf.float32)
    asked = {**search(query, 3), "candidate_ids": tf.constant([["g01"]])}
    assert told in refused(signatures[signature], asked)


@pytest.mark.parametrize(("price", "pixel"), [(math.inf, 0.0), (1.0, -math.inf)])
def test_a_candidate_with_a_number_that_is_not_finite_is_not_embedded(signatures, price, pixel):
    candidate = {
        "sku": tf.constant(["new"]),
        "aisle": tf.constant(["bread"]),
        "picture": tf.constant([[0.0, 0.0, pixel]], tf.float32),
        "labels": tf.constant([["fair"]]),
        "price": tf.constant([price]),
        "since": tf.constant([1_700_000_000], tf.int64),
    }
    assert "not finite" in refused(signatures["embed_candidate"], candidate)


def test_the_age_of_padding_may_be_any_number(grocer, signatures):
    row = next(row for row in grocer.rows if len(row["history"]) == 1)
    query = request([row])
    padded = query | {
        "history": tf.constant([[*row["history"], ""]]),
        "history_age": tf.constant([[*row["history_age"], math.nan]], tf.float32),
        "history_action": tf.constant([[*row["history_action"], ""]]),
    }
    embed = signatures["embed_query"]
    np.testing.assert_array_equal(embed(padded)["embedding"], embed(query)["embedding"])


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_what_a_model_makes_of_too_large_a_number_is_refused(number):
    with pytest.raises(tf.errors.InvalidArgumentError, match="embedding is not finite for these inputs"):
        refuse_unusable_outputs({"positive": tf.zeros([1, 2]), "embedding": tf.constant([[1.0, number]])})
