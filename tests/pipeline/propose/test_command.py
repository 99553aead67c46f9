"""`westwork init`: raw files to a domain, each choice against an answer known beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from pipeline.domain import load_domain
from pipeline.propose.view import _as_domain
from tests.pipeline.propose.shop import (
    GENRES,
    init,
    proposed,
    schema_of,
    unbroken,
)


def test_a_shop_is_understood_whatever_the_order_of_its_files(tmp_path, shop):
    log, catalogue, people = shop
    domain = proposed(tmp_path, people, catalogue, log)
    interactions = domain.interactions
    assert [source.files for source in interactions.sources] == [str(log)]
    assert (interactions.query_id, interactions.candidate_id) == ("user_id", "item_id")
    assert (interactions.timestamp.column, interactions.timestamp.unit) == ("ts", "s")
    assert interactions.rating is None
    assert interactions.actions is not None and interactions.actions.column == "event"
    assert interactions.actions.weights == {"view": 1, "add_to_cart": 3, "purchase": 5}
    assert list(interactions.context) == ["ts"]
    assert (domain.candidates.files, domain.candidates.id) == (str(catalogue), "item_id")
    assert domain.candidates.title == "name"
    kinds = {name: feature.kind for name, feature in domain.candidates.features.items()}
    assert kinds == {"name": "text", "genres": "multivalent", "price": "numeric", "year": "numeric"}
    assert domain.candidates.features["genres"].separator == "|"
    assert domain.candidates.features["genres"].max_values == 3
    assert domain.candidates.features["price"].scale == "log1p"
    assert domain.candidates.features["year"].scale == "buckets"
    assert domain.queries is not None and domain.queries.files == str(people)
    assert list(domain.queries.features) == ["gender", "age"]
    assert domain.max_bad_fraction == 0


def test_the_schemas_name_every_column_of_the_users_with_type_and_values(tmp_path, shop):
    proposed(tmp_path, *shop)
    log = schema_of(tmp_path, "interactions.pbtxt")
    found = {feature.name: schema_pb2.FeatureType.Name(feature.type) for feature in log.feature}
    assert found == {"gender": "BYTES", "age": "FLOAT"}
    values = {domain.name: set(domain.value) for domain in log.string_domain}
    assert values == {"gender": {"F", "M"}}
    catalogue = schema_of(tmp_path, "candidates.pbtxt")
    assert [feature.name for feature in catalogue.feature] == ["name", "genres", "price", "year"]
    assert set(catalogue.string_domain[0].value) == set(GENRES)


def test_each_guess_is_marked_in_the_file_and_listed_on_the_screen(tmp_path, shop):
    shown = unbroken(init(tmp_path / "domain", *shop).output)
    written = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    guess = "the weights are a guess by what the actions are called; 0 makes an action a negative"
    assert f"unsure: {guess}" in written
    assert f"interactions.actions: {guess}" in shown
    assert "100.0% of the log's rows find their item_id in item_id of items.csv" in shown
    assert "flag has the same value in every row" in written
    assert f"westwork validate --domain {tmp_path / 'domain'}" in shown
    assert f"westwork run --domain {tmp_path / 'domain'}" in shown


def test_a_domain_that_is_there_is_replaced_only_when_told(tmp_path, shop):
    folder = tmp_path / "domain"
    folder.mkdir()
    (folder / "domain.yaml").write_text("mine")
    refused = init(folder, *shop)
    assert refused.exit_code == 1 and "holds a domain already (domain.yaml)" in refused.stderr
    assert (folder / "domain.yaml").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["domain.yaml"]
    assert init(folder, *shop, more=("--force", "--name", "Our: shop")).exit_code == 0
    assert load_domain(str(folder)).title == "Our: shop"
    assert sorted(path.name for path in folder.iterdir()) == [
        "candidates.pbtxt",
        "domain.yaml",
        "interactions.pbtxt",
    ]


@pytest.mark.parametrize(("name", "said"), [("retail", "./retail"), ("films", "films")])
def test_the_next_command_means_the_folder_and_no_domain_that_comes_along(name: str, said: str):
    assert _as_domain(Path(name)) == said
