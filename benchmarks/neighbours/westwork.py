"""The product's indices, as the Assembler builds them and the embedded server asks them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.neighbours.contender import Contender
from benchmarks.neighbours.knobs import Setting
from benchmarks.neighbours.problem import K, Problem
from components.assemble.build_index import TuningQueries, build_index
from components.assemble.config import AssembleConfig, IndexKind
from serving.contract import DESCRIPTION_FILE, EXTRA
from serving.loaded_model import LoadedModel

_SIGNATURE = "search"
_OUTPUTS = ("rows", "scores")
_REPORT = "setting.json"


class Westwork(Contender):
    """A SavedModel of one signature: embeddings and k in, rows and scores out."""

    def __init__(self, kind: IndexKind):
        """Takes the kind of index."""
        self._kind = kind

    def build(self, problem: Problem, folder: Path, target: float) -> None:
        """Builds and tunes by the product's own tuner."""
        queries = TuningQueries(problem.tuning, "queries for tuning")
        # Even a small catalogue is to have the index that is compared.
        config = AssembleConfig(index=self._kind, ann_recall=target, tune_k=K, exact_below=0)
        built = build_index(tf.constant(problem.vectors), queries, config)
        module = tf.Module()
        module.index = built.index
        width = problem.vectors.shape[1]

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, width], tf.float32, name="queries"),
                tf.TensorSpec([], tf.int32, name="k"),
            ]
        )
        def search(queries: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
            scores, rows = built.index.search(queries, k)
            return {"rows": rows, "scores": scores}

        module.search = search
        options = tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
        tf.saved_model.save(module, str(folder), signatures={_SIGNATURE: search}, options=options)
        # What the Assembler's models have, and what says that their rows do not depend on each other.
        (folder / EXTRA).mkdir()
        description = {"candidates": len(problem.vectors)}
        (folder / EXTRA / DESCRIPTION_FILE).write_text(json.dumps(description))
        setting = {}
        tuning = built.report.tuning
        if tuning and tuning.chosen:
            setting = {"leaves": tuning.chosen.leaves}
            if tuning.chosen.reorder > 1:
                setting["re-ordered"] = K * tuning.chosen.reorder
        (folder / _REPORT).write_text(json.dumps(setting))

    def open(self, problem: Problem, folder: Path) -> None:
        """Loads the SavedModel as the embedded server does."""
        self._model = LoadedModel(folder, run_threads=1)
        self._asked = self._model.signature(_SIGNATURE)

    def search(self, queries: np.ndarray, setting: Setting) -> np.ndarray:
        """Asks the signature as the embedded server does, without its network."""
        inputs = {"queries": queries, "k": np.array(K, np.int32)}
        return self._model.run(self._asked, inputs, _OUTPUTS)["rows"]

    def built_with(self, folder: Path) -> Setting:
        """What the tuner found."""
        return json.loads((folder / _REPORT).read_text())
