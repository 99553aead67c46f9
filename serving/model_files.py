"""What the Assembler writes beside a model's graph."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from serving.contract import DESCRIPTION_FILE, EXTRA, LINE_BREAKS
from serving.errors import ModelError

_EMBEDDINGS = "exact/embeddings/.ATTRIBUTES/VARIABLE_VALUE"
"""The candidates' embeddings among a SavedModel's variables, see ``components.assemble.recommender``."""


class ModelFiles:
    """A pushed version's files, without loading the model.

    Attributes:
        path: The version's directory; its name is the version.
    """

    def __init__(self, path: Path) -> None:
        """The files of one version.

        Args:
            path: Its directory. Nothing is read before it is asked for.
        """
        self.path = path

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
        file = self.path / EXTRA / DESCRIPTION_FILE
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{file} cannot be read: {error}. Expected a model pushed by Westwork."
            ) from error

    @cached_property
    def catalogue(self) -> pa.Table:
        """One row a candidate: ``id``, ``title``, ``features`` and what train says of it, by id.

        Raises:
            ModelError: If the file is absent or damaged.
        """
        file = self.path / EXTRA / "candidates.parquet"
        try:
            table = pq.read_table(file)
        except (OSError, pa.ArrowException) as error:
            raise ModelError(
                f"{file} cannot be read: {error}. Expected a model pushed by Westwork."
            ) from error
        if not {"id", "title"} <= set(table.column_names):
            raise ModelError(
                f"{file} has columns {', '.join(table.column_names)}. Expected id and title, as in a model "
                "pushed by Westwork."
            )
        return table

    @cached_property
    def titles(self) -> dict[str, str]:
        """Candidate id to title.

        Raises:
            ModelError: See :attr:`catalogue`.
        """
        table = self.catalogue
        return dict(zip(table["id"].to_pylist(), table["title"].to_pylist(), strict=True))

    def embeddings(self) -> np.ndarray:
        """The candidates' embeddings, float32 [candidates, width], in the order of :attr:`catalogue`.

        Read anew at each call: they are the largest part of a model.

        Raises:
            ModelError: If the model's variables are absent or damaged, or are not those of a recommender.
        """
        prefix = self.path / "variables" / "variables"
        try:
            return tf.train.load_checkpoint(str(prefix)).get_tensor(_EMBEDDINGS)
        except (ValueError, RuntimeError, tf.errors.OpError) as error:
            raise ModelError(
                f"the embeddings in {prefix}.* cannot be read: {error}. Expected a model pushed by Westwork."
            ) from error

    def vocabulary(self, name: str) -> list[str]:
        """The values of ``assets/<name>``, in the order of their indices; empty without such a file.

        Raises:
            ModelError: If the file is damaged.
        """
        file = self.path / "assets" / name
        try:
            # Not splitlines, which also cuts at what Unicode calls the end of a line.
            text = file.read_text(encoding="utf-8") if file.is_file() else ""
            lines = text.removesuffix("\n").split("\n") if text else []
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"{file} cannot be read: {error}. Expected a model pushed by Westwork."
            ) from error
        for sign, picture in LINE_BREAKS.items():
            lines = [line.replace(picture, sign) for line in lines]
        return lines
