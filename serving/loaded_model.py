"""A SavedModel in memory, as TensorFlow Serving holds one: a graph and a session of its own."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, saved_model_pb2
from tensorflow.python.saved_model import loader_impl

from serving.contract import DESCRIPTION_FILE, EXTRA
from serving.errors import ModelError, RequestError, invalid, of_tensorflow
from serving.joining import Arrays, halves
from serving.manifest import check_manifest
from serving.model_files import ModelFiles
from serving.tensors import Signature, as_inputs, signatures_of

DEFAULT_SIGNATURE = "serving_default"
MODEL_FILE = "saved_model.pb"
_VARIABLES = "variables/variables.index"
_SECOND_HALF = "second-half"
_LIBC = ctypes.CDLL(None)


class LoadedModel:
    """A SavedModel that answers in this process.

    A session, not ``tf.saved_model.load``: a call costs half as much, other threads run beside it (the
    interpreter's lock is released), and closing it returns its memory, whatever else has been loaded.

    Attributes:
        path: The version's directory.
        candidates: How many its catalogue has; None for a model that the Assembler did not write.
        definitions: The model's signature definitions, as they are on disk.
        signatures: What can be asked, by name.
    """

    def __init__(self, path: Path, run_threads: int = 0) -> None:
        """Load a version.

        Args:
            path: Directory with ``saved_model.pb``.
            run_threads: How many threads share a large operation, such as the product of two matrices; 0: as
                many as there are cores. TensorFlow keeps them for the whole process: what its first
                computation says holds for all.

        Raises:
            ModelError: If it cannot be loaded; says what is missing or damaged.
        """
        self.path = path
        check_manifest(path)
        self.candidates = _candidates(path)
        _prepare(path)
        graph = tf.Graph()
        # A signature is some hundreds of small operations: to hand them from thread to thread takes longer
        # than they do. Below zero, all of them stay in the caller's.
        config = config_pb2.ConfigProto(
            inter_op_parallelism_threads=-1, intra_op_parallelism_threads=run_threads
        )
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        try:
            with graph.as_default():
                loader = loader_impl.SavedModelLoader(str(path))
                meta_graph = loader.load(self._session, [tf.saved_model.SERVING])
        except Exception as error:  # The loader raises whatever a damaged file leads to.
            self._session.close()
            raise ModelError(f"{path} cannot be loaded as a SavedModel: {error}") from error
        self.definitions = dict(meta_graph.signature_def)
        self.signatures = signatures_of(self.definitions, binding=self.is_westworks)
        cores = os.cpu_count() or 1
        self._second_halves = (
            ThreadPoolExecutor(cores, _SECOND_HALF) if self.is_westworks and cores > 1 else None
        )
        self._calls: dict[tuple[str, tuple[str, ...]], _Call] = {}
        self._users = 0
        self._free = threading.Condition()

    @property
    def is_westworks(self) -> bool:
        """Whether the Assembler wrote it.

        Then what it says of a row does not depend on the others, its inputs agree on their rows, and which of
        them may be padded is known.
        """
        return self.candidates is not None

    def signature(self, name: str) -> Signature:
        """The signature of this name; of the default one's where it is empty.

        Raises:
            RequestError: FAILED_PRECONDITION, as TensorFlow Serving says it; names those there are.
        """
        found = self.signatures.get(name or DEFAULT_SIGNATURE)
        if found is None:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"there is no signature {name or DEFAULT_SIGNATURE!r}; "
                f"there are {', '.join(sorted(self.signatures))}",
            )
        return found

    def run(
        self, signature: Signature, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Ask a signature. Any number of threads may.

        A request of many rows to one of Westwork's models is run as two halves beside each other: ScaNN's op
        leaves a core unused, and small operations are not shared between threads at all.

        Args:
            signature: One of :attr:`signatures`.
            inputs: Every input by name, of its dtype and shape.
            outputs: Which outputs to compute.

        Returns:
            Those outputs by name; strings as [...] object arrays of bytes.

        Raises:
            RequestError: If the run fails, with TensorFlow's code.
        """
        call = self._call(signature, tuple(outputs))
        try:
            parted = halves(signature, inputs, outputs) if self._second_halves else None
            return self._run_beside(call, *parted) if parted else call(inputs)
        except tf.errors.OpError as error:
            raise of_tensorflow(error, signature.name) from error
        except (TypeError, ValueError) as error:
            raise invalid(f"signature {signature.name!r} failed: {error}") from error

    def ask(self, signature: str, inputs: Mapping[str, object]) -> dict[str, np.ndarray]:
        """Ask a signature for all of its outputs, with anything like arrays.

        Args:
            signature: Its name, such as ``recommend``.
            inputs: Every input by name, as anything that converts to its dtype and shape.

        Returns:
            The outputs by name; strings as [...] object arrays of bytes.

        Raises:
            RequestError: If the signature, an input, or the run fails; names what was expected.
        """
        asked = self.signature(signature)
        return self.run(asked, as_inputs(asked, inputs), tuple(asked.outputs))

    def acquire(self) -> None:
        """Keeps the model open until :meth:`release`."""
        with self._free:
            self._users += 1

    def release(self) -> None:
        """Undoes one :meth:`acquire`."""
        with self._free:
            self._users -= 1
            self._free.notify_all()

    def close(self) -> None:
        """Waits for those who acquired the model, then frees its memory."""
        with self._free:
            self._free.wait_for(lambda: self._users == 0)
        if self._second_halves:
            self._second_halves.shutdown()
        self._calls.clear()
        self._session.close()
        del self._session
        # TensorFlow's graphs refer to themselves: at the collector's own pace memory grows with each swap.
        gc.collect()
        # What is freed stays in the allocator's pools, one for each thread that ever loaded a version.
        _LIBC.malloc_trim(0)

    def _run_beside(self, call: _Call, first: Arrays, last: Arrays) -> dict[str, np.ndarray]:
        assert self._second_halves is not None
        running = self._second_halves.submit(call, last)
        outputs = call(first)
        return {name: np.concatenate([outputs[name], rest]) for name, rest in running.result().items()}

    def _call(self, signature: Signature, outputs: tuple[str, ...]) -> _Call:
        key = (signature.name, outputs)
        call = self._calls.get(key)
        if call is None:
            # Two threads may both make one; either is good.
            call = self._calls[key] = _Call(self._session, signature, outputs)
        return call


class _Call:
    """A signature and the outputs wanted of it, prepared for running."""

    def __init__(self, session: tf.compat.v1.Session, signature: Signature, outputs: Sequence[str]) -> None:
        self._inputs = tuple(signature.inputs)
        self._outputs = tuple(outputs)
        options = config_pb2.CallableOptions(
            feed=[signature.inputs[name].tensor for name in self._inputs],
            fetch=[signature.outputs[name].tensor for name in self._outputs],
        )
        # What Session.run does anew for every call, over a millisecond of it, is done once here.
        self._run = session._make_callable_from_options(options)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = self._run(*[inputs[name] for name in self._inputs])
        # A single string comes as bytes, every other value as an array.
        arrays = [np.array(value, object) if isinstance(value, bytes) else value for value in values]
        return dict(zip(self._outputs, arrays, strict=True))


def _candidates(path: Path) -> int | None:
    """Size of the catalogue by what the Assembler wrote beside the model; None where it did not write it.

    Raises:
        ModelError: If its file is damaged.
    """
    if not (path / EXTRA / DESCRIPTION_FILE).is_file():
        return None
    try:
        return int(ModelFiles(path).description["candidates"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path / EXTRA / DESCRIPTION_FILE} does not say how many candidates there are: {error!r}"
        ) from error


def _prepare(path: Path) -> None:
    """Looks into the model's file for what loading it needs and would not complain of.

    Raises:
        ModelError: If the file is missing or damaged, or the model's variables are missing.
    """
    file = path / MODEL_FILE
    try:
        model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{path} cannot be loaded as a SavedModel: {file} cannot be read: {error.strerror}"
        ) from error
    except Exception as error:  # The decoder's own class differs from one of its implementations to the next.
        raise ModelError(f"{path} cannot be loaded as a SavedModel: {file} is damaged: {error}") from error
    operations = {
        node.op
        for meta_graph in model.meta_graphs
        for nodes in (
            meta_graph.graph_def.node,
            *(function.node_def for function in meta_graph.graph_def.library.function),
        )
        for node in nodes
    }
    if any(operation.startswith("Scann") for operation in operations):
        # Registers the operations.
        from scann import scann_ops  # noqa: F401
    if "VarHandleOp" in operations and not (path / _VARIABLES).is_file():
        raise ModelError(
            f"{path} cannot be loaded as a SavedModel: its graph has variables, but there is no {_VARIABLES}"
        )
