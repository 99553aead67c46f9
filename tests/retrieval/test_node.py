"""Where an unfinished training is kept."""

import pytest
from tfx.types import standard_artifacts

from components.retrieval.node import _resume_dir

INPUTS = {"examples": ["/root/InteractionTransform/examples/4"], "schema": ["/root/Schema/schema/2"]}
SETTINGS = {"custom_config": '{"config": {"dim": 64}}', "run_fn": "components.retrieval.trainer.run_fn"}


def artifact(kind, uri):
    made = kind()
    made.uri = uri
    return made


def resume_dir(attempt=7, inputs=INPUTS, settings=SETTINGS):
    """Of the attempt with this number, which has outputs of its own."""
    outputs = {"model": [artifact(standard_artifacts.Model, f"/root/RetrievalTrainer/model/{attempt}")]}
    given = {
        key: [artifact(standard_artifacts.Examples, uri) for uri in uris] for key, uris in inputs.items()
    }
    return _resume_dir(given, outputs, settings)


def test_another_attempt_at_the_same_finds_what_the_first_one_left():
    assert resume_dir(7) == resume_dir(8)
    assert resume_dir().startswith("/root/RetrievalTrainer/unfinished/")


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": {**SETTINGS, "custom_config": '{"config": {"dim": 32}}'}},
        {"inputs": {**INPUTS, "examples": ["/root/InteractionTransform/examples/9"]}},
    ],
    ids=["settings", "data"],
)
def test_other_data_or_settings_start_anew(changed):
    assert resume_dir(**changed) != resume_dir()


def test_the_order_in_which_inputs_and_settings_come_is_no_change():
    backwards = dict(reversed(INPUTS.items())), dict(reversed(SETTINGS.items()))
    assert resume_dir(inputs=backwards[0], settings=backwards[1]) == resume_dir()
