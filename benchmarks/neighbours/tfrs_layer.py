"""ScaNN in TensorFlow Recommenders: ``tfrs.layers.factorized_top_k.ScaNN``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
from scann import scann_ops

from benchmarks.neighbours.contender import Contender
from benchmarks.neighbours.knobs import Ladder, Setting, tune
from benchmarks.neighbours.problem import K, Problem, recall
from serving.loaded_model import DEFAULT_SIGNATURE, LoadedModel

_REORDERED = 10 * K
"""As many for each one wanted as in the tutorial "Efficient serving"."""
_SETTING = "setting.json"
_ROWS = "output_2"
_TUNED_AT_A_TIME = 256


class _TfrsLayer(Contender):
    """Its leaves to search are fixed when it is built, so building tries first."""

    def build(self, problem: Problem, folder: Path, target: float) -> None:
        """Builds a layer to find how many leaves it needs, then one with these."""
        leaves = _leaves(problem)
        searcher = scann_ops.searcher_from_module(_layer(problem, leaves)._serialized_searcher)

        def measured(setting: Setting) -> float:
            found = [
                searcher.search_batched_parallel(some, leaves_to_search=setting["leaves"]).indices.numpy()
                for some in np.array_split(problem.tuning, -(-len(problem.tuning) // _TUNED_AT_A_TIME))
            ]
            return recall(np.concatenate(found), problem.tuning_best)

        setting = tune([Ladder("leaves", 1, leaves)], measured, lambda _: 0.0, target).setting
        layer = _layer(problem, setting["leaves"])
        layer(tf.constant(problem.tuning[:1]))
        options = tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
        tf.saved_model.save(layer, str(folder), options=options)
        (folder / _SETTING).write_text(json.dumps(setting))

    def built_with(self, folder: Path) -> Setting:
        """Leaves found, and the tutorial's re-ordering."""
        return {**json.loads((folder / _SETTING).read_text()), "re-ordered": _REORDERED}


class TfrsCalled(_TfrsLayer):
    """The layer called from Python."""

    def open(self, problem: Problem, folder: Path) -> None:
        """Builds it once more: a layer cannot be read back as one."""
        self._layer = _layer(problem, self.built_with(folder)["leaves"])

    def search(self, queries: np.ndarray, setting: Setting) -> np.ndarray:
        """Calls it."""
        return self._layer(tf.constant(queries))[1].numpy()


class TfrsExported(_TfrsLayer):
    """The layer as a SavedModel, asked in the same way as the product's."""

    def open(self, problem: Problem, folder: Path) -> None:
        """Loads it as the embedded server does."""
        self._model = LoadedModel(folder, run_threads=1)
        self._asked = self._model.signature(DEFAULT_SIGNATURE)
        (self._input,) = self._asked.inputs

    def search(self, queries: np.ndarray, setting: Setting) -> np.ndarray:
        """Asks its signature."""
        return self._model.run(self._asked, {self._input: queries}, tuple(self._asked.outputs))[_ROWS]


def _leaves(problem: Problem) -> int:
    """As many as ScaNN's guide advises: with twice these, as in the other trees, the layer is slower."""
    return round(math.sqrt(len(problem.vectors)))


def _layer(problem: Problem, leaves_to_search: int) -> tfrs.layers.factorized_top_k.ScaNN:
    layer = tfrs.layers.factorized_top_k.ScaNN(
        k=K,
        num_leaves=_leaves(problem),
        num_leaves_to_search=leaves_to_search,
        num_reordering_candidates=min(_REORDERED, len(problem.vectors)),
    )
    return layer.index(tf.constant(problem.vectors))
