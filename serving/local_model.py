"""A pushed model, loaded into this process and asked through its signatures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

_EXTRA = "assets.extra"


class ModelError(Exception):
    """A model that cannot be loaded, or a request that it does not take."""


class LocalModel:
    """A SavedModel that answers in this process, without a server.

    Attributes:
        path: The version's directory; its name is the version.
    """

    def __init__(self, path: Path) -> None:
        """Load a version.

        Args:
            path: Directory with ``saved_model.pb``.

        Raises:
            ModelError: If it cannot be loaded.
        """
        self.path = path
        if self.description.get("index") == "scann":
            # Registers the operations the graph uses.
            from scann import scann_ops  # noqa: F401
        try:
            self._model = tf.saved_model.load(str(path))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ModelError(f"{path} cannot be loaded as a SavedModel: {error}") from error

    @property
    def version(self) -> str:
        """The version's number, as text."""
        return self.path.name

    @cached_property
    def description(self) -> dict[str, Any]:
        """What the Assembler wrote down about the model: ``declaration``, ``index`` and more.

        Raises:
            ModelError: If the file is absent or damaged.
        """
        file = self.path / _EXTRA / "model.json"
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{file} cannot be read: {error}. Expected a model pushed by Westwork."
            ) from error

    @cached_property
    def catalogue(self) -> pa.Table:
        """One row a candidate: ``id``, ``title`` and what train says of it, by id."""
        return pq.read_table(self.path / _EXTRA / "candidates.parquet")

    @cached_property
    def titles(self) -> dict[str, str]:
        """Candidate id to title."""
        table = self.catalogue
        return dict(zip(table["id"].to_pylist(), table["title"].to_pylist(), strict=True))

    def vocabulary(self, name: str) -> list[str]:
        """The values of ``assets/<name>``, in the order of their indices; empty without such a file."""
        file = self.path / "assets" / name
        return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []

    def input_specs(self, signature: str) -> dict[str, tf.TensorSpec]:
        """Names, dtypes and shapes of a signature's inputs.

        Raises:
            ModelError: If there is no such signature.
        """
        return self._signature(signature).structured_input_signature[1]

    def ask(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Ask a signature.

        Args:
            signature: Its name, such as ``recommend``.
            inputs: Every input by name, as anything that converts to a tensor of its dtype and shape.

        Returns:
            The outputs by name; strings as [...] object arrays of bytes.

        Raises:
            ModelError: If the signature, an input, or the answer fails; names what was expected.
        """
        specs = self.input_specs(signature)
        if set(specs) != set(inputs):
            raise ModelError(
                f"signature {signature!r} takes {', '.join(sorted(specs))}; "
                f"missing: {', '.join(sorted(set(specs) - set(inputs))) or 'none'}; "
                f"unknown: {', '.join(sorted(set(inputs) - set(specs))) or 'none'}"
            )
        tensors = {name: self._tensor(specs[name], value, name) for name, value in inputs.items()}
        try:
            outputs = self._signature(signature)(**tensors)
        except tf.errors.OpError as error:
            raise ModelError(f"signature {signature!r} failed: {error.message}") from error
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def _signature(self, name: str) -> Any:
        signatures = self._model.signatures
        if name not in signatures:
            raise ModelError(f"{self.path} has no signature {name!r}; it has {', '.join(sorted(signatures))}")
        return signatures[name]

    @staticmethod
    def _tensor(spec: tf.TensorSpec, value: Any, name: str) -> tf.Tensor:
        try:
            tensor = tf.convert_to_tensor(value, dtype=spec.dtype)
        except (TypeError, ValueError) as error:
            raise ModelError(f"input {name!r}: found {value!r}, expected {spec.dtype.name}") from error
        if not spec.shape.is_compatible_with(tensor.shape):
            raise ModelError(f"input {name!r}: found shape {tensor.shape}, expected {spec.shape}")
        return tensor
