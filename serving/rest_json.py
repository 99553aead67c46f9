"""Predict requests and answers as TensorFlow Serving's REST interface writes them.

Row format: ``{"instances": [{input: value, ...}, ...]}`` gives ``{"predictions": [...]}``, an element a row.
Column format: ``{"inputs": {input: [rows]}}`` gives ``{"outputs": {...}}``. Where a signature has but one
input (output), its value stands without its name. Bytes are ``{"b64": "..."}``; outputs whose name ends in
``_bytes`` are written so. NaN, Infinity and -Infinity stand as such, which is more than JSON allows.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from serving.errors import RequestError, invalid, shortened
from serving.tensors import Signature, Spec, check_names, check_shape

_BYTES = "_bytes"
_B64 = "b64"
_DOUBLE = 8


@dataclass(frozen=True)
class JsonRequest:
    """The body of a Predict request.

    Attributes:
        signature: Its name; "" for the default.
        format: How inputs and outputs are laid out.
        values: Under ``instances`` or ``inputs``.
        says_infinity: Whether the body has the word; an infinite number without it was too large to be read.
    """

    signature: str
    format: Literal["row", "column"]
    values: Any
    says_infinity: bool

    @classmethod
    def of(cls, body: bytes) -> JsonRequest:
        """Reads a body.

        Raises:
            RequestError: INVALID_ARGUMENT; says where it is no such request.
        """
        try:
            content = json.loads(body, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise invalid(f"the body is not JSON: {error}") from error
        if not isinstance(content, dict) or ("instances" in content) == ("inputs" in content):
            raise invalid('expected a JSON object with either "instances" or "inputs"')
        signature = content.get("signature_name", "")
        if not isinstance(signature, str):
            raise invalid(f"signature_name: found {_told(signature)}, expected a string")
        infinity = b"Infinity" in body
        if "inputs" in content:
            return cls(signature, "column", content["inputs"], infinity)
        rows = content["instances"]
        if not isinstance(rows, list) or not rows:
            raise invalid(f"instances: found {_told(rows)}, expected a list of at least one row")
        return cls(signature, "row", rows, infinity)

    def inputs(self, signature: Signature) -> dict[str, np.ndarray]:
        """The inputs as arrays.

        Raises:
            RequestError: INVALID_ARGUMENT; names the input and what was expected.
        """
        values = _columns(signature, self.values) if self.format == "row" else self._named(signature)
        # Names beyond the signature's are passed over, as TensorFlow Serving does.
        values = {name: value for name, value in values.items() if name in signature.inputs}
        check_names(signature, values)
        return {
            name: _array(spec, values[name], self.says_infinity) for name, spec in signature.inputs.items()
        }

    def _named(self, signature: Signature) -> Mapping[str, Any]:
        if isinstance(self.values, dict) and not _is_base64(self.values):
            return self.values
        return _only(signature, self.values, "inputs")


def answer(outputs: Mapping[str, np.ndarray], format: Literal["row", "column"]) -> str:
    """The body of an answer.

    Args:
        outputs: By name.
        format: That of the request.

    Raises:
        RequestError: INVALID_ARGUMENT, where outputs have no rows in common for the row format.
    """
    lists = {name: _listed(name, array) for name, array in outputs.items()}
    if format == "column":
        return json.dumps({"outputs": lists if len(lists) > 1 else next(iter(lists.values()))})
    rows = {len(array) if array.ndim else None for array in outputs.values()}
    if None in rows or len(rows) > 1:
        raise invalid('the outputs have no rows in common: ask in the column format, with "inputs"')
    if len(lists) == 1:
        return json.dumps({"predictions": next(iter(lists.values()))})
    predictions = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    return json.dumps({"predictions": predictions})


def _columns(signature: Signature, rows: list[Any]) -> dict[str, list[Any]]:
    """The values of each input, a row each."""
    columns: dict[str, list[Any]] = {name: [] for name in signature.inputs}
    by_name = isinstance(rows[0], dict) and not _is_base64(rows[0])
    for number, row in enumerate(rows):
        named = row if isinstance(row, dict) and not _is_base64(row) else None
        if (named is not None) != by_name:
            expected = "an object, as the first is" if by_name else "no object, as the first is none"
            raise invalid(f"instances[{number}]: found {_told(row)}, expected {expected}")
        values = _only(signature, row, f"instances[{number}]") if named is None else named
        if values.keys() != columns.keys():
            raise invalid(
                f"instances[{number}]: found {', '.join(sorted(values)) or 'nothing'}, "
                f"expected {', '.join(sorted(columns))}"
            )
        for name, value in values.items():
            columns[name].append(value)
    for name, spec in signature.inputs.items():
        if spec.is_scalar:
            raise invalid(
                f'input {name!r} has one value for all rows, which "instances" cannot say: '
                'ask in the column format, with "inputs"'
            )
    return columns


def _only(signature: Signature, value: Any, place: str) -> dict[str, Any]:
    """A value that needs no name, as the signature has but one input."""
    if len(signature.inputs) != 1:
        raise invalid(f"{place}: found {_told(value)}, expected an object with {', '.join(signature.inputs)}")
    return {next(iter(signature.inputs)): value}


def _array(spec: Spec, value: Any, says_infinity: bool) -> np.ndarray:
    """A nested list as an array.

    Args:
        spec: Which input.
        value: List of lists, or a scalar.
        says_infinity: Whether a number in it may be infinite.

    Raises:
        RequestError: INVALID_ARGUMENT, where lists differ in length or an element is no value of the dtype.
    """
    shape: list[int] = []
    level = value
    while isinstance(level, list):
        shape.append(len(level))
        if not level:
            break
        level = level[0]
    if spec.shape is not None and shape and not shape[-1]:
        # An empty list does not tell what its elements would look like.
        shape += [0 if size is None else size for size in spec.shape[len(shape) :]]
    check_shape(spec, tuple(shape))
    try:
        elements = _elements(spec, value, shape)
    except UnicodeEncodeError as error:
        raise invalid(f"input {spec.name!r}: found half of a surrogate pair, expected Unicode") from error
    try:
        with np.errstate(over="ignore"):
            flat = np.array(elements, spec.numpy_dtype)
    except (OverflowError, ValueError) as error:
        raise _out_of_range(spec) from error
    if spec.dtype.is_floating:
        infinite = np.flatnonzero(np.isinf(flat))
        if infinite.size and not (says_infinity and all(math.isinf(elements[place]) for place in infinite)):
            raise _out_of_range(spec)
    return flat.reshape(shape)


def _elements(spec: Spec, value: Any, shape: Sequence[int]) -> list[Any]:
    """The elements of lists within lists, in their order, as the dtype takes them."""
    level = [value]
    for size in shape:
        for part in level:
            if not isinstance(part, list):
                raise invalid(f"input {spec.name!r}: found {_told(part)} where a list was expected")
            if len(part) != size:
                raise _uneven(spec)
        level = list(chain.from_iterable(level))
    kinds = set(map(type, level))
    if list in kinds:
        raise _uneven(spec)
    # Hardly ever is there anything else, and element by element takes ten times as long.
    if spec.dtype == tf.string and kinds == {str}:
        return list(map(str.encode, level))
    if spec.dtype.is_floating and kinds <= {int, float}:
        return level
    return [_element(spec, element) for element in level]


def _uneven(spec: Spec) -> RequestError:
    return invalid(
        f"input {spec.name!r}: its lists differ in length or depth; pad them to one length ({spec})"
    )


def _out_of_range(spec: Spec) -> RequestError:
    return invalid(f"input {spec.name!r}: a number is out of the range of {spec.dtype.name}")


def _element(spec: Spec, value: Any) -> Any:
    dtype = spec.dtype
    if dtype == tf.string:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict) and _is_base64(value):
            try:
                # TensorFlow Serving does not ask for the padding.
                text = value[_B64].rstrip("=")
                return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
            except binascii.Error as error:
                raise invalid(f"input {spec.name!r}: {_told(value)} is not base64: {error}") from error
    elif dtype == tf.bool:
        if isinstance(value, bool):
            return value
    elif not isinstance(value, bool) and isinstance(value, int | float if dtype.is_floating else int):
        return value
    raise invalid(f"input {spec.name!r}: found {_told(value)}, expected {dtype.name}")


def _is_base64(value: dict[str, Any]) -> bool:
    return value.keys() == {_B64} and isinstance(value[_B64], str)


def _listed(name: str, array: np.ndarray) -> Any:
    if array.dtype == object:
        return _texts(array.tolist(), name.endswith(_BYTES))
    if array.dtype.kind == "f" and array.dtype.itemsize < _DOUBLE:
        # 0.2, not 0.20000000298023224: the shortest decimal that is this float, as in TensorFlow Serving.
        array = array.astype(np.str_).astype(np.float64)
    return array.tolist()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are said once: of two values, nobody knows which is meant."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is said twice in one object")
    return content


def _texts(values: Any, as_base64: bool) -> Any:
    if isinstance(values, list):
        return [_texts(value, as_base64) for value in values]
    if as_base64:
        return {_B64: base64.b64encode(values).decode()}
    return values.decode(errors="replace")


def _told(value: Any) -> str:
    return shortened(json.dumps(value))
