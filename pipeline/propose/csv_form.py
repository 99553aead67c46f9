"""How a CSV file is laid out: delimiter, quotes, header, and what stands above it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.ingest.errors import UserError

DELIMITERS = (",", "\t", ";", "|", "\x01", "^")
_SNIFFED_LINES = 300
_LINES_ABOVE = 20
_RAGGED = 0.005
_MOSTLY = 0.9
_WIDE = 12
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}( .*)?")
_CODE = re.compile(r"([A-Za-z]{1,8}[-_]?)\d+")
_ADDRESS = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class CsvForm:
    """How a CSV file is written.

    Attributes:
        columns: Names of the columns.
        delimiter: Between the cells.
        keys: Further keys of the table in the domain file.
        why: What speaks for these.
    """

    columns: tuple[str, ...]
    delimiter: str
    keys: Mapping[str, Any]
    why: str


@dataclass(frozen=True)
class _Cut:
    """The first lines of a file, cut in one way.

    Attributes:
        delimiter: Between the cells.
        quote: What cells are quoted with; empty for nothing.
        escape: What stands before a quote that is text; empty for nothing.
        rows: The cells.
    """

    delimiter: str
    quote: str
    escape: str
    rows: list[list[str]]

    @cached_property
    def width(self) -> int:
        """How many cells most rows have."""
        return Counter(map(len, self.rows)).most_common(1)[0][0]

    @cached_property
    def score(self) -> tuple[float, int]:
        """How well the cut fits: the share of the rows that have the most common width, and that width."""
        alike = sum(len(row) == self.width for row in self.rows)
        return alike / len(self.rows), self.width


def sniff_csv(file: str, text: str) -> CsvForm:
    """Return how a file is written.

    Args:
        file: For messages.
        text: Its beginning.

    Raises:
        UserError: If the cells are separated by something that cannot be declared.
    """
    cuts = [_cut(text, delimiter) for delimiter in DELIMITERS]
    cuts = [cut for cut in cuts if cut.width > 1]
    if not cuts:
        _refuse_undelimited(file, text)
        plain = _cut(text, ",")
        return CsvForm(tuple(plain.rows[0]), ",", {}, "")
    cut = max(cuts, key=lambda found: found.score)
    keys: dict[str, Any] = {}
    why = []
    if cut.escape:
        keys["escape"] = cut.escape
        why.append(f"quotes within cells stand behind {cut.escape}")
    if not cut.quote:
        keys["quote"] = ""
        why.append("quotes in it are text: taken for quotes, they would swallow cells")
    skipped = _lines_above(cut)
    rows = cut.rows[skipped:]
    if skipped:
        # Rows above have no quoted line breaks, so they are as many lines; blank ones count as well.
        keys["skip_lines"] = _lines_before(text, cut, skipped)
        why.append(f"{skipped} rows above the header: {' '.join(cut.rows[0])[:40]!r}")
    names = tuple(rows[0])
    if _is_headerless(rows, cut.width):
        names = _names_by_content(rows)
        keys["header"] = list(names)
        why.append("no header row: name the columns here as you like")
    elif len(set(filter(None, names))) < len(list(filter(None, names))):
        twice = next(name for name in names if name and names.count(name) > 1)
        keys["skip_lines"] = keys.get("skip_lines", 0) + 1
        names = _told_apart(names)
        keys["header"] = list(names)
        why.append(f"{twice} stands more than once in the header, which is replaced by the names here")
    if _is_ragged(rows, len(names)):
        keys["ragged"] = "pad"
        why.append(f"some rows have fewer than {len(names)} cells")
    return CsvForm(names, cut.delimiter, keys, "; ".join(why))


def _cut(text: str, delimiter: str) -> _Cut:
    """The best way to cut the text at a delimiter: quotes as usual, with escapes, or as text."""
    cuts = [_Cut(delimiter, '"', "", _rows(text, delimiter, '"', ""))]
    if '"' in text[: 1 << 20]:
        if '\\"' in text[: 1 << 20]:
            cuts.append(_Cut(delimiter, '"', "\\", _rows(text, delimiter, '"', "\\")))
        cuts.append(_Cut(delimiter, "", "", _rows(text, delimiter, "", "")))
    usual, *others = cuts
    escaped = next((cut for cut in others if cut.escape), None)
    if escaped and escaped.score >= usual.score and escaped.width > 1:
        return escaped
    best = max(cuts, key=lambda cut: cut.score)
    # Quoted cells with line breaks have fewer rows than lines, and rows that are all alike: they are right.
    if best is not usual and best.score[0] > usual.score[0] and best.score[1] > 1:
        return best
    if _has_text_after_quotes(text, delimiter) and others[-1].score >= usual.score:
        return others[-1]
    swallowed = [cut for cut in others if not cut.quote and cut.score[0] == 1 and cut.width == usual.width]
    if swallowed and _has_broken_cells(usual):
        return swallowed[0]
    return usual


def _has_text_after_quotes(text: str, delimiter: str) -> bool:
    """Whether a cell goes on after a quote that closed it: then quotes are text."""
    sign = re.escape(delimiter)
    pattern = rf'(?:^|{sign})"[^"\n{sign}]*"(?!["\r\n{sign}]|\Z)'
    return re.search(pattern, text[: 1 << 20], re.MULTILINE) is not None


def _has_broken_cells(cut: _Cut) -> bool:
    """Whether a quoted cell holds whole rows: a quote that was text opened it."""
    return any(
        cell.count("\n") >= 1 and cell.count(cut.delimiter) >= cut.width for row in cut.rows for cell in row
    )


def _rows(text: str, delimiter: str, quote: str, escape: str) -> list[list[str]]:
    # A quote that never closes would swallow the file: cap what csv may hold in a cell by the text given.
    lines = text[: 1 << 20].splitlines(keepends=True)[: _SNIFFED_LINES * 4]
    reader = csv.reader(
        io.StringIO("".join(lines)),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        escapechar=escape or None,
    )
    rows = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) == _SNIFFED_LINES:
                break
    except csv.Error:
        pass
    # The last row of a cut text may be half a row.
    return (rows[:-1] if len(rows) > 2 else rows) or [[""]]


def _lines_above(cut: _Cut) -> int:
    """Rows above the header: those with fewer filled cells, before the first that has the usual width."""
    rows, width = cut.rows, cut.width
    first = _filled(rows[0])
    # A header without a name for the index, or one cell short, is a header.
    if first >= max(2, width - 1) or (first >= 2 and len(rows[0]) == width and width <= 3):
        return 0
    for at, row in enumerate(rows[: _LINES_ABOVE + 1]):
        if _filled(row) >= width - 1 and len(set(row)) == len(row):
            return at
    return 0


def _filled(row: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _lines_before(text: str, cut: _Cut, rows: int) -> int:
    """Lines of the file before the row of that number, blank ones counted."""
    header = cut.rows[rows]
    for at, line in enumerate(text.splitlines()[: 4 * _LINES_ABOVE]):
        if next(iter(_rows(line + "\n", cut.delimiter, cut.quote, cut.escape)), None) == header:
            return at
    return rows


def _is_headerless(rows: list[list[str]], width: int) -> bool:
    """Whether the first row holds values, as the others do."""
    header, body = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not body:
        return False
    numbers = [int(name) for name in header if name.strip().isdigit()]
    if len(numbers) >= _WIDE and numbers == sorted(set(numbers)):
        return False  # A matrix, whose columns are called by the ids of items.
    alike = [at for at, name in enumerate(header) if _is_like_the_rest(name, body, at)]
    repeated = [at for at, name in enumerate(header) if name and any(row[at] == name for row in body)]
    return bool(alike) or len(repeated) >= max(2, width // 2)


def _is_like_the_rest(name: str, body: list[list[str]], at: int) -> bool:
    """Whether a cell is a number, a time, an address or a code, and so are those below it."""
    cells = [row[at] for row in body if row[at]]
    if not cells or not name:
        return False
    if _is_number(name):
        return sum(map(_is_number, cells)) > len(cells) / 2
    for shape in (_MOMENT, _ADDRESS):
        if shape.fullmatch(name.strip()):
            return sum(shape.fullmatch(cell.strip()) is not None for cell in cells) > _MOSTLY * len(cells)
    code = _CODE.fullmatch(name.strip())
    if code is None or len(set(cells)) < 3:
        return False
    prefix = code.group(1)
    found = [_CODE.fullmatch(cell.strip()) for cell in cells]
    return sum(match is not None and match.group(1) == prefix for match in found) > _MOSTLY * len(cells)


def _names_by_content(rows: list[list[str]]) -> tuple[str, ...]:
    """Names for columns that have none: time, where all cells are moments; else by their place."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    full = [row for row in rows if len(row) == width]
    names: list[str] = []
    for at in range(width):
        cells = [row[at].strip() for row in full if row[at].strip()]
        moments = bool(cells) and all(_MOMENT.fullmatch(cell) for cell in cells)
        names.append("time" if moments and "time" not in names else f"column_{at + 1}")
    return tuple(names)


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once: those that come again are numbered, those that are empty named by their place."""
    apart: list[str] = []
    for at, name in enumerate(names, 1):
        plain = name or f"column_{at}"
        able = (plain, *(f"{plain}_{number}" for number in range(2, len(names) + 2)))
        apart.append(next(name for name in able if name not in apart))
    return tuple(apart)


def _is_ragged(rows: list[list[str]], width: int) -> bool:
    """Whether a good part of the rows have fewer cells than there are columns, and none has more."""
    short = sum(len(row) < width for row in rows[1:])
    long = sum(_filled(row[width:]) > 0 for row in rows[1:])
    return short >= max(1, _RAGGED * len(rows)) and short > long


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.strip().lower() not in ("nan", "inf", "infinity")


def _refuse_undelimited(file: str, text: str) -> None:
    first = text.splitlines()[0]
    for sign in ("::", "||", " "):
        if sign in first and len({line.count(sign) for line in text.splitlines()[:50] if line}) == 1:
            raise UserError(
                f"{file}: the cells are separated by {sign!r}. Expected one character: comma, tab, semicolon "
                f"or bar; first line: {first[:100]!r}. Write the file again with tabs: "
                f"sed 's/{sign}/\\t/g' {file} > rows.tsv."
            )
