"""Settings are put into a domain file's text, and nothing else in it changes."""

from pathlib import Path

import pytest
import yaml

from components.ingest.errors import UserError
from pipeline.domain import load_domain
from pipeline.tune.domain_edit import as_yaml, with_settings, write_settings

TINY = Path(__file__).parent.parent / "fixtures" / "tiny" / "domain.yaml"


@pytest.mark.parametrize(
    ("before", "settings", "after"),
    [
        pytest.param(
            "title: x  # of ours\nretrieval:\n  # tried by hand\n  dim: 8  # wide\n\n# the end\n",
            {"retrieval.dim": 32},
            "title: x  # of ours\nretrieval:\n  # tried by hand\n  dim: 32  # wide\n\n# the end\n",
            id="a value",
        ),
        pytest.param(
            "retrieval:\n    dim: 8  # wide\n\n# ranking follows\nranking: {epochs: 3}\n",
            {"retrieval.layers": [], "retrieval.loss.kind": "full_softmax", "retrieval.loss.in_batch": False},
            "retrieval:\n    dim: 8  # wide\n    layers: []\n    loss:\n      kind: full_softmax\n"
            "      in_batch: false\n\n# ranking follows\nranking: {epochs: 3}\n",
            id="keys that were not there",
        ),
        pytest.param(
            "retrieval: {dim: 8, loss: {}, history: {heads: 2},}  # short\n",
            {"retrieval.l2": 1e-05, "retrieval.loss.kind": "full_softmax", "retrieval.history.layers": 2},
            "retrieval: {l2: 1.0e-05, dim: 8, loss: {kind: full_softmax}, history: {layers: 2, heads: 2},}"
            "  # short\n",
            id="braces",
        ),
        pytest.param(
            "title: x\nacquire:\n  terms: |\n    Free.\n\n",
            {"retrieval.temperature": 0.1, "retrieval.optimizer.kind": "adam"},
            "title: x\nacquire:\n  terms: |\n    Free.\n\nretrieval:\n  temperature: 0.1\n  optimizer:\n"
            "    kind: adam\n\n",
            id="no section yet",
        ),
        pytest.param(
            "retrieval:\n  layers:\n  - 64\n  - 32\n  dim: 8",
            {"retrieval.layers": [128], "retrieval.l2": 0.1},
            "retrieval:\n  layers: [128]\n  dim: 8\n  l2: 0.1\n", id="a list on lines of its own",
        ),
        pytest.param(
            "retrieval:  # empty\nranking:\n", {"retrieval.loss.hard_negatives": None},
            "retrieval: {loss: {hard_negatives: null}}  # empty\nranking:\n", id="an empty section",
        ),
        pytest.param(
            "title: ü\r\nretrieval:\r\n  dim: 8 # größer\r\n", {"retrieval.dim": 9, "retrieval.l2": 0.5},
            "title: ü\r\nretrieval:\r\n  dim: 9 # größer\r\n  l2: 0.5\r\n", id="Windows line ends",
        ),
        pytest.param(
            'retrieval: {"similarity" : "dot"}', {"retrieval.similarity": "cosine"},
            'retrieval: {"similarity" : cosine}', id="quotes",
        ),
    ],
)  # fmt: skip
def test_only_the_settings_change(before, settings, after):
    assert with_settings(before, settings) == after


@pytest.mark.parametrize(
    "text",
    [
        "retrieval:\n  layers:\n  - 64  # first\n  - 32\n",
        "retrieval: &both {layers: [64]}\nranking: *both\n",
        "retrieval: {dim: 1}\nretrieval: {layers: [64]}\n",
    ],
    ids=["a comment within", "an anchor", "a key twice"],
)
def test_what_cannot_be_changed_without_harm_is_left_alone(text):
    assert with_settings(text, {"retrieval.layers": [8]}) is None


def test_settings_are_shown_as_the_file_would_say_them():
    settings = {
        "retrieval.loss.kind": "full_softmax",
        "retrieval.layers": [128],
        "retrieval.loss.in_batch": True,
    }
    text = as_yaml(settings)
    assert text == "retrieval:\n  loss:\n    kind: full_softmax\n    in_batch: true\n  layers: [128]"


def test_a_domain_file_is_rewritten_with_its_comments_and_stays_a_domain(tmp_path):
    target = tmp_path / "domain.yaml"
    target.write_bytes(TINY.read_bytes())
    target.chmod(0o640)
    settings = {"retrieval.temperature": 0.05, "retrieval.optimizer.learning_rate": 0.01}
    write_settings(target, target, settings)
    written = target.read_text()
    assert written.startswith(TINY.read_text().rstrip("\n"))
    assert load_domain(str(tmp_path)).retrieval.optimizer.learning_rate == 0.01
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [target]
    write_settings(target, tmp_path / "copy.yaml", {"retrieval.temperature": 0.5})
    assert target.read_text() == written
    assert yaml.safe_load((tmp_path / "copy.yaml").read_text())["retrieval"]["temperature"] == 0.5


def test_a_file_that_would_be_no_domain_is_not_written(tmp_path):
    target = tmp_path / "domain.yaml"
    before = TINY.read_text() + "retrieval: {history: {encoder: attention}}\n"
    target.write_text(before)
    with pytest.raises(UserError, match="does not divide 'dim'"):
        write_settings(target, target, {"retrieval.history.heads": 7})
    anchored = TINY.read_text() + "retrieval: {layers: &list [8]}\nranking: {layers: *list}\n"
    target.write_text(anchored)
    with pytest.raises(UserError, match=r"Nothing was written: put in by hand\nretrieval:\n  layers: \[9\]"):
        write_settings(target, target, {"retrieval.layers": [9]})
    assert target.read_text() == anchored
    with pytest.raises(UserError, match="cannot write"):
        write_settings(target, tmp_path / "nowhere" / "domain.yaml", {"retrieval.dim": 9})
    assert list(tmp_path.iterdir()) == [target]
