"""What is wrong with settings, in plain words: key, value found, what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipeline.yaml_text import Key, Written

_OWN: Final = frozenset({"value_error", "assertion_error"})
"""Errors whose words are the models' own."""
_SHORT: Final = 80
_SINGLE: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a date such as 2024-05-31",
    datetime: "a date and time such as 2024-05-31 18:00:00",
    Path: "a path",
    NoneType: "null",
}


def setting_faults(
    error: ValidationError, model: type[BaseModel], content: Any, written: Mapping[Key, Written]
) -> Iterator[tuple[str, str]]:
    """Yield dotted key and fault of each setting that is wrong.

    Args:
        error: Of validating the content.
        model: That it was validated by.
        content: What was validated.
        written: Place to the text of single values, as :class:`~pipeline.yaml_text.Yaml` has it.
    """
    problems: dict[Key, list[ErrorDetails]] = {}
    for problem in error.errors():
        problems.setdefault(_place(problem["loc"], content), []).append(problem)
    for place, of_place in problems.items():
        # A list of which one is wrong is said to be too short, too.
        if any(place == other[: len(place)] != other for other in problems) and place:
            continue
        # A union says what each of its members expected; the place is wrong once.
        yield ".".join(map(str, place)), _fault(of_place, model, place, written)


def _place(loc: Sequence[str | int], content: Any) -> Key:
    """A location without the names of a union's members that pydantic puts into it."""
    place: list[str | int] = []
    for number, part in enumerate(loc):
        if part == "[key]":
            break
        inside = (isinstance(content, Mapping) and part in content) or (
            isinstance(content, Sequence)
            and not isinstance(content, str)
            and isinstance(part, int)
            and part < len(content)
        )
        if inside:
            content = content[part]
        elif number < len(loc) - 1 or not isinstance(content, Mapping):
            continue
        place.append(part)
    return tuple(place)


def _fault(
    problems: Sequence[ErrorDetails], model: type[BaseModel], place: Key, written: Mapping[Key, Written]
) -> str:
    problem = problems[-1]
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return "there is no such key. Remove it, or correct its spelling."
    if kind == "missing":
        return "is missing. Add it."
    if problem["loc"] and problem["loc"][-1] == "[key]":
        said = written.get((*place, "[key]"))
        return f"found a key {_found(value, said)}; expected text: write '{said.text if said else value}'."
    if kind.startswith("union_tag"):
        kinds = ", ".join(_kinds(_declared(model, place)[0]))
        found = written.get((*place, "kind"))
        given = f"found {found.text!r} as its kind" if found else "'kind' is missing"
        return f"{given}; expected one of {kinds}."
    if kind in ("string_too_short", "string_too_long"):
        limits = problem["ctx"]
        least, key = ("at least", "min_length") if kind == "string_too_short" else ("at most", "max_length")
        number = limits[key]
        return (
            f"found {_found(value, None)}; expected {least} {number:,} character{'s' if number > 1 else ''}."
        )
    if kind in ("too_short", "too_long"):
        limits = problem["ctx"]
        number = (
            f"at least {limits['min_length']:,}"
            if kind == "too_short"
            else f"at most {limits['max_length']:,}"
        )
        return f"found {limits['actual_length']:,} of them; expected {number}."
    if kind in _OWN:
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return message if isinstance(value, dict) else f"found {_found(value, written.get(place))}; {message}"
    annotation, bounds = _declared(model, place)
    expected = expectation(annotation, bounds) or problem["msg"].replace("Input should be", "expected")
    advice = ""
    one = written.get(place)
    if one and not isinstance(value, str | NoneType) and "text" in expected.split(" or "):
        advice = f": write '{one.text}' for the text"
    greatest = problem.get("ctx", {}).get("le", problem.get("ctx", {}).get("lt"))
    if greatest == 1 and isinstance(value, int | float):
        advice = ": a share, so 0.05 for 5 per cent"
    return f"found {_found(value, one)}; expected {expected}{advice}."


def _found(value: Any, written: Written | None) -> str:
    """A value as it is written, and what YAML made of it where that is another matter."""
    if isinstance(value, dict):
        return f"keys ({', '.join(map(str, value)) or 'none'})"[:_SHORT]
    if isinstance(value, list):
        return f"a list of {len(value)}" if len(str(value)) > _SHORT else str(value)
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        read = str(value).lower()
        return f"{written.text!r} ({read})" if written and written.text != read else read
    shown = written.text if written and not isinstance(value, str) else repr(value)
    return shown if len(shown) <= _SHORT else f"{shown[:_SHORT]}…"


def expectation(annotation: Any, bounds: Sequence[Any] = ()) -> str:
    """Return what a type and its bounds expect, in words; empty where that is not to be said so.

    Args:
        annotation: A field's.
        bounds: Its metadata.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return expectation(arguments[0], (*bounds, *arguments[1:]))
    if origin in (Union, UnionType):
        parts = [expectation(part, bounds) for part in arguments if part is not NoneType]
        return " or ".join(dict.fromkeys(parts)) if all(parts) else ""
    if origin is Literal:
        names = [repr(name) for name in arguments]
        return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    if origin is tuple:
        return f"a list, each of it {inner}" if (inner := expectation(arguments[0])) else "a list"
    if origin in (dict, Mapping):
        return "keys with values"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a section with keys such as {next(iter(annotation.model_fields))}"
    words = _SINGLE.get(annotation, "")
    return f"{words}{_within(bounds, whole=annotation is int)}" if annotation in (int, float) else words


def _within(bounds: Sequence[Any], *, whole: bool) -> str:
    """Bounds in words, such as " from 1 to 10" or " above 0"."""
    flat = [one for bound in bounds for one in (bound.metadata if isinstance(bound, FieldInfo) else (bound,))]
    least: dict[type, Any] = {
        type(one): one.ge if isinstance(one, Ge) else one.gt for one in flat if isinstance(one, Ge | Gt)
    }
    most: dict[type, Any] = {
        type(one): one.le if isinstance(one, Le) else one.lt for one in flat if isinstance(one, Le | Lt)
    }
    if whole:
        # Of whole numbers, "above 0" is "1 or more".
        least = {Ge: least[Gt] + 1} if Gt in least else least
        most = {Le: most[Lt] - 1} if Lt in most else most
    if Ge in least and Le in most:
        return f" from {least[Ge]:,} to {most[Le]:,}"
    low = [f"of {value:,} or more" if kind is Ge else f"above {value:,}" for kind, value in least.items()]
    high = [f"up to {value:,}" if kind is Le else f"below {value:,}" for kind, value in most.items()]
    return f" {' and '.join(low + high)}" if low or high else ""


def _declared(model: type[BaseModel], place: Key) -> tuple[Any, tuple[Any, ...]]:
    """Type and bounds of a place; (None, ()) where the models do not say."""
    annotation: Any = model
    bounds: tuple[Any, ...] = ()
    for part in place:
        found = next(_below(annotation, part), None)
        if found is None:
            return None, ()
        annotation, bounds = found
    return annotation, bounds


def _kinds(annotation: Any) -> Iterator[str]:
    """The kinds that tell the members of a union apart."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from map(str, get_args(annotation.model_fields["kind"].annotation))
    for inner in get_args(annotation)[: 1 if get_origin(annotation) is Annotated else None]:
        yield from _kinds(inner)


def _below(annotation: Any, part: str | int) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Type and bounds of what stands in a value under a key or place; of a union, in any member."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, Union, UnionType):
        for inner in arguments[:1] if origin is Annotated else arguments:
            yield from _below(inner, part)
    elif origin is tuple:
        yield arguments[0], ()
    elif origin in (dict, Mapping):
        yield arguments[1], ()
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
        declared = fields.get(str(part))
        if declared:
            yield declared.annotation, tuple(declared.metadata)
