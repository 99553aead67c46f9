"""What the explorer's page is told, asked as the page asks it."""

import json
import re
import runpy
import shutil
import urllib.error
import urllib.request
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from running_server import running
from tiny_model import save

from pipeline.known_users import look_up_in
from serving.errors import ModelError
from serving.explorer.users import Explorer
from serving.model_files import ModelFiles

FIXTURES = Path(__file__).parent.parent / "fixtures"
BOOKSHOP = runpy.run_path(str(FIXTURES / "bookshop_model.py"))
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A base path with one version of the bookshop's model, 7, whose first title is hostile."""
    base = tmp_path_factory.mktemp("explored")
    BOOKSHOP["save"](base / "7", {**BOOKSHOP["TITLES"], "007": HOSTILE})
    return base


@pytest.fixture(scope="module")
def shop(base):
    """A server whose explorer knows the bookshop's readers."""
    explorer = Explorer("shop", look_up_in(FIXTURES / "tiny"), exclude_seen=False)
    with running(base, "shop", explorer=explorer, labels={"stable": 7}) as server:
        yield server


def ask(server, path: str, body=None) -> tuple[int, dict]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}/explorer/{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def ids(answer: tuple[int, dict]) -> list[str]:
    assert answer[0] == 200, answer
    return [item["id"] for item in answer[1]["items"]]


def test_names_and_kinds_come_from_the_models_description(shop):
    status, told = ask(shop, "api/model")
    assert status == 200
    assert told["query_features"][0] == {"name": "rated_at", "kind": "timestamp", "values": []}
    assert [feature["name"] for feature in told["query_features"]] == [
        "rated_at",
        *("town", "postcode", "joined", "born"),
    ]
    assert told["features"] == [
        {"name": "pages", "kind": "numeric", "values": [64.0, 410.0]},
        {
            "name": "shelves",
            "kind": "multivalent",
            "values": ["crime", "novel", "cooking", "nature", "poetry", "science", "thriller", "travel"],
        },
    ]
    assert told == told | {
        "name": "shop",
        "version": "7",
        "versions": [{"version": "7", "labels": ["stable"]}],
        "candidates": 8,
        "index": "exact",
        "retrieve": 5,
        "rated": True,
        "query_id": "reader",
        "moment": "rated_at",
        "history": {"length": 3, "actions": []},
        "users": ["ada", "bob", "cyd", "dee"],
        "histories": True,
        "exclude_seen": False,
    }


def test_the_catalogue_is_searched_by_title_and_id_the_most_popular_first(shop):
    # The fixture's books are the more popular the later their id.
    assert ids(ask(shop, "api/catalogue?limit=3")) == ["107", "106", "105"]
    status, found = ask(shop, "api/catalogue?q=the%20L")
    assert (status, found["total"]) == (200, 2)
    assert [item["title"] for item in found["items"]] == ["The Last Lighthouse", "The Long Winter"]
    # The id itself, then titles that begin so, then whatever holds it.
    assert ids(ask(shop, "api/catalogue?q=10")) == ["105", "107", "106", "104", "103", "102", "101"]
    assert ids(ask(shop, "api/catalogue?q=101"))[0] == "101"
    assert ask(shop, "api/catalogue?q=nothing%20like%20it") == (200, {"items": [], "total": 0})


def test_items_have_titles_and_features_as_they_are(shop):
    status, found = ask(shop, "api/items", ["007", "107", "no such book"])
    assert status == 200
    assert found["items"] == [
        {
            "id": "007",
            "title": HOSTILE,
            "features": {"name": "A Spy Too Many", "pages": 320.0, "shelves": ["crime", "thriller"]},
        },
        {
            "id": "107",
            "title": "Unread So Far",
            "features": {"name": "Unread So Far", "pages": 64.0, "shelves": None},
        },
    ]


def test_similar_items_are_the_nearest_by_the_models_embeddings(shop):
    status, found = ask(shop, "api/similar?id=102&limit=3")
    assert status == 200
    # Each book's embedding is turned by a fifth from its neighbour's.
    assert {found["items"][0]["id"], found["items"][1]["id"]} == {"101", "103"}
    cosines = [item["similarity"] for item in found["items"]]
    np.testing.assert_allclose(cosines, np.cos([0.2, 0.2, 0.4]), atol=1e-6)
    assert len(ids(ask(shop, "api/similar?id=102&limit=50"))) == 7


def test_a_users_history_comes_from_the_event_log(shop):
    status, ada = ask(shop, "api/user?id=ada")
    assert status == 200
    assert (ada["known"], ada["trained_on"]) == (True, True)
    assert ada["query"]["history"] == ["104", "105", "106"]
    assert ada["query"]["history_age"] == [600.0, 400.0, 150.0]
    assert (ada["query"]["town"], ada["query"]["rated_at"]) == ("Soest", 2200)
    assert ada["seen"] == ["007", "101", "102", "103", "104", "105", "106"]
    status, nobody = ask(shop, "api/user?id=nobody")
    assert (nobody["known"], nobody["trained_on"], nobody["seen"]) == (False, False, [])
    assert ask(shop, "api/users?q=c") == (200, {"users": ["cyd"]})


@pytest.mark.parametrize(
    ("at", "history", "ages"),
    [(2050, ["103", "104", "105"], [500, 450, 250]), (1101, ["007", "101"], [101, 1])],
)
def test_a_users_history_is_that_of_the_moment_asked_about(shop, at, history, ages):
    status, ada = ask(shop, f"api/user?id=ada&at={at}")
    assert (status, ada["known"]) == (200, True)
    assert ada["query"] == ada["query"] | {"history": history, "history_age": ages, "rated_at": at}
    assert set(history) <= set(ada["seen"]) and "106" not in ada["seen"]


def test_without_an_event_log_histories_are_not_known(base):
    with running(base, "shop", explorer=Explorer("shop")) as server:
        assert ask(server, "api/model")[1]["histories"] is False
        expected = {"known": None, "trained_on": True, "query": {}, "seen": []}
        assert ask(server, "api/user?id=ada") == (200, expected)


def test_a_log_that_is_gone_is_told(base, tmp_path):
    with running(base, "shop", explorer=Explorer("shop", look_up_in(tmp_path))) as server:
        status, told = ask(server, "api/user?id=ada")
        assert status == 400 and "found no file" in told["error"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("api/similar?id=999", 404, "candidate '999' is not in the catalogue"),
        ("api/similar", 400, "expected ?id=..."),
        ("api/catalogue?limit=0", 400, "limit: found '0', expected 1 to 50"),
        ("api/catalogue?version=8", 404, "version 8 of model 'shop' is not available; available: 7"),
        ("api/catalogue?version=new", 400, "version: found 'new', expected a number"),
        ("api/user?id=ada&at=now", 400, "at: found 'now', expected whole seconds since 1970, UTC"),
        ("api/nothing", 404, "Malformed request"),
    ],
)
def test_what_cannot_be_answered_is_told(shop, path, status, message):
    found = ask(shop, path)
    assert found[0] == status and message in found[1]["error"]


def test_a_list_of_ids_is_expected(shop):
    assert ask(shop, "api/items", {"ids": []}) == (400, {"error": "expected a JSON list of ids"})


def test_a_model_of_another_make_is_told(tmp_path):
    save(tmp_path / "1", 1, ours=False)
    with running(tmp_path, "tiny", explorer=Explorer("tiny")) as server:
        status, told = ask(server, "api/model")
    assert status == 400 and "Expected a model pushed by Westwork" in told["error"]


def test_a_model_without_embeddings_is_told(base, tmp_path):
    shutil.copytree(base / "7", tmp_path / "7")
    for file in (tmp_path / "7" / "variables").iterdir():
        file.unlink()
    with pytest.raises(ModelError, match=r"the embeddings in .* cannot be read"):
        ModelFiles(tmp_path / "7").embeddings()


def test_a_new_version_has_its_own_catalogue(base, tmp_path):
    shutil.copytree(base / "7", tmp_path / "7")
    with running(tmp_path, "shop", explorer=Explorer("shop")) as server:
        assert ask(server, "api/model")[1]["candidates"] == 8
        shutil.copytree(base / "7", tmp_path / "8")
        catalogue = tmp_path / "8" / "assets.extra" / "candidates.parquet"
        pq.write_table(pq.read_table(catalogue).slice(0, 5).drop(["features"]), catalogue)
        server.server.registry.refresh(at_once=True)
        told = ask(server, "api/model")[1]
        assert (told["version"], told["candidates"], told["features"]) == ("8", 5, [])
        assert ask(server, "api/items", ["007"])[1]["items"][0]["features"] == {}


def test_the_page_asks_nobody_but_its_server(shop):
    with urllib.request.urlopen(f"{shop.url}/", timeout=10) as answer:
        assert answer.url == f"{shop.url}/explorer/"
        policy, page = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    files = {entry.name: entry for entry in resources.files("serving.explorer").iterdir()}
    assets = {name for name in files if name.endswith((".js", ".css"))}
    for name in assets:
        with urllib.request.urlopen(f"{shop.url}/explorer/{name}", timeout=10) as answer:
            kind = "text/css" if name.endswith(".css") else "text/javascript"
            assert answer.headers["Content-Type"].startswith(kind)
            page += answer.read().decode()
    assert len(assets) == 6
    assert not re.findall(r"https?://|innerHTML|insertAdjacentHTML|document\.write|\beval\(", page)


def test_without_the_option_there_is_no_explorer(base):
    with running(base, "shop") as server:
        assert ask(server, "")[0] == 404
