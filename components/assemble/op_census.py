"""What a SavedModel is made of, read from its file alone: no op has to be known here for that."""

from __future__ import annotations

import os
from collections import Counter

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from components.ingest.errors import UserError
from components.ingest.strict import Strict

SAVED_MODEL_FILE = "saved_model.pb"
_SCANN = "Scann>"


class Census(Strict):
    """The ops of a SavedModel.

    Attributes:
        tensorflow: Version of TensorFlow that saved it.
        ops: How many nodes there are of each op, in the graph and all functions, most first.
        custom: Those of them that stock TensorFlow does not have.
    """

    tensorflow: str
    ops: dict[str, int]
    custom: dict[str, int]

    @property
    def neither_stock_nor_scann(self) -> tuple[str, ...]:
        """The ops that a server with TensorFlow's and ScaNN's lacks."""
        return tuple(op for op in self.custom if not op.startswith(_SCANN))

    @property
    def loads_with_scann(self) -> bool:
        """Whether a server with TensorFlow's ops and ScaNN's can load it."""
        return not self.neither_stock_nor_scann


def read_meta_graph(path: str) -> meta_graph_pb2.MetaGraphDef:
    """A SavedModel's graph for serving.

    Args:
        path: The SavedModel's directory, of any file system that TensorFlow knows.

    Raises:
        UserError: If there is none, or it is damaged.
    """
    name = os.path.join(path, SAVED_MODEL_FILE)
    try:
        with tf.io.gfile.GFile(name, "rb") as file:
            content = saved_model_pb2.SavedModel.FromString(file.read())
    except (OSError, tf.errors.OpError, DecodeError) as error:
        raise UserError(f"{name} cannot be read: {error}. Expected a SavedModel's directory.") from error
    for graph in content.meta_graphs:
        if tf.saved_model.SERVING in graph.meta_info_def.tags:
            return graph
    raise UserError(f"{name} has no graph tagged {tf.saved_model.SERVING!r}. Expected a model for serving.")


def take_census(graph: meta_graph_pb2.MetaGraphDef) -> Census:
    """Counts the ops of a graph and of its library of functions.

    Stock ops are those TensorFlow was built with, ``tf.raw_ops``: unlike the registry of this process, that
    list does not grow with libraries of custom ops that some import has loaded.
    """
    functions = {function.signature.name for function in graph.graph_def.library.function}
    ops = Counter(node.op for node in graph.graph_def.node)
    for function in graph.graph_def.library.function:
        ops.update(node.op for node in function.node_def)
    counted = {op: count for op, count in ops.most_common() if op not in functions}
    return Census(
        tensorflow=graph.meta_info_def.tensorflow_version,
        ops=counted,
        custom={op: count for op, count in counted.items() if not hasattr(tf.raw_ops, op)},
    )
