"""The Pusher node: a blessed model appears in the serving directory all at once, or not at all."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging
from tfx import types
from tfx.components import Pusher as TfxPusher
from tfx.components.pusher import executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils
from tfx.v1 import proto

from components.evaluate.baseline import newest_version
from components.ingest.errors import UserError

_PART = ".part"


class Executor(executor.Executor):
    """Writes a new version aside, on the same file system, and renames it into place.

    TensorFlow Serving, which watches the directory, takes only whole numbers for versions: it never
    sees the part. Pushes to one directory must not overlap; the next one removes what a killed one left.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if the Evaluator and the InfraValidator have blessed it.

        Raises:
            UserError: if the destination cannot be written.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = proto.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        base_directory = destination.filesystem.base_directory
        model_path = self.GetModelPath(input_dict)
        with _blaming(base_directory):
            version = push(model_path, base_directory)
        # TFX keeps a copy with the artifact, so that the lineage outlives the serving directory.
        io_utils.copy_dir(model_path, pushed.uri)
        self._MarkPushed(
            pushed, pushed_destination=os.path.join(base_directory, version), pushed_version=version
        )


def push(model_path: str, base_directory: str) -> str:
    """Copies a SavedModel to a new version of a serving directory, atomically on file systems that rename so.

    Args:
        model_path: the SavedModel's directory.
        base_directory: the serving directory; made if absent.

    Returns:
        The version: the time in seconds since 1970, or one more than the newest version if that is later.
    """
    fileio.makedirs(base_directory)
    for name in fileio.listdir(base_directory):
        name = str(name).rstrip("/")
        if name.startswith(".") and name.endswith(_PART):
            fileio.rmtree(os.path.join(base_directory, name))
    newest = newest_version(base_directory)
    version = str(max(int(time.time()), -1 if newest is None else newest + 1))
    part = os.path.join(base_directory, f".{version}{_PART}")
    try:
        io_utils.copy_dir(model_path, part)
        fileio.rename(part, os.path.join(base_directory, version))
    except BaseException:
        with contextlib.suppress(Exception):
            fileio.rmtree(part)
        raise
    logging.info("Pushed %s as version %s of %s", model_path, version, base_directory)
    return version


@contextlib.contextmanager
def _blaming(base_directory: str) -> Iterator[None]:
    """Turns a file system's refusal into advice."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"could not write the model to the serving directory {base_directory}: {error}. "
            "Expected a directory this process may write to, with room for the model. "
            "Make it writable, or choose another one, then run again; finished steps are not repeated."
        ) from error


class Pusher(TfxPusher):
    """TFX' Pusher with this room's executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def pusher(
    model: types.BaseChannel,
    blessing: types.BaseChannel,
    infra_blessing: types.BaseChannel,
    push_destination: str,
) -> Pusher:
    """Returns the node ``Pusher``, which pushes what has both blessings.

    Args:
        model: the Assembler's output.
        blessing: the Evaluator's output.
        infra_blessing: the InfraValidator's output.
        push_destination: base directory of the versions.
    """
    return Pusher(
        model=model,
        model_blessing=blessing,
        infra_blessing=infra_blessing,
        push_destination=proto.PushDestination(
            filesystem=proto.PushDestination.Filesystem(base_directory=push_destination)
        ),
    )
