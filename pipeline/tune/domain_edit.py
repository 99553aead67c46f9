"""Writes settings into the text of a domain file, and leaves all else in it as it is, comments included."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from components.ingest.errors import UserError
from pipeline.domain import DOMAIN_FILE, load_domain
from pipeline.tune.trials import in_yaml

_INDENT = "  "


def write_settings(source: Path, target: Path, settings: Mapping[str, Any]) -> None:
    """Writes a domain file with some of its settings changed.

    Args:
        source: The domain file.
        target: Where to; perhaps the same. Whole at any moment.
        settings: Dotted key to value.

    Raises:
        UserError: If the text cannot be changed without harm, the result is no valid domain file, or
            it cannot be written.
    """
    try:
        with source.open(encoding="utf-8", newline="") as file:
            text = file.read()
        changed = with_settings(text, settings)
        if changed is None:
            raise UserError(
                f"{source} cannot be changed without touching its comments or what YAML anchors share. "
                "Nothing was written: put in by hand\n" + as_yaml(settings)
            )
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unfinished-") as folder:
            aside = Path(folder) / DOMAIN_FILE
            aside.write_text(changed, encoding="utf-8", newline="")
            shutil.copymode(source, aside)
            load_domain(folder)
            os.replace(aside, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error


def as_yaml(settings: Mapping[str, Any]) -> str:
    """Settings by dotted key as a domain file says them."""
    content: dict[str, Any] = {}
    for key, value in settings.items():
        _put(content, key.split("."), value)
    return "\n".join(_block(content))


def with_settings(text: str, settings: Mapping[str, Any]) -> str | None:
    """A domain file's text with settings changed or added.

    Args:
        text: The file's.
        settings: Dotted key to value.

    Returns:
        The new text; None where a comment would go, or anything else than the settings would change.
    """
    expected = _unshared(yaml.safe_load(text))
    line_end = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    for key, value in settings.items():
        path = key.split(".")
        changed = _changed(text, path, value)
        if changed is None:
            return None
        text = changed
        _put(expected, path, value)
    try:
        if yaml.safe_load(text) != expected:
            return None
    except yaml.YAMLError:
        return None
    return text.replace("\n", line_end)


def _unshared(content: Any) -> Any:
    """A copy in which what an anchor and its aliases stand for are different things."""
    if isinstance(content, dict):
        return {key: _unshared(value) for key, value in content.items()}
    return [_unshared(value) for value in content] if isinstance(content, list) else content


def _put(content: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for name in parents:
        if content.get(name) is None:
            content[name] = {}
        content = content[name]
    content[last] = value


def _changed(text: str, path: Sequence[str], value: Any) -> str | None:
    """The text with one setting changed; None where a comment would go."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode), "it has been read as a domain"
    for depth, name in enumerate(path):
        found = next(((key, inner) for key, inner in node.value if key.value == name), None)
        rest = _nested(path[depth + 1 :], value)
        if found is None:
            return _inserted(text, node, name, rest)
        key, inner = found
        if depth == len(path) - 1 or not isinstance(inner, yaml.MappingNode):
            # What stands there is the setting, or nothing where a section belongs.
            return _replaced(text, key, inner, rest)
        node = inner
    raise AssertionError("a path has at least one part")


def _replaced(text: str, key: yaml.Node, old: yaml.Node, value: Any) -> str | None:
    start = text.index(":", key.end_mark.index) + 1
    end = max(start, _end(text, old))
    gone = text[start:end]
    if "\n" in gone and "#" in gone:
        return None
    return f"{text[:start]} {in_yaml(value)}{text[end:]}"


def _inserted(text: str, mapping: yaml.MappingNode, name: str, value: Any) -> str:
    """The text with a key more: the first of a mapping in braces, else on a line after the last one."""
    if mapping.flow_style:
        at = mapping.start_mark.index + 1
        return f"{text[:at]}{name}: {in_yaml(value)}{', ' if mapping.value else ''}{text[at:]}"
    column = mapping.value[0][0].start_mark.column
    line_end = text.find("\n", _end(text, mapping))
    at = len(text) if line_end < 0 else line_end
    # A new section stands apart, as sections do.
    lines = ["", *([""] if column == 0 else []), *(" " * column + line for line in _block({name: value}))]
    return text[:at] + "\n".join(lines) + (text[at:] or "\n")


def _end(text: str, node: yaml.Node) -> int:
    """Where a node's text ends; the parser's own mark of a block is where the next one begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return max(_end(text, part) for part in (last if isinstance(last, tuple) else (last,)))
    return len(text[: node.end_mark.index].rstrip())


def _nested(path: Sequence[str], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


def _block(content: Mapping[str, Any]) -> list[str]:
    """Lines of a mapping in block style, lists in brackets."""
    lines = []
    for name, value in content.items():
        if isinstance(value, dict):
            lines += [f"{name}:", *(_INDENT + line for line in _block(value))]
        else:
            lines.append(f"{name}: {in_yaml(value)}")
    return lines
