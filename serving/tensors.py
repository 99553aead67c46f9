"""The tensors of a request: what a signature declares, and conversions to and from NumPy.

A run takes and gives NumPy arrays; strings are object arrays of bytes (or, going in, of str).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.errors import invalid, shortened

INTERNAL_SIGNATURE = "__saved_model_init_op"
"""A signature that TensorFlow writes for itself; nobody can ask it."""

_FIELDS: dict[tf.DType, str] = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}
"""Where a TensorProto keeps values one by one, as TensorFlow Serving's answers do."""
_WIRE = {np.dtype(dtype.as_numpy_dtype): (dtype.as_datatype_enum, field) for dtype, field in _FIELDS.items()}
"""The same by an array's dtype, with the number that stands for it: TensorFlow's own look-ups are slow."""


@dataclass(frozen=True)
class Spec:
    """One input or output of a signature.

    Attributes:
        name: As requests say it.
        dtype: Of its elements.
        shape: Sizes, None where any; None altogether where the rank is any, too.
        tensor: The graph's own name of it.
        binding: Whether arrays of other shapes are refused. Of models of another make that is left to their
            graph, as TensorFlow Serving does: many take more than their signatures say.
    """

    name: str
    dtype: tf.DType
    shape: tuple[int | None, ...] | None
    tensor: str
    binding: bool = True

    @classmethod
    def of(cls, name: str, info: meta_graph_pb2.TensorInfo, binding: bool = True) -> Spec:
        """What a SavedModel's signature says."""
        known = None if info.tensor_shape.unknown_rank else info.tensor_shape.dim
        shape = None if known is None else tuple(None if dim.size < 0 else dim.size for dim in known)
        return cls(name, tf.dtypes.as_dtype(info.dtype), shape, info.name, binding)

    def __str__(self) -> str:
        return described(self.dtype, self.shape)

    @cached_property
    def is_scalar(self) -> bool:
        """Whether it has one value for all rows of a request."""
        return self.shape == ()

    @cached_property
    def has_rows(self) -> bool:
        """Whether its first dimension counts the rows of a request."""
        return bool(self.shape) and self.shape[0] is None  # type: ignore[index]

    @cached_property
    def numpy_dtype(self) -> np.dtype:
        """Of its elements in an array; object for strings."""
        return np.dtype(self.dtype.as_numpy_dtype)

    @cached_property
    def wire_dtype(self) -> int:
        """The number that stands for its dtype in a TensorProto."""
        return self.dtype.as_datatype_enum

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is one, or may be."""
        if self.shape is None or not self.binding:
            return True
        if len(shape) != len(self.shape):
            return False
        return all([size is None or size == found for size, found in zip(self.shape, shape, strict=True)])


@dataclass(frozen=True)
class Signature:
    """What can be asked of a model, by name.

    Attributes:
        name: Such as ``recommend``.
        inputs: By name.
        outputs: By name.
    """

    name: str
    inputs: Mapping[str, Spec]
    outputs: Mapping[str, Spec]

    @cached_property
    def row_inputs(self) -> dict[str, Spec]:
        """The inputs that have a row a query: those that are not said once for all, as ``k`` is."""
        return {name: spec for name, spec in self.inputs.items() if spec.has_rows}


def signatures_of(
    definitions: Mapping[str, meta_graph_pb2.SignatureDef], binding: bool = True
) -> dict[str, Signature]:
    """The signatures that can be asked, from a SavedModel's or a server's definitions.

    Args:
        definitions: By name.
        binding: Of the inputs; see :class:`Spec`.
    """
    return {
        name: Signature(
            name,
            {key: Spec.of(key, info, binding) for key, info in sorted(definition.inputs.items())},
            {key: Spec.of(key, info) for key, info in sorted(definition.outputs.items())},
        )
        for name, definition in definitions.items()
        if name != INTERNAL_SIGNATURE
    }


def described(dtype: tf.DType, shape: Iterable[int | None] | None) -> str:
    """A dtype and shape for a message: ``float32 [?, 3]``."""
    sizes = "any shape" if shape is None else f"[{', '.join('?' if s is None else str(s) for s in shape)}]"
    return f"{dtype.name} {sizes}"


def check_names(signature: Signature, given: Iterable[str]) -> None:
    """Refuses a request that lacks inputs or has others.

    Raises:
        RequestError: INVALID_ARGUMENT; says which, and what each is to be.
    """
    names = set(given)
    if names == signature.inputs.keys():
        return
    missing = [f"{name} ({spec})" for name, spec in signature.inputs.items() if name not in names]
    unknown = sorted(names - signature.inputs.keys())
    raise invalid(
        f"signature {signature.name!r} takes {', '.join(signature.inputs) or 'no inputs'}; "
        f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
    )


def check_shape(spec: Spec, shape: tuple[int, ...]) -> None:
    """Refuses another shape.

    Raises:
        RequestError: INVALID_ARGUMENT; names the input and what was expected.
    """
    if not spec.takes(shape):
        raise invalid(f"input {spec.name!r}: found {described(spec.dtype, shape)}, expected {spec}")


def as_input(spec: Spec, value: Any) -> np.ndarray:
    """Anything like an array as an input's array.

    Args:
        spec: Which input.
        value: Array, list or scalar; only numbers that lose nothing but precision become the dtype.

    Raises:
        RequestError: INVALID_ARGUMENT; names the input and what was expected.
    """
    try:
        array = np.asarray(value)
        if spec.dtype == tf.string:
            array = _strings(array)
        elif array.size and not _fits(array, spec.numpy_dtype):
            raise ValueError(array.dtype)
        else:
            array = array.astype(spec.numpy_dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise invalid(f"input {spec.name!r}: found {shortened(repr(value))}, expected {spec}") from error
    check_shape(spec, array.shape)
    return array


def as_inputs(signature: Signature, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """All of a request's inputs, each by :func:`as_input`.

    Raises:
        RequestError: INVALID_ARGUMENT, where a name or a value is wrong.
    """
    check_names(signature, values)
    return {name: as_input(spec, values[name]) for name, spec in signature.inputs.items()}


def from_proto(spec: Spec, proto: tensor_pb2.TensorProto, most: int) -> np.ndarray:
    """An input as it came over the wire.

    Args:
        spec: Which input.
        proto: The tensor; one value may stand for all, as in TensorFlow.
        most: How many elements there may be: a few bytes can claim billions of them.

    Raises:
        RequestError: INVALID_ARGUMENT; names the input and what was expected.
    """
    shape = tuple([dim.size for dim in proto.tensor_shape.dim])
    if proto.dtype != spec.wire_dtype:
        try:
            found = described(tf.dtypes.as_dtype(proto.dtype), shape)
        except TypeError:
            found = f"a tensor of unknown dtype {proto.dtype}"
        raise invalid(f"input {spec.name!r}: found {found}, expected {spec}")
    check_shape(spec, shape)
    if min(shape, default=0) < 0 or math.prod(shape) > most:
        raise invalid(f"input {spec.name!r}: found shape {list(shape)}, expected at most {most:,} elements")
    try:
        values = _values(spec, proto)
        # One value may stand for all: that is left to TensorFlow, which takes ten times as long.
        return values.reshape(shape) if len(values) == math.prod(shape) else tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise invalid(
            f"input {spec.name!r}: its values do not fill shape {list(shape)} of {spec.dtype.name}"
        ) from error


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """An array for the wire, its values in the dtype's own field, where clients look for them."""
    known = _WIRE.get(array.dtype)
    if known is None:
        return tf.make_tensor_proto(array)
    number, field = known
    values = array.ravel().tolist()
    proto = tensor_pb2.TensorProto(dtype=number)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(map(_as_bytes, values) if array.dtype == object else values)
    return proto


def _values(spec: Spec, proto: tensor_pb2.TensorProto) -> np.ndarray:
    """The values that a TensorProto holds, [any], wherever it holds them."""
    known = _WIRE.get(spec.numpy_dtype)
    if known is None:
        return tf.make_ndarray(proto).ravel()
    if proto.tensor_content and not spec.numpy_dtype.hasobject:
        return np.frombuffer(proto.tensor_content, spec.numpy_dtype)
    return np.array(getattr(proto, known[1])[:], spec.numpy_dtype)


def checked_outputs(signature: Signature, wanted: Iterable[str]) -> tuple[str, ...]:
    """The outputs a request asks for; all of them where it names none.

    Raises:
        RequestError: INVALID_ARGUMENT, where the signature has no such output, or one is named twice.
    """
    names = tuple(wanted)
    for name in names:
        if name not in signature.outputs:
            raise invalid(
                f"output_filter: signature {signature.name!r} has no output {name!r}; "
                f"it has {', '.join(signature.outputs)}"
            )
    if len(set(names)) < len(names):
        raise invalid(f"output_filter: an output is named twice in {', '.join(names)}")
    return tuple(sorted(names)) or tuple(signature.outputs)


def _fits(array: np.ndarray, dtype: np.dtype) -> bool:
    """Whether an array's numbers can be the dtype's, but for precision."""
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        return False
    if dtype.kind not in "iu":
        return True
    return bool(array.min() >= np.iinfo(dtype).min and array.max() <= np.iinfo(dtype).max)


def _strings(array: np.ndarray) -> np.ndarray:
    if array.size == 0 or array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype != object or not all(isinstance(value, str | bytes) for value in array.flat):
        raise ValueError("not strings")
    return array


def _as_bytes(value: str | bytes) -> bytes:
    """Text as a tensor holds it.

    Raises:
        RequestError: INVALID_ARGUMENT for half of a surrogate pair, which no encoding has.
    """
    try:
        return value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError as error:
        raise invalid(f"found half of a surrogate pair in {value!r}, expected Unicode") from error
