"""Which version of a model answers, through swaps, pins, labels and damage."""

import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from running_server import running
from tensorflow_serving.apis import model_pb2
from tiny_model import inputs_of, save

from serving.errors import ModelError, RequestError
from serving.loaded_model import LoadedModel
from serving.registry import Registry
from serving.versions import ModelConfig, ServedModel, State


def _refreshed(base: Path, **config) -> ServedModel:
    model = ServedModel(ModelConfig("tiny", base, **config))
    model.refresh()
    return model


def _answering(model: ServedModel, version: int | None = None, label: str | None = None) -> int:
    lease = model.lease(version, label)
    scores = lease.model.ask("recommend", inputs_of())["scores"]
    lease.release()
    assert round(float(scores[0, 0]) * 1000) % 1000 == lease.version
    return lease.version


def _add(saved: Path, base: Path, version: int = 2) -> Path:
    """A version pushed as it should be: aside, then renamed."""
    shutil.copytree(saved / str(version), base / ".part")
    return (base / ".part").rename(base / str(version))


def _status(model: ServedModel, version: int):
    return next(status for status in model.statuses() if status.version == version)


def test_the_newest_version_answers_and_a_newer_one_takes_its_place(base, saved):
    (base / "notes").mkdir()
    model = _refreshed(base)
    assert _answering(model) == 1
    _add(saved, base)
    model.refresh(at_once=True)
    assert (_answering(model), model.available) == (2, (2,))
    model.close()
    assert (_status(model, 1).state, _status(model, 1).error) == (State.END, None)


@pytest.mark.parametrize("name", [str(2**63), "20261130223944123456", "9" * 40])
def test_a_folder_whose_number_the_protocol_cannot_say_is_passed_over_with_one_warning(
    base, saved, caplog, name
):
    shutil.copytree(saved / "2", base / name)
    model = _refreshed(base)
    model.refresh(at_once=True)
    assert (_answering(model), model.available) == (1, (1,))
    assert [record.levelname for record in caplog.records if name in record.getMessage()] == ["WARNING"]
    model.close()


def test_the_greatest_version_that_the_protocol_can_say_answers(base, saved):
    shutil.copytree(saved / "2", base / str(2**63 - 1))
    model = _refreshed(base)
    assert model.available == (2**63 - 1,)
    model.close()


def test_a_new_version_is_loaded_once_its_files_have_stopped_changing(base, saved):
    model = _refreshed(base)
    path = _add(saved, base)
    model.refresh()
    (path / "assets.extra" / "more").write_text("still being copied")
    model.refresh()
    assert _answering(model) == 1
    model.refresh()
    assert _answering(model) == 2
    model.close()


def _no_graph(path: Path):
    (path / "saved_model.pb").unlink()


def _cut_graph(path: Path):
    file = path / "saved_model.pb"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _noise_for_graph(path: Path):
    (path / "saved_model.pb").write_bytes(b"not a protocol buffer")


def _no_index(path: Path):
    (path / "variables" / "variables.index").unlink()


def _no_data(path: Path):
    next((path / "variables").glob("*.data*")).unlink()


def _cut_data(path: Path):
    file = next((path / "variables").glob("*.data*"))
    file.write_bytes(file.read_bytes()[:10])


def _cut_warmup(path: Path):
    file = path / "assets.extra" / "tf_serving_warmup_requests"
    file.write_bytes(file.read_bytes()[:20])


def _nothing(path: Path):
    shutil.rmtree(path)
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_nothing, "saved_model.pb cannot be read"),
        (_no_graph, "saved_model.pb cannot be read"),
        (_cut_graph, "saved_model.pb is damaged"),
        (_noise_for_graph, "saved_model.pb is damaged"),
        (_no_index, "no variables/variables.index"),
        (_no_data, "cannot be loaded"),
        (_cut_data, "cannot be loaded"),
        (_cut_warmup, "tf_serving_warmup_requests is damaged"),
    ],
)
def test_a_damaged_version_replaces_nothing_is_reported_and_recovers(base, saved, caplog, damage, told):
    model = _refreshed(base)
    path = _add(saved, base)
    damage(path)
    model.refresh(at_once=True)
    assert _answering(model) == 1
    status = _status(model, 2)
    assert status.state == State.END and told in status.error
    assert told in caplog.text
    caplog.clear()
    model.refresh(at_once=True)
    assert not caplog.text, "a version that has not changed is not tried again"
    shutil.rmtree(path)
    shutil.copytree(saved / "2", path)
    model.refresh(at_once=True)
    assert _answering(model) == 2
    assert _status(model, 2).error is None
    model.close()


def test_a_version_whose_warm_up_fails_is_not_served(base):
    save(base / "3", 3, warm_k=0)
    model = _refreshed(base)
    assert _answering(model) == 1
    assert "request 1 fails: signature 'recommend' failed: k must be at least 1" in _status(model, 3).error
    model.close()


def test_a_pinned_version_answers_though_there_is_a_newer_one(saved):
    model = _refreshed(saved, versions=frozenset({1}))
    assert model.available == (1,)
    model.close()


def test_a_deleted_newest_version_gives_way_to_the_one_before(saved, base):
    path = _add(saved, base)
    model = _refreshed(base)
    assert _answering(model) == 2
    shutil.rmtree(path)
    model.refresh(at_once=True)
    assert _answering(model) == 1
    shutil.rmtree(base)
    model.refresh(at_once=True)
    assert _answering(model) == 1, "with nothing to replace it, it goes on"
    model.close()


def test_labels_are_served_beside_the_newest(saved):
    model = _refreshed(saved, labels={"stable": 1})
    assert (model.available, _answering(model), _answering(model, label="stable")) == ((1, 2), 2, 1)
    with pytest.raises(RequestError, match="no version labelled 'canary'; labels: stable"):
        model.lease(None, "canary")
    with pytest.raises(RequestError, match="version 9 of model 'tiny' is not available; available: 1, 2"):
        model.lease(9, None)
    model.close()


@pytest.mark.parametrize(("name", "version"), [("7", 7), ("exported", 1)])
def test_a_saved_model_without_a_version_folder_is_one_version(saved, tmp_path, name, version):
    shutil.copytree(saved / "1", tmp_path / name)
    model = _refreshed(tmp_path / name)
    assert model.available == (version,)
    model.close()


def test_a_replaced_version_is_closed_only_after_its_last_request_and_holds_up_no_other(saved, base):
    model = _refreshed(base)
    lease = model.lease(None, None)
    _add(saved, base)
    model.refresh(at_once=True)
    assert (_answering(model), _status(model, 1).state) == (2, State.UNLOADING)
    assert lease.model.ask("recommend", inputs_of())["scores"].shape == (1, 3)
    lease.release()
    model.close()
    assert _status(model, 1).state == State.END


def test_a_closed_version_leaves_no_graph_in_memory(saved):
    model = LoadedModel(saved / "1")
    model.ask("recommend", inputs_of())
    graph = weakref.ref(model._session.graph)
    model.close()
    assert graph() is None


def test_a_reload_that_cannot_be_had_changes_nothing_that_answers(saved, base):
    config = ModelConfig("tiny", base)
    registry = Registry([config])
    registry.refresh(at_once=True)
    spec = model_pb2.ModelSpec(name="tiny")

    def refused(**changes) -> str:
        with pytest.raises(RequestError) as error:
            registry.reload([replace(config, **changes)])
        assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION
        lease = registry.lease(spec)
        lease.release()
        assert lease.version == 1
        return str(error.value)

    assert (
        f"version 5 of model 'tiny' is not available: there is no such version in {base}; there: 1"
        in refused(versions=frozenset({5}))
    )
    registry.reload([replace(config, labels={"stable": 1})])
    assert "label 'canary' of model 'tiny' is of version 2" in refused(labels={"stable": 1, "canary": 2})
    assert "label 'stable' of model 'tiny' is of version 77" in refused(labels={"stable": 77})
    labelled = model_pb2.ModelSpec(name="tiny", version_label="stable")
    lease = registry.lease(labelled)
    assert lease.version == 1, "labels, too, are what they were"
    lease.release()
    (base.parent / "empty").mkdir()
    assert "no version of model 'tiny' is available" in refused(base_path=base.parent / "empty")
    registry.reload([replace(config, base_path=saved), ModelConfig("other", base)])
    assert {name: model.available for name, model in registry.models.items()} == {"tiny": (2,), "other": (1,)}
    registry.reload([ModelConfig("other", base)])
    with pytest.raises(RequestError, match="there is no model 'tiny'; served: other"):
        registry.lease(spec)
    registry.close()


def test_a_server_without_a_good_version_does_not_start(base):
    _noise_for_graph(base / "1")
    with (
        pytest.raises(ModelError, match=r"no version of model 'tiny' is available: .*is damaged"),
        running(base),
    ):
        pass
    shutil.rmtree(base / "1")
    with pytest.raises(ModelError, match=r"found none in .*, expected directories named"), running(base):
        pass


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"versions": frozenset({1, 4})}, r"version 4 of model 'tiny' is not available: .*; there: 1$"),
        ({"labels": {"canary": 3}}, r"label 'canary' of model 'tiny' is of version 3, .*; there: 1$"),
    ],
)
def test_a_server_does_not_start_without_a_version_it_is_asked_for(base, asked, told):
    with pytest.raises(ModelError, match=told), running(base, **asked):
        pass
