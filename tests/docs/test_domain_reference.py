"""docs/domain.md says of every key what the models say, and its examples are right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from components.ingest.declaration import Source, Table
from pipeline.domain import Domain
from pipeline.setting_faults import expectation

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
TEXT = (DOCS / "domain.md").read_text(encoding="utf-8")
TOP = "the file's"
TABLE = "a table's"
NOT_FOR_THE_FILE = {"name", "folder"}


class Row(NamedTuple):
    """A documented key."""

    type: str
    default: str
    meaning: str
    example: str


def _documented() -> dict[str, dict[str, Row]]:
    """Section (as the table's header names it) to key to row."""
    found: dict[str, dict[str, Row]] = {}
    section = None
    for line in TEXT.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            section = None
        elif cells[0].endswith(" key") and cells[1:] == ["type", "default", "meaning", "example"]:
            section = cells[0].removesuffix(" key").replace("`", "")
            assert section not in found, f"two tables of {section}"
            found[section] = {}
        elif section and not set(line) <= set("|-"):
            found[section][cells[0].strip("`")] = Row(*cells[1:])
    return found


def _parts(annotation: Any) -> tuple[Any, ...]:
    """What a union is made of; else the annotation itself. Without Annotated and None."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(p for arg in get_args(annotation) if arg is not NoneType for p in _parts(arg))
    return (annotation,)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models an annotation is made of, wherever in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _models(part)


def _section(path: str, model: type[BaseModel]) -> str:
    kind = model.model_fields.get("kind")
    names = get_args(kind.annotation) if kind else ()
    if len(names) != 1:
        # Not one of several classes that a kind tells apart.
        return path
    (name,) = names
    return f"{path} of kind: {name}" if path == "split" else f"kind: {name}"


def _keys(model: type[BaseModel] = Domain, path: str = "") -> Iterator[tuple[str, str, FieldInfo]]:
    """Section, name and field of every key a domain file can have."""
    for name, field in model.model_fields.items():
        if model is Domain and name in NOT_FOR_THE_FILE:
            continue
        of_table = issubclass(model, Table) and name in Table.model_fields
        # As the file spells it: `from` is no name in Python.
        yield TABLE if of_table else _section(path, model) or TOP, field.alias or name, field
        for inner in _models(field.annotation):
            yield from _keys(inner, f"{TABLE} {name}" if of_table else f"{path}.{name}".lstrip("."))


# Keys of a class that stands in several places are documented once, under the first.
_FIRST: dict[int, tuple[str, str, FieldInfo]] = {}
for _key in _keys():
    _FIRST.setdefault(id(_key[2]), _key)
ALL: dict[tuple[str, str], FieldInfo] = {}
for _place, _name, _field in _FIRST.values():
    # The catalogue may do without `files`; every other table needs them.
    ALL.setdefault((_place, _name), _field)
CASES = [pytest.param(*key, field, id=".".join(key)) for key, field in ALL.items()]


def _type_words(annotation: Any) -> str:
    """How the reference names a type."""
    parts = _parts(annotation)
    if all(isinstance(part, type) and issubclass(part, BaseModel) for part in parts):
        return "section"
    if len(parts) > 1:
        return " or ".join(_type_words(part) for part in parts)
    (part,) = parts
    arguments = get_args(part)
    if get_origin(part) is Literal:
        names = [f"`{value}`" for value in arguments]
        return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    if get_origin(part) is tuple:
        inner = _type_words(arguments[0])
        return f"list of {inner}{'s' if inner == 'section' else ''}"
    if get_origin(part) is dict:
        inner = _type_words(arguments[1])
        if "kind" in next(_models(arguments[1]), Table).model_fields:
            return "features by name"
        if inner == "section" or inner.startswith("list"):
            return re.sub(r"^(section|list).*", r"\1s by name", inner)
        return f"text to {inner}"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any value"}
    return {**names, date: "date", datetime: "date and time"}[part]


def _range_words(field: FieldInfo) -> str:
    """The bounds of a single number, as messages name them."""
    numbers = {int: "a whole number", float: "a number"}
    (part,) = parts if len(parts := _parts(field.annotation)) == 1 else (None,)
    return expectation(part, field.metadata).removeprefix(numbers[part]) if part in numbers else ""


def _value(cell: str) -> Any:
    assert re.fullmatch(r"`[^`]+`", cell), f"{cell!r} is no value in backticks"
    return yaml.safe_load(cell.strip("`"))


def _validated(field: FieldInfo, value: Any) -> Any:
    """A value as the model takes it, bounds included; raises where it does not."""
    return TypeAdapter(Annotated[field.annotation, field]).validate_python(value)


def test_the_reference_has_a_table_for_each_section_and_knows_no_key_too_many():
    documented = {(section, name) for section, rows in _documented().items() for name in rows}
    assert documented == set(ALL)


@pytest.mark.parametrize(("section", "name", "field"), CASES)
def test_type_default_meaning_and_example_of_every_key_are_those_of_the_models(section, name, field):
    row = _documented()[section][name]
    assert row.type == _type_words(field.annotation) + _range_words(field)
    if field.is_required():
        assert row.default == "**required**"
    elif field.get_default(call_default_factory=True) is None:
        assert row.default == "–"
    else:
        assert _validated(field, _value(row.default)) == field.get_default(call_default_factory=True)
    assert row.meaning or name == "kind"
    if row.example != "see there":
        assert _validated(field, _value(row.example)) is not None


def test_sources_take_the_keys_of_a_table_and_have_some_of_their_own():
    own = set(Source.model_fields) - set(Table.model_fields)
    assert "action" in own
    assert set(_documented()["interactions.sources"]) == own


def _blocks() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", _blocks(), ids=lambda block: block.split(":")[0] + f"-{len(block)}")
def test_every_example_is_valid_in_a_domain_file(block):
    minimal = yaml.safe_load(_blocks()[0])
    content = {**minimal, **yaml.safe_load(block)}
    domain = Domain(**content)
    assert domain.title == "Our shop"
    # Nothing was left to a default by mistake: each key written down is in what was read.
    for key in content:
        assert key in domain.model_fields_set


def test_every_link_within_the_page_leads_somewhere():
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", TEXT)) <= anchors
