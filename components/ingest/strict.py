"""The base of everything that is declared in a domain file, and of what steps tell each other as JSON."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_AS_WRITTEN: Final = frozenset({"int", "float", "bool", "str"})
"""Core schemas of single values, which are never made of a value of another type."""
_TIMES: Final = frozenset({"date", "datetime"})
"""Core schemas that pydantic also makes of a number of seconds."""

_HAS_DATE: Final = re.compile(r"\s*\d{4}-\d\d?-\d\d?")
_NO_SCHEMAS: Final = frozenset({"default", "metadata"})
"""Keys of a core schema that may hold anything."""
_BY_NAME: Final = frozenset({"fields", "choices"})
"""Keys that hold schemas by names of the model's own."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What numpy, Python and Keras all take as a seed."""
Temperature = Annotated[float, Field(ge=0.001, le=1000)]
"""What scores are divided by: nearer to 0 they overflow float32, and the loss is NaN."""
Weight = Annotated[float, Field(ge=0, le=1_000_000)]
"""What something counts beside others; 0: not at all."""
PositiveWeight = Annotated[float, Field(gt=0, le=1_000_000)]
LearningRate = Annotated[float, Field(gt=0, le=100)]
BatchSize = Annotated[int, Field(ge=2, le=65_536)]
"""Of training against the batch's own candidates: a batch's scores are its square."""
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Width = Annotated[int, Field(ge=1, le=8_192)]
"""Units of a layer, or numbers of an embedding. Wider ones exhaust memory, and 0 aborts in native code."""
Layers = Annotated[tuple[Width, ...], Field(max_length=32)]
MANY: Final = 2**31 - 1
"""The greatest number that a count in a domain file can be."""
Count = Annotated[int, Field(ge=1, le=MANY)]


def _refuse_numbers(value: Any) -> Any:
    if isinstance(value, int | float) or (isinstance(value, str) and not _HAS_DATE.match(value)):
        raise ValueError("expected a date such as 2024-05-31")
    return value


_NO_NUMBER: Final = {"type": "no-info", "function": _refuse_numbers}


def _make_strict(schema: Any) -> None:
    """Make the single values of a core schema strict, in place, wherever in it they are."""
    if isinstance(schema, list | tuple):
        for inner in schema:
            _make_strict(inner)
    if not isinstance(schema, dict) or schema.get("function") == _NO_NUMBER:
        return
    if schema.get("type") in _AS_WRITTEN:
        schema["strict"] = True
    elif schema.get("type") in _TIMES:
        lax = dict(schema)
        schema.clear()
        schema.update(core_schema.no_info_before_validator_function(_refuse_numbers, lax))
    else:
        for key, inner in schema.items():
            if key in _BY_NAME and isinstance(inner, dict):
                _make_strict(list(inner.values()))
            elif key not in _NO_SCHEMAS:
                _make_strict(inner)


class Strict(BaseModel):
    """A declaration that knows all its keys, never changes, and takes each value as it is written.

    A number is not read from text, nor from ``yes``; a whole number not from ``1.0``. A float may be written
    as a whole number, and is finite. Lists make tuples, and ISO text or YAML's own dates make dates, so that
    the same model reads YAML, JSON and Python.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return pydantic's schema with every single value strict.

        pydantic's own ``strict`` for the whole model would refuse lists for tuples and text for dates, too.
        """
        schema = handler(source)
        _make_strict(schema)
        return schema
