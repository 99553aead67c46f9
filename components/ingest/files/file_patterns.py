"""Patterns of file names that number spans (days, weeks, deliveries) and their versions.

The placeholders are TFX's: ``{SPAN}`` and ``{VERSION}`` stand for a number, ``{SPAN:3}`` for one of
exactly three digits; ``{YYYY}``, ``{MM}`` and ``{DD}``, all three of them, for a date, whose span is its
number of days since 1970-01-01. Around them, ``*``, ``?`` and ``[...]`` mean what they mean in a glob.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from components.ingest.errors import UserError

_EPOCH = date(1970, 1, 1).toordinal()
_PLACEHOLDER = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(?::(\d+))?\}")
_DATE = {"YYYY": 4, "MM": 2, "DD": 2}
_SHOWN_FILES = 20


@dataclass(frozen=True)
class SpanFiles:
    """Files of the newest spans.

    Attributes:
        by_span: Span to its files, sorted, ascending by span; empty where the pattern numbers none.
        files: All of them, sorted.
        left_out: Files that the glob matches but whose names number no span, sorted: anything but digits in
            a placeholder's place, or a date that does not exist.
    """

    by_span: dict[int, tuple[str, ...]]
    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def remark(self, pattern: str) -> str | None:
        """Return what to tell the user of the files left out; None where there are none."""
        if not self.left_out:
            return None
        names = ", ".join(self.left_out[:_SHOWN_FILES])
        more = len(self.left_out) - _SHOWN_FILES
        return (
            f"{len(self.left_out):,} files lie where those of {pattern} do, but are not read: {names}"
            f"{f' and {more:,} more' if more > 0 else ''}. Expected digits in place of what stands in "
            "braces, and a date that exists. Rename them if they belong to the table, or move them away."
        )

    @property
    def newest(self) -> int | None:
        """The newest span's number; None where the pattern numbers none."""
        return max(self.by_span, default=None)


def as_glob(pattern: str) -> str:
    """The pattern with ``*`` in place of every placeholder."""
    return _PLACEHOLDER.sub("*", pattern)


def newest_spans(pattern: str, files: Iterable[str], spans: int | None = None) -> SpanFiles:
    """Picks the newest spans, and of each only the highest version.

    Args:
        pattern: With or without placeholders; relative to a directory that all files are in, or absolute.
        files: What matches :func:`as_glob` of it. Files with anything but the right number of digits in
            a placeholder's place, or no such date, are no part of the table.
        spans: How many spans; None: all.

    Raises:
        UserError: If the pattern's placeholders make no sense, or no file is left.
    """
    _check(pattern)
    files = sorted(files)
    if not _PLACEHOLDER.search(pattern):
        return SpanFiles({}, tuple(files))
    expression = _expression(pattern)
    versions: dict[int, dict[int, list[str]]] = {}
    left_out: list[str] = []
    for file in files:
        match = expression.fullmatch(file)
        span = _span(match.groupdict()) if match else None
        if match and span is not None:
            version = int(match.groupdict().get("VERSION") or 0)
            versions.setdefault(span, {}).setdefault(version, []).append(file)
        else:
            left_out.append(file)
    if not versions:
        raise UserError(
            f"no file fits {pattern}; there are: {', '.join(files[:_SHOWN_FILES]) or 'none'}. Expected "
            "digits in place of what stands in braces (and a date that exists). Rename the files, or "
            "correct 'files' in domain.yaml."
        )
    chosen = sorted(versions)[-spans:] if spans else sorted(versions)
    by_span = {span: tuple(versions[span][max(versions[span])]) for span in chosen}
    chosen_files = sorted(file for of_span in by_span.values() for file in of_span)
    return SpanFiles(by_span, tuple(chosen_files), tuple(left_out))


def _check(pattern: str) -> None:
    names = [name for name, _ in _PLACEHOLDER.findall(pattern)]
    dated = [name for name in names if name in _DATE]
    fault = None
    if dated and "SPAN" in names:
        fault = "both {SPAN} and a date; expected one of them"
    elif dated and sorted(dated) != sorted(_DATE):
        fault = "only a part of a date, or one twice; expected {YYYY}, {MM} and {DD}, each once"
    elif names.count("SPAN") > 1 or names.count("VERSION") > 1:
        fault = "a placeholder twice; expected it once"
    elif "VERSION" in names and len(names) == 1:
        fault = "{VERSION} alone; expected {SPAN} or a date beside it"
    if fault:
        raise UserError(f"{pattern}: found {fault}. Correct 'files' in domain.yaml.")


def _expression(pattern: str) -> re.Pattern[str]:
    """What the ends of the files' paths must be; the directory before a relative pattern is a path."""
    parts, end = ["(?:.*/)?"], 0
    for placeholder in _PLACEHOLDER.finditer(pattern):
        name, width = placeholder.groups()
        digits = f"{{{_DATE.get(name, width)}}}" if name in _DATE or width else "+"
        parts += [_glob_expression(pattern[end : placeholder.start()]), f"(?P<{name}>[0-9]{digits})"]
        end = placeholder.end()
    return re.compile("".join([*parts, _glob_expression(pattern[end:])]), re.DOTALL)


def _glob_expression(text: str) -> str:
    """A regular expression for a glob without placeholders; wildcards stay within a folder."""
    return "".join(_token_expression(token) for token in re.split(r"(\*|\?|\[!?\]?[^\]]*\])", text))


def _token_expression(token: str) -> str:
    if token in ("*", "?"):
        return {"*": "[^/]*", "?": "[^/]"}[token]
    if token.startswith("[") and token.endswith("]"):
        inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", token[1:-1].removeprefix("!"))
        expression = f"[{'^' if token.startswith('[!') else ''}{inside}]"
        try:
            re.compile(expression)
        except re.error:
            # A range the wrong way round, which a glob matches with nothing.
            return "(?!)"
        return expression
    return re.escape(token)


def _span(found: dict[str, str]) -> int | None:
    if "SPAN" in found:
        return int(found["SPAN"])
    try:
        day = date(*(int(found[name]) for name in _DATE))
    except ValueError:
        return None
    return day.toordinal() - _EPOCH
