"""The pushed model, ScaNN index and all, behind the embedded server."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "serving"))

from running_server import running

from serving.client import Recommender, ranked
from serving.local_model import LocalModel
from serving.queries import search_of
from serving.runner import Batching

K = 10


@pytest.fixture(scope="module")
def recommender(movielens):
    with (
        running(movielens.model, batching=Batching(rows=16, seconds=0.05)) as server,
        Recommender(server.target, "tiny", timeout=60) as recommender,
    ):
        yield recommender


def _queries() -> list[dict]:
    """People with histories from none to 100 films."""
    draw = np.random.default_rng(7)
    lengths = [0, 1, 5, 30, 63, 64, 65, 100]
    histories = [[str(film) for film in draw.choice(1600, length, replace=False) + 1] for length in lengths]
    return [
        {
            "user_id": str(100 + row),
            "timestamp": 893_286_638,
            "age": 30,
            "gender": "F",
            "history": history,
            "history_age": [3600.0 * (len(history) - event) for event in range(len(history))],
        }
        for row, history in enumerate(histories)
    ]


@pytest.mark.parametrize("search", ["recommend", "retrieve"])
def test_requests_that_share_a_run_get_what_they_get_alone(recommender, movielens, search):
    queries = _queries()
    # As many for each: the index looks the further, the more is excluded, also of the others in a run.
    excluded = [(query["history"] + queries[-1]["history"])[:100] for query in queries]
    ask = getattr(recommender, search)
    with ThreadPoolExecutor(len(queries)) as pool:
        served = list(pool.map(lambda query, own: ask(query, K, own), queries, excluded))
    local = LocalModel(movielens.model)
    signature = local.signature(search)
    for query, own, answer in zip(queries, excluded, served, strict=True):
        assert answer.version == movielens.model.name
        inputs = search_of(signature, [query], K, [own])
        alone = {item.id: item for item in ranked(local.ask(search, inputs), 0).items}
        assert len(answer.items) == K and not {item.id for item in answer.items} & {*own}
        both = [(item, alone[item.id]) for item in answer.items if item.id in alone]
        # ScaNN may find other candidates at the end of the list in another batch.
        assert len(both) >= K - 2
        for item, same in both:
            assert item.score == pytest.approx(same.score, abs=1e-3)
            assert item.heads == pytest.approx(same.heads, abs=1e-3)


def test_every_signature_can_be_asked_through_the_client(recommender):
    query = _queries()[3]
    predicted = recommender.rank(query, ["50", "172", "no such film"])
    assert set(predicted["50"]) == {"positive", "rating"} and 0 < predicted["50"]["positive"] < 1
    assert predicted["no such film"] == {"positive": None, "rating": None}
    of_query = recommender.embed_query(query)
    of_candidate = recommender.embed_candidate({"title": "Star Wars", "genres": ["Action", "Adventure"]})
    assert of_query.shape == of_candidate.shape
    assert np.isfinite(of_query).all() and np.isfinite(of_candidate).all()
