"""A version appears whole, or not at all."""

from __future__ import annotations

import time

import pytest
from tfx.components.util import model_utils
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.ingest.errors import UserError
from components.push.pusher import Executor, push


@pytest.fixture
def model(tmp_path):
    saved = tmp_path / "model" / "Format-Serving"
    (saved / "variables").mkdir(parents=True)
    (saved / "saved_model.pb").write_text("graph")
    (saved / "variables" / "variables.index").write_text("weights")
    return saved


def run(tmp_path, destination, blessed, servable=True):
    artifacts = {}
    for kind, name in (
        *(("Model", "model"), ("ModelBlessing", "blessing")),
        *(("InfraBlessing", "infra_blessing"), ("PushedModel", "pushed")),
    ):
        artifacts[name] = getattr(standard_artifacts, kind)()
        artifacts[name].uri = str(tmp_path / name)
    artifacts["blessing"].set_int_custom_property("blessed", int(blessed))
    artifacts["infra_blessing"].set_int_custom_property("blessed", int(servable))
    assert model_utils.is_model_blessed(artifacts["blessing"]) == blessed
    filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=str(destination))
    Executor().Do(
        {
            "model": [artifacts["model"]],
            "model_blessing": [artifacts["blessing"]],
            "infra_blessing": [artifacts["infra_blessing"]],
        },
        {"pushed_model": [artifacts["pushed"]]},
        {"push_destination": proto_utils.proto_to_json(pusher_pb2.PushDestination(filesystem=filesystem))},
    )
    return artifacts["pushed"]


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


def test_a_blessed_model_becomes_the_newest_version(tmp_path, model):
    before = int(time.time())
    pushed = run(tmp_path, tmp_path / "serving", blessed=True)
    (version,) = names(tmp_path / "serving")
    assert before <= int(version) <= int(time.time())
    assert (tmp_path / "serving" / version / "variables" / "variables.index").read_text() == "weights"
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_version") == version
    assert pushed.get_string_custom_property("pushed_destination") == str(tmp_path / "serving" / version)
    assert (tmp_path / "pushed" / "saved_model.pb").exists()


@pytest.mark.parametrize(("blessed", "servable"), [(False, True), (True, False), (False, False)])
def test_a_model_without_both_blessings_leaves_the_earlier_version_in_place(
    tmp_path, model, blessed, servable
):
    (tmp_path / "serving" / "7").mkdir(parents=True)
    pushed = run(tmp_path, tmp_path / "serving", blessed, servable)
    assert names(tmp_path / "serving") == ["7"]
    assert pushed.get_int_custom_property("pushed") == 0


def test_a_version_is_always_newer_than_those_there(tmp_path, model):
    future = int(time.time()) + 10_000
    (tmp_path / "serving" / str(future)).mkdir(parents=True)
    assert push(str(model), str(tmp_path / "serving")) == str(future + 1)
    assert push(str(model), str(tmp_path / "serving")) == str(future + 2)


def test_a_copy_that_fails_leaves_no_version(tmp_path, model, monkeypatch):
    (tmp_path / "serving" / "7").mkdir(parents=True)
    seen = []

    def full_disk(source, target, overwrite=False):
        seen.append(names(tmp_path / "serving"))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fileio, "copy", full_disk)
    with pytest.raises(
        UserError, match=r"could not write .*serving.*No space left on device.*room for the model"
    ):
        run(tmp_path, tmp_path / "serving", blessed=True)
    assert names(tmp_path / "serving") == ["7"]
    # While it was being written the model had a name no server takes for a version.
    assert [name.startswith(".") for name in seen[0] if name != "7"] == [True]


def test_what_a_killed_push_left_is_removed(tmp_path, model):
    (tmp_path / "serving" / ".123.part").mkdir(parents=True)
    (tmp_path / "serving" / ".hidden").mkdir()
    version = push(str(model), str(tmp_path / "serving"))
    assert names(tmp_path / "serving") == [".hidden", version]


def test_a_destination_that_cannot_be_made_is_the_users_to_mend(tmp_path, model):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file/serving.*Make it writable, or choose another one"):
        run(tmp_path, tmp_path / "file" / "serving", blessed=True)
