"""The tiny bookshop, ingested by the real executors."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.ingest.declaration import Declaration

TINY = Path(__file__).parent.parent / "fixtures" / "tiny"
# Without an image TFX would build a package of this project for workers that there are not.
BEAM_ARGS = ["--runner=FnApiRunner", "--direct_num_workers=1", "--sdk_container_image=none"]


def _declare(**changes: Any) -> Declaration:
    """The bookshop's declaration, with top-level sections replaced or their keys updated."""
    content = yaml.safe_load((TINY / "domain.yaml").read_text())
    content = {key: content[key] for key in content if key in Declaration.model_fields}
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            content[key] = {**content[key], **value}
        elif value is None:
            content.pop(key, None)
        else:
            content[key] = value
    return Declaration(**content)


@pytest.fixture(scope="session")
def declare() -> Callable[..., Declaration]:
    """Makes the bookshop's declaration; see :func:`_declare`."""
    return _declare


@pytest.fixture(scope="session")
def beam_args() -> list[str]:
    """Beam's arguments for a pipeline inside this process."""
    return BEAM_ARGS


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The bookshop's domain directory."""
    return TINY


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A data directory of one's own with the bookshop's tables."""
    directory = tmp_path / "shop"
    directory.mkdir()
    for file in TINY.glob("*.csv"):
        shutil.copy(file, directory)
    return directory


def _execute(executor_class: Any, node: Any, uri: Path) -> Any:
    """Runs a node's executor as TFX would, after the driver; returns the Examples artifact."""
    # Here and below: TFX and TensorFlow take seconds to load; tests without executors need not wait for that.
    from tfx.types import standard_artifacts

    examples = standard_artifacts.Examples()
    examples.uri = str(uri)
    uri.mkdir(parents=True)
    context = executor_class.Context(
        beam_pipeline_args=BEAM_ARGS, tmp_dir=str(uri.parent / "tmp"), unique_id="1"
    )
    executor_class(context).Do({}, {"examples": [examples]}, dict(node.exec_properties))
    return examples


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[..., Path]:
    """Runs InteractionGen's executor; returns the artifact's directory."""
    from tfx.types import artifact_utils
    from tfx.v1 import proto

    from components.ingest import interactions
    from components.ingest.nodes import interaction_gen

    runs = iter(range(100))

    def run(data_dir: Path, declaration: Declaration | None = None) -> Path:
        uri = tmp_path / "InteractionGen" / "examples" / str(next(runs))
        node = interaction_gen(declaration or _declare(), str(data_dir))
        examples = _execute(interactions.Executor, node, uri)
        assert artifact_utils.decode_split_names(examples.split_names) == ["train", "eval", "test"]
        assert examples.get_string_custom_property("payload_format") == proto.PayloadFormat.Name(
            proto.PayloadFormat.FORMAT_TF_EXAMPLE
        )
        return uri

    return run


@pytest.fixture
def ingest_candidates(tmp_path: Path) -> Callable[..., Path]:
    """Runs CandidateGen's executor; returns the artifact's directory."""
    from components.ingest import candidates
    from components.ingest.nodes import candidate_gen

    def run(data_dir: Path, declaration: Declaration | None = None) -> Path:
        uri = tmp_path / "CandidateGen" / "examples" / "1"
        _execute(candidates.Executor, candidate_gen(declaration or _declare(), str(data_dir)), uri)
        return uri

    return run


@pytest.fixture
def read_split() -> Callable[[Path, str], list[dict[str, list]]]:
    """Reads a split as one dict an example: feature to list of values, bytes as text."""
    import tensorflow as tf

    def read(uri: Path, split: str) -> list[dict[str, list]]:
        files = sorted(str(path) for path in (uri / f"Split-{split}").glob("*.gz"))
        records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
        return [_values(tf.train.Example.FromString(record)) for record in records]

    return read


def _values(example: Any) -> dict[str, list]:
    result = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        result[name] = [value.decode() if isinstance(value, bytes) else value for value in values]
    return result
