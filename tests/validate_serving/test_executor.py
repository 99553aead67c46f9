"""The step on small models that really are served: what is good, and each way not to be."""

import shutil
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tensorflow.core.protobuf import saved_model_pb2
from tfx.components.util import model_utils
from tfx.types import standard_artifacts

from components.validate_serving import check
from components.validate_serving.config import ServingConfig
from components.validate_serving.executor import Executor
from components.validate_serving.server_process import ServerFailed, ServerProcess
from components.validate_serving.verdict import read_verdict

# tests/ is no package; the small model is found by its folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "serving"))

from tiny_model import CATALOGUE, save


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A Model artifact's directory. Not to be changed."""
    folder = tmp_path_factory.mktemp("good")
    save(folder / "Format-Serving", version=1)
    write_catalogue(folder, [f"c{i}" for i in range(CATALOGUE)])
    return folder


@pytest.fixture
def copy(good, tmp_path) -> Path:
    """A Model artifact's directory to be spoilt."""
    return Path(shutil.copytree(good, tmp_path / "model"))


def write_catalogue(model: Path, ids: list[str]) -> None:
    pq.write_table(
        pa.table({"id": ids, "title": ids}), model / "Format-Serving" / "assets.extra" / "candidates.parquet"
    )


def validate(model: Path, folder: Path, **settings):
    """Runs the executor; returns the verdict, having seen that Pusher takes the blessing for the same."""
    artifacts = {"model": standard_artifacts.Model(), "blessing": standard_artifacts.InfraBlessing()}
    artifacts["model"].uri, artifacts["blessing"].uri = str(model), str(folder / "blessing")
    config = ServingConfig(**settings).model_dump_json()
    Executor().Do({"model": [artifacts["model"]]}, {"blessing": [artifacts["blessing"]]}, {"config": config})
    verdict = read_verdict(artifacts["blessing"].uri)
    assert model_utils.is_infra_validated(artifacts["blessing"]) == verdict.blessed
    assert (folder / "blessing" / "INFRA_BLESSED").exists() == verdict.blessed
    return verdict


def refused(model: Path, folder: Path, **settings) -> str:
    """The one reason that a model was refused for."""
    verdict = validate(model, folder, **settings)
    assert not verdict.blessed
    (reason,) = verdict.reasons
    return reason


def test_a_model_that_answers_is_blessed_and_its_latency_is_known(good, tmp_path):
    verdict = validate(good, tmp_path, target="tensorflow_serving")
    assert verdict.blessed
    (latency,) = verdict.latencies
    assert latency.request == "recommend of 1 row"
    assert 0 < latency.p50_ms <= latency.p99_ms and latency.calls > 1
    assert verdict.in_words().startswith(
        "recorded requests answered over gRPC: 1; slowest recommend of 1 row: p50 "
    )


def test_answers_that_are_not_numbers_or_not_of_the_catalogue_are_refused(copy, tmp_path):
    shutil.rmtree(copy / "Format-Serving")
    save(copy / "Format-Serving", version=float("nan"))
    write_catalogue(copy, [f"d{i}" for i in range(CATALOGUE)])
    assert refused(copy, tmp_path).splitlines() == [
        "recommend of 1 row: candidate_ids: 'c0', 'c1', 'c2' and 2 more are not in the catalogue of 50 "
        "candidates",
        "recommend of 1 row: output 'scores' is no finite number in 5 of 5 places",
    ]


def test_a_model_that_is_too_slow_is_refused_with_the_setting_that_says_so(good, tmp_path):
    reason = refused(good, tmp_path, latency_p50_ms=0.0001)
    assert reason.startswith("too slow: recommend of 1 row: p50 ")
    assert "where serving.latency_p50_ms allows 0.0001" in reason


def test_a_model_that_does_not_load_is_refused_with_the_servers_last_lines(copy, tmp_path):
    index = copy / "Format-Serving" / "variables" / "variables.index"
    index.write_bytes(b"damaged" + index.read_bytes())
    reason = refused(copy, tmp_path)
    first, second, *lines = reason.splitlines()
    assert first == "the model cannot be served"
    assert second == "the server ended with code 1; its last lines:"
    assert any("cannot be loaded as a SavedModel" in line for line in lines)
    assert any("checksum mismatch" in line for line in lines)


class Dying(ServerProcess):
    """Is killed as soon as its model is available."""

    def wait_until_available(self, deadline):
        target = super().wait_until_available(deadline)
        self._process.kill()
        self._process.wait()
        return target


def test_a_server_that_dies_while_it_is_asked_is_told_with_its_last_lines(good, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "ServerProcess", Dying)
    first, second, *lines = refused(good, tmp_path).splitlines()
    assert first.startswith("no server answers at 127.0.0.1:")
    assert second == "SIGKILL ended the server; its last lines:"
    assert "version 1 is available, 1 requests of warm-up replayed" in lines[-1]


def test_a_server_that_is_not_there_in_time_is_given_up_and_ended(good, tmp_path):
    server = ServerProcess(good / "Format-Serving", tmp_path / "server.log")
    before = time.monotonic()
    with pytest.raises(ServerFailed, match="was not available within"), server:
        server.wait_until_available(before + 0.2)
    assert time.monotonic() - before < 5
    assert server._process.returncode is not None


def test_a_damaged_graph_is_refused_before_a_server_is_started(copy, tmp_path):
    (copy / "Format-Serving" / "saved_model.pb").write_bytes(b"\xff\xffnot a model")
    assert "saved_model.pb cannot be read" in refused(copy, tmp_path)


@pytest.mark.parametrize(
    ("op", "target", "complaint"),
    [
        (
            "Scann>ScannSearch",
            "tensorflow_serving",
            "serving.target tensorflow_serving (tensorflow/serving) cannot load the model: it has no "
            "Scann>ScannSearch. Set assemble.index to ivf",
        ),
        ("Mystery", "tensorflow_serving_scann", "it has no Mystery. Express the model in stock ops."),
        ("Mystery", "westwork", "serving.target westwork (westwork serve) cannot load the model"),
    ],
)
def test_ops_that_the_target_lacks_are_refused_before_a_server_is_started(
    copy, tmp_path, op, target, complaint
):
    file = copy / "Format-Serving" / "saved_model.pb"
    content = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in content.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = op if node.op == "TopKV2" else node.op
    file.write_bytes(content.SerializeToString())
    assert complaint in refused(copy, tmp_path, target=target)


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("tf_serving_warmup_requests", "has no recorded requests to be checked with"),
        ("candidates.parquet", "has no catalogue whose ids can be read"),
    ],
)
def test_a_model_without_what_it_is_checked_with_is_refused(copy, tmp_path, file, complaint):
    (copy / "Format-Serving" / "assets.extra" / file).unlink()
    assert complaint in refused(copy, tmp_path)
