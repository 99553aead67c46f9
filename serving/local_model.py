"""A pushed model, loaded into this process and asked through its signatures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.answer import Answered
from serving.loaded_model import LoadedModel
from serving.model_files import ModelFiles
from serving.tensors import Signature


class LocalModel:
    """A version that answers in this process, without a server.

    Attributes:
        files: What stands beside its graph.
    """

    def __init__(self, path: Path) -> None:
        """Load a version.

        Args:
            path: Directory with ``saved_model.pb``.

        Raises:
            ModelError: If it cannot be loaded.
        """
        self.files = ModelFiles(path)
        self._model = LoadedModel(path)

    @property
    def place(self) -> str:
        """Where it is."""
        return str(self.files.path)

    def signature(self, name: str) -> Signature:
        """Names, dtypes and shapes of a signature's inputs and outputs.

        Raises:
            RequestError: If there is no such signature.
        """
        return self._model.signature(name)

    def ask(self, signature: str, inputs: Mapping[str, Any]) -> Answered:
        """Ask a signature; see :meth:`LoadedModel.ask`."""
        return Answered(self.files.version, self._model.ask(signature, inputs))
