"""What the InfraValidator step runs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.components.infra_validator import executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils

from components.validate_serving.check import check_model
from components.validate_serving.config import ServingConfig
from components.validate_serving.verdict import write_verdict

CONFIG_KEY = "config"


class Executor(executor.Executor):
    """TFX' executor, whose way of ending in order and of marking the blessing it keeps, with another check.

    TFX' own check needs Docker or Kubernetes, and an image of TensorFlow Serving that has the model's ops:
    none with ScaNN's has been published since 2.11, and there is no Docker in a step's container. What
    starts the server there cannot be replaced: a function of the module chooses among those two. It loads
    the model and sees that requests do not fail; it looks neither at answers nor at the clock, does not
    say why it refuses, and waits without an end for each call.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the model, and blesses it or writes down why not; what it finds is no error."""
        self._log_startup(input_dict, output_dict, exec_properties)
        config = ServingConfig.model_validate_json(exec_properties[CONFIG_KEY])
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        with self._InstallGracefulShutdownHandler(), _on_this_machine(model) as path:
            verdict = check_model(path, config)
        write_verdict(verdict, blessing.uri)
        if verdict.blessed:
            executor._mark_blessed(blessing)
        else:
            executor._mark_not_blessed(blessing)
        logging.info("%s\n%s", verdict.in_words(), "\n".join(verdict.reasons))


@contextlib.contextmanager
def _on_this_machine(model: types.Artifact) -> Iterator[Path]:
    """The SavedModel's directory; a copy where the artifact is in an object store."""
    uri = path_utils.serving_model_path(model.uri)
    if os.path.isdir(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "model")
        io_utils.copy_dir(uri, copy)
        yield Path(copy)
