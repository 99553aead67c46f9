"""The model now being served, as the baseline a new one is held against."""

from __future__ import annotations

import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils, path_utils

from serving.contract import is_version

_MODEL_FILE = "saved_model.pb"


def newest_version(base_directory: str) -> int | None:
    """Returns the greatest version in a serving directory; None without any, or without the directory.

    Which folders are versions, :func:`serving.contract.is_version` says.
    """
    return max(_versions(base_directory), default=None)


def newest_model(base_directory: str) -> int | None:
    """Return the greatest version that holds a model: a folder whose files are gone serves nothing."""
    return max(
        (
            version
            for version in _versions(base_directory)
            if fileio.exists(os.path.join(base_directory, str(version), _MODEL_FILE))
        ),
        default=None,
    )


def _versions(base_directory: str) -> list[int]:
    if not fileio.isdir(base_directory):
        return []
    # On object stores a listed directory's name ends in a slash.
    names = (str(name).rstrip("/") for name in fileio.listdir(base_directory))
    return [int(name) for name in names if is_version(name)]


def has_model(artifact: types.Artifact) -> bool:
    """Whether a Model artifact holds a SavedModel to serve."""
    return fileio.exists(os.path.join(path_utils.serving_model_path(artifact.uri), _MODEL_FILE))


class BaselineResolverSpec(ComponentSpec):
    """Interface of BaselineResolver."""

    PARAMETERS = {"push_destination": ExecutionParameter(type=str)}
    INPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}
    OUTPUTS = {"baseline": ChannelParameter(type=standard_artifacts.Model)}


class Executor(base_executor.BaseExecutor):
    """Copies the newest pushed version."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Fills the output ``baseline``, or leaves it without a model where nothing has been pushed.

        A copy, because the serving directory's versions come and go while the artifact must not.
        """
        baseline = artifact_utils.get_single_instance(output_dict["baseline"])
        destination = exec_properties["push_destination"]
        version = newest_model(destination)
        if version is None:
            fileio.makedirs(baseline.uri)
            return
        io_utils.copy_dir(
            os.path.join(destination, str(version)), path_utils.serving_model_path(baseline.uri)
        )
        baseline.set_string_custom_property("pushed_version", str(version))


class BaselineResolver(base_component.BaseComponent):
    """Node whose output ``baseline`` is the newest pushed model.

    A component, not a TFX Resolver: it runs wherever components run, and what it found is cached with
    the model under evaluation, so that a repeated run does not hold that model, pushed by then, against
    itself.
    """

    SPEC_CLASS = BaselineResolverSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, model: types.BaseChannel, push_destination: str):
        """Creates the node.

        Args:
            model: the model under evaluation.
            push_destination: the Pusher's base directory.
        """
        super().__init__(
            spec=BaselineResolverSpec(
                model=model,
                push_destination=push_destination,
                baseline=types.Channel(type=standard_artifacts.Model),
            )
        )
