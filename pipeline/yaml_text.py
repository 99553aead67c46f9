"""YAML as people mean it: what PyYAML takes silently for something else is refused, with key and line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MOST_BYTES: Final = 2_000_000
"""A domain file is some kilobytes; PyYAML reads about 100 kB a second."""

_MOST_VALUES: Final = 100_000
"""Aliases counted as often as they are used: nine lines of them can stand for a billion values."""
_DEEPEST: Final = 40
_BEYOND: Final = 2**63
_TAG: Final = "tag:yaml.org,2002:"
_VALUE_TAGS: Final = frozenset(
    f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "timestamp", "str")
)
_MERGE: Final = f"{_TAG}merge"

Key = tuple[str | int, ...]


class YamlFault(Exception):
    """YAML that cannot be read, or says something else than it seems to.

    Attributes:
        message: What was found, what was expected and what to do.
        key: Dotted key of the place; empty for the whole.
        line: Line of the place, from 1.
    """

    def __init__(self, message: str, key: str = "", line: int = 1) -> None:
        """Keeps the parts for the caller, who knows which text it is."""
        super().__init__(message)
        self.message, self.key, self.line = message, key, line

    def __str__(self) -> str:
        """Return the parts in one line."""
        return f"{self.key + ' ' if self.key else ''}(line {self.line}): {self.message}"


@dataclass(frozen=True)
class Written:
    """What a value was before YAML made something of it."""

    text: str
    line: int


@dataclass
class Yaml:
    """A YAML document.

    Attributes:
        content: Its values, as plain Python.
        written: Place to the text of each single value; with "[key]" at the end, of a key that is no text.
    """

    content: Any
    written: dict[Key, Written] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """PyYAML's, for which ``1e-3`` is a number, too, as in YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: list(ways) for first, ways in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"^[-+]?(?:\.\d+|\d+(?:\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(text: str) -> Yaml:
    """Read a YAML document.

    Args:
        text: The document.

    Raises:
        YamlFault: If it is none, or has a key twice, an impossible date, or a number that PyYAML would read
            by a base that nobody means (``010`` is 8, ``12:30`` is 750).
    """
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise YamlFault(f"found {len(text):,} characters; expected a domain file, which has some thousands")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise YamlFault(*_syntax(error)) from error
    except yaml.YAMLError as error:
        raise YamlFault(f"is no YAML: {' '.join(str(error).split())}. Is it a text file?") from error
    except RecursionError:
        _too_deep("", 1)
    result = Yaml(None)
    if node is not None:
        result.content = _Reader(loader, result).value(node, ())
    return result


def _syntax(error: yaml.MarkedYAMLError) -> tuple[str, str, int]:
    mark = error.problem_mark or error.context_mark
    said = ", ".join(part for part in (error.context, error.problem) if part)
    column = f", column {mark.column + 1}" if mark else ""
    tab = " (a tab: indent with spaces)" if "'\\t'" in said else ""
    return f"is no YAML{column}: {said}{tab}. Correct it there", "", mark.line + 1 if mark else 1


class _Reader:
    """Turns nodes into values."""

    def __init__(self, loader: _Loader, result: Yaml) -> None:
        self._loader, self._result, self._count = loader, result, 0

    def value(self, node: Node, place: Key) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            self._refuse(
                node,
                place,
                f"is more than {_MOST_VALUES:,} values, aliases (*name) written out. Use fewer aliases",
            )
        if len(place) > _DEEPEST:
            _too_deep(_dotted(place[:3]) + ".…", node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return {
                key: self.value(inner, (*place, key)) for key, inner in self._entries(node, place).items()
            }
        if isinstance(node, SequenceNode):
            if node.tag != f"{_TAG}seq":
                self._refuse(node, place, f"has the tag {node.tag}; expected a plain list. Remove the tag")
            return [self.value(inner, (*place, number)) for number, inner in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._single(node, place)

    def _entries(self, node: MappingNode, place: Key, depth: int = 0) -> Mapping[Any, Node]:
        """The entries of a mapping, those that it merges (``<<``) below its own."""
        if node.tag != f"{_TAG}map":
            self._refuse(node, place, f"has the tag {node.tag}; expected plain keys. Remove the tag")
        if depth > _DEEPEST:
            _too_deep(_dotted(place), node.start_mark.line + 1)
        own: dict[Any, Node] = {}
        lines: dict[Any, int] = {}
        merged: dict[Any, Node] = {}
        for key_node, inner in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                for other in inner.value if isinstance(inner, SequenceNode) else (inner,):
                    if not isinstance(other, MappingNode):
                        self._refuse(key_node, place, "merges (<<) what has no keys. Name a section there")
                    merged = {**self._entries(other, place, depth + 1), **merged}
                continue
            if not isinstance(key_node, ScalarNode):
                self._refuse(key_node, place, "has a list or section as a key; expected text")
            key = self._single(key_node, (*place, key_node.value), "[key]")
            if key in own:
                found = (
                    f"comes twice, in lines {lines[key]} and {line}" if line != lines[key] else "comes twice"
                )
                self._refuse(
                    key_node, (*place, key), f"{found}; expected it once. Join the two, or remove one of them"
                )
            own[key], lines[key] = inner, line
        return {**merged, **own}

    def _single(self, node: ScalarNode, place: Key, mark: str | None = None) -> Any:
        """A single value, or a key."""
        tag, text = node.tag, node.value
        quoted = node.style is not None
        if tag not in _VALUE_TAGS:
            self._refuse(node, place, f"has the tag {tag}; expected a plain value. Remove the tag")
        digits = text.lstrip("+-").replace("_", "")
        if not quoted and tag in (f"{_TAG}int", f"{_TAG}float"):
            if ":" in text:
                self._refuse(
                    node,
                    place,
                    f"found {text}, which YAML reads with base 60. Write '{text}' for text",
                )
            if tag == f"{_TAG}int" and re.fullmatch(r"0\d+", digits):
                self._refuse(
                    node,
                    place,
                    f"found {text}, which YAML reads with base 8. Write {digits.lstrip('0') or 0} for "
                    f"the number, '{text}' for text",
                )
        try:
            value = self._loader.construct_object(node)
        except (ValueError, OverflowError, yaml.YAMLError) as error:
            expected = (
                "a date such as 2024-05-31" if tag == f"{_TAG}timestamp" else "a value that YAML can read"
            )
            raise YamlFault(
                f"found {text[:80]}, expected {expected}", _dotted(place), node.start_mark.line + 1
            ) from error
        if isinstance(value, int) and abs(value) >= _BEYOND:
            self._refuse(
                node, place, f"found {text[:80]}, a number beyond 64 bits. Write it in quotes for text"
            )
        if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
            self._refuse(
                node, place, f"found {value[:80]!r}, which holds a character that no text has. Remove it"
            )
        if not isinstance(value, str) or mark is None:
            where = (*place[:-1], value, mark) if mark else place
            self._result.written[where] = Written(text, node.start_mark.line + 1)
        return value

    def _refuse(self, node: Node, place: Key, message: str) -> NoReturn:
        raise YamlFault(message, _dotted(place), node.start_mark.line + 1)


def _dotted(place: Key) -> str:
    return ".".join(str(part) for part in place)


def _too_deep(key: str, line: int) -> NoReturn:
    raise YamlFault(
        f"is nested in more than {_DEEPEST} levels, or in itself; expected a few. Write it flat", key, line
    )
