"""The domain file as a whole, and the domains that come with Westwork."""

from datetime import date
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from google.protobuf import text_format
from pydantic import ValidationError
from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.errors import UserError
from pipeline.cli import main
from pipeline.domain import SCHEMAS, Domain, available_domains, load_domain

ROOT = Path(__file__).parents[2]


def test_the_demo_settings_hold_only_where_they_are_asked_for():
    domain = load_domain("retail")
    assert domain.interactions.since is None
    assert load_domain("retail", domain.demo_overrides).interactions.since == date(2017, 10, 1)
    assert load_domain("movielens").demo_overrides == ()


def test_demo_applies_its_settings_before_those_of_the_command_line(tmp_path):
    content = yaml.safe_load((ROOT / "tests" / "fixtures" / "tiny" / "domain.yaml").read_text())
    content["demo"] = {"retrieval.epochs": 0, "history.length": 0}
    (tmp_path / "domain.yaml").write_text(yaml.safe_dump(content))
    arguments = ["run", "--domain", str(tmp_path), "--root", str(tmp_path / "root")]
    result = CliRunner().invoke(main, [*arguments, "--demo", "--set", "history.length=-1"])
    assert result.exit_code == 1
    assert "with history.length=0 retrieval.epochs=0 history.length=-1" in result.stderr
    assert "retrieval.epochs: found 0" in result.stderr and "history.length: found -1" in result.stderr


def test_an_index_that_the_target_certainly_cannot_load_is_refused_before_anything_is_trained():
    stock = ["serving.target=tensorflow_serving"]
    with pytest.raises(
        UserError, match=r"tensorflow_serving has none of the ops .* Set assemble\.index to ivf"
    ):
        load_domain("movielens", [*stock, "assemble.exact_below=0"])
    # The catalogue may be small enough for exact search, or the index be another.
    load_domain("movielens", stock)
    load_domain("movielens", [*stock, "assemble.exact_below=0", "assemble.index=ivf"])
    load_domain("movielens", ["assemble.exact_below=0"])


def test_towers_that_could_not_tell_queries_apart_are_refused():
    content = yaml.safe_load((ROOT / "tests" / "fixtures" / "tiny" / "domain.yaml").read_text())
    settings = ["retrieval.query_id=false", "retrieval.history.encoder=none"]
    assert Domain(**content).declaration.query_features
    load_domain(str(ROOT / "tests" / "fixtures" / "tiny"), settings)
    content["interactions"].pop("context", None)
    content.pop("queries", None)
    assert not Domain(**content).declaration.query_features
    with pytest.raises(ValidationError, match="all queries would be alike"):
        Domain(**content, retrieval={"query_id": False, "history": {"encoder": "none"}})


SHOWN = {
    "actions": {"column": "what", "weights": {"view": 0, "click": 1}},
    "position": "place",
    "propensity": "chance",
}
BY_PLACE = {"inverse_propensity": {"examination": [1, 0.5]}}


@pytest.mark.parametrize(
    ("log", "section", "message"),
    [
        ({"position": None}, {"ranking": {"position": {}}}, "ranking.position: the domain declares no pos"),
        ({"actions": None}, {"ranking": {"position": {}}}, "a tower of positions has nothing to learn"),
        ({}, {"ranking": {"position": {}, "loss": "softmax"}}, "cancels in loss 'softmax'"),
        ({}, {"ranking": {"position": {}, **BY_PLACE}}, "found both ranking.position and an examination"),
        (
            {"position": None},
            {"ranking": BY_PLACE},
            "neither interactions.propensity, .*nor interactions.pos",
        ),
        (
            {"actions": None, "propensity": None},
            {"ranking": {"inverse_propensity": {}}},
            "how often a position is looked at cannot be estimated. Say it in",
        ),
        ({"position": None}, {"retrieval": {"debias": {}}}, "add interactions.position, .*or set"),
        ({"actions": None}, {"retrieval": {"debias": {}}}, "every interaction of the log is worth the same"),
        ({"position": "born"}, {}, "column 'born' is declared twice"),
        ({"propensity": "history"}, {}, "column name 'history' is taken by ingestion"),
    ],
)
def test_what_corrects_for_how_things_were_shown_needs_columns_that_say_it(log, section, message):
    content = yaml.safe_load((ROOT / "tests" / "fixtures" / "tiny" / "domain.yaml").read_text())
    del content["interactions"]["rating"]
    content["interactions"] |= SHOWN
    both = {"ranking": {"position": {}, "inverse_propensity": {}}, "retrieval": {"debias": {}}}
    Domain(**content, **both)
    content["interactions"] |= log
    with pytest.raises(ValidationError, match=message):
        Domain(**content, **section)


@pytest.mark.parametrize("name", available_domains())
def test_a_domains_schemas_speak_of_the_users_columns_and_of_nothing_that_follows(name):
    declaration = load_domain(name).declaration
    candidates = {*declaration.candidates.features}
    interactions = {*declaration.query_features} - {declaration.interactions.timestamp.column}
    for stream, names in (("candidates", candidates), ("interactions", interactions)):
        text = (SCHEMAS / name / f"{stream}.pbtxt").read_text()
        schema = text_format.Parse(text, schema_pb2.Schema())
        assert {feature.name for feature in schema.feature} == names


@pytest.mark.parametrize(("name", "candidates"), [("movielens", 1_682), ("retail", 92_331)])
def test_the_demos_catalogues_are_large_enough_for_their_scann_index(name, candidates):
    assemble = load_domain(name).assemble
    assert assemble.index == "scann"
    assert assemble.exact_below <= candidates
    assert assemble.ann_recall >= 0.98
