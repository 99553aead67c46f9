"""What a sample shows of each column: its type, how many values, which, and what they could mean."""

from __future__ import annotations

import keyword
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.assemble.signature_names import is_filter_input, is_reserved
from components.ingest.declaration import DERIVED
from components.ingest.errors import UserError
from components.ingest.files.columns import Column, as_text
from components.ingest.files.numbers import MISSING_NUMBERS, PLAIN, Numerals, ways_to_read
from pipeline.propose import words
from pipeline.propose.edits import Edits, cleaned, without
from pipeline.propose.given import GivenTable
from pipeline.propose.moments import Moments, find_moments
from pipeline.propose.sample import Sample, take_sample, whole_column

Shape = Literal["integer", "number", "text", "boolean", "moment", "list", "vector", "nested", "empty"]

_MISSING = pa.array([*MISSING_NUMBERS])
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CLOCK = r"^\s*\d{1,2}:\d\d(:\d\d(\.\d+)?)?\s*([AaPp]\.?[Mm]\.?)?\s*$"
_NAMED = words.QUERIES | words.VISITS | words.CANDIDATES
_LEADING_ZERO = r"^\s*-?0\d"
_NEARLY_ALL = 0.98
_MOST_GAPS = 0.6
"""Who did something may be unknown in up to this share of the rows of a column that says it."""
_NEARLY_KEY = 0.5
_FREQUENT = 2_000
"""A word for nothing is among so many of a column's most frequent values, or matters little."""
_ROW_NUMBERS = re.compile(r"Unnamed: \d+|index|level_0")


@dataclass(frozen=True)
class ColumnProfile:
    """One column of a table, as far as the sample shows it.

    Attributes:
        name: In the file.
        declared: In the domain file: letters, digits and underscores only, for it becomes the name of
            an input of the served model.
        shape: What the cells are.
        text: [n] strings, the cells as text; null where missing (and everywhere for lists).
        numbers: [m] doubles, the cells that are there, of integers and numbers.
        parts: The cells of lists, flattened: [p] strings.
        part_counts: [m] values in each list that is there.
        moments: How to read the column as time, if it is one.
        not_numbers: A few cells of a column of text that is nearly all numbers, which are none.
        cells: [n] cells, as read.
    """

    name: str
    declared: str
    shape: Shape
    text: pa.Array
    numbers: np.ndarray
    parts: pa.Array
    part_counts: np.ndarray
    moments: Moments | None = None
    not_numbers: tuple[str, ...] = ()
    cells: pa.Array | None = field(default=None, repr=False)

    @cached_property
    def missing_share(self) -> float:
        """Share of the cells that hold nothing."""
        present = len(self.part_counts) if self.shape in ("list", "vector") else len(self.present)
        return 1 - present / len(self.text)

    @cached_property
    def present(self) -> pa.Array:
        """The cells that are there, as text."""
        return self.text.drop_null()

    @cached_property
    def _counts(self) -> tuple[pa.Array, np.ndarray]:
        """Distinct values, most frequent first, and how often each comes."""
        counted = pc.value_counts(self.parts if self.shape == "list" else self.present)
        counts = counted.field("counts").to_numpy()
        order = np.argsort(-counts, kind="stable")
        return counted.field("values").take(pa.array(order)), counts[order]

    @property
    def values(self) -> pa.Array:
        """Distinct values, most frequent first; of lists, the values in them."""
        return self._counts[0]

    @property
    def as_ingested(self) -> pa.Array:
        """Distinct values as ingestion keeps a vocabulary's: text as it is written, 25.0 too."""
        if self.cells is None:
            return self.values
        return pc.unique(Column(name=self.name).convert(self.cells).values).drop_null()

    @property
    def counts(self) -> np.ndarray:
        """How often each of :attr:`values` comes."""
        return self._counts[1]

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(self.values)

    @property
    def is_key(self) -> bool:
        """Whether every row has a value of its own."""
        return (
            self.shape in ("integer", "text") and self.missing_share == 0 and self.distinct == len(self.text)
        )

    @property
    def is_row_name(self) -> bool:
        """Whether every row has a word of its own, as an id does: titles have spaces."""
        return self.is_key and bool(self.words_per_cell.mean() < 1.5)

    @property
    def could_be_id(self) -> bool:
        """Whether the cells could name something, be it in most rows."""
        able = self.shape in ("integer", "text") and self.moments is None
        return able and self.missing_share <= _MOST_GAPS and not self.is_clock

    @cached_property
    def is_clock(self) -> bool:
        """Whether the cells are times of day, such as 08:06."""
        if self.shape not in ("text", "moment") or not len(self.present) or self.moments:
            return False
        some = self.present.slice(0, 2000)
        return bool(pc.mean(pc.match_substring_regex(some, pattern=_CLOCK)).as_py() >= _NEARLY_ALL)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of the column's name, lower case, singular."""
        return words_of(self.declared)

    @cached_property
    def words_per_cell(self) -> np.ndarray:
        """[min(m, 20000)] how many words the cells that are there hold."""
        cells = self.present.slice(0, 20_000)
        return pc.list_value_length(pc.split_pattern_regex(pc.utf8_trim_whitespace(cells), r"\s+")).to_numpy()


@dataclass(frozen=True)
class TableProfile:
    """A table and what a sample shows of it."""

    given: GivenTable
    sample: Sample
    columns: tuple[ColumnProfile, ...]
    edits: Edits = field(default_factory=Edits)

    def column(self, name: str) -> ColumnProfile:
        """The column of that name in the files."""
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def keys(self) -> tuple[ColumnProfile, ...]:
        """Columns whose values are all different, in the whole table where it could be read.

        Titles may all differ, too, but with a space in them they are no ids.
        """
        able = [c for c in self.columns if c.is_row_name and c.moments is None]
        return tuple(column for column in able if self._stays_key(column))

    @cached_property
    def nearly_keys(self) -> tuple[ColumnProfile, ...]:
        """Columns of ids in every row, of which a good part come more than once: a key that was repeated."""
        return tuple(
            column
            for column in self.columns
            if column.could_be_id
            and column not in self.keys
            and column.missing_share < 0.01
            and column.distinct >= _NEARLY_KEY * len(column.text)
            and column.words_per_cell.mean() < 1.5
        )

    @cached_property
    def described(self) -> int:
        """How many columns say something of the rows: neither ids nor the same in all rows."""
        return sum(
            column.shape != "empty"
            and column.distinct > 1
            and not words.IDS.intersection(column.words)
            and not column.is_row_name
            for column in self.columns
        )

    def with_clean(self, column: ColumnProfile, rules: dict[str, object], why: str) -> TableProfile:
        """The table with the text of one column cleaned up."""
        changed = replace(column, text=cleaned(column.text, rules))
        columns = tuple(changed if other is column else other for other in self.columns)
        return replace(self, columns=columns, edits=self.edits.with_clean(column.declared, rules, why))

    def with_missing(self, column: ColumnProfile, values: tuple[object, ...], why: str) -> TableProfile:
        """The table with some values of one column standing for none."""
        text = without(column.text, values)
        numbers = column.numbers[~np.isin(column.numbers, _as_numbers(values))]
        changed = replace(column, text=text, numbers=numbers)
        columns = tuple(changed if other is column else other for other in self.columns)
        return replace(self, columns=columns, edits=self.edits.with_missing(column.declared, values, why))

    def renamed(self, column: ColumnProfile, declared: str) -> TableProfile:
        """The table with one column declared under another name."""
        columns = tuple(
            replace(other, declared=declared) if other is column else other for other in self.columns
        )
        return replace(self, columns=columns)

    def estimated_distinct(self, column: ColumnProfile) -> float:
        """How many different values the whole table has, were all equally frequent.

        Of a large table's users hardly one may come twice in a sample: it is how often that happens which
        tells them from what never repeats.
        """
        rows, seen = len(column.present), column.distinct
        if self.sample.whole or seen == 0:
            return seen
        if seen == rows:
            return math.inf
        # n draws from D values show D (1 - exp(-n / D)) of them, which grows with D.
        low, high = float(seen), float(rows) ** 2
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if -middle * math.expm1(-rows / middle) < seen else (low, middle)
        return low

    def key_values(self, column: ColumnProfile) -> pa.Array:
        """All values of a column: of the whole table where it could be read, else of the sample."""
        return self._cells(column).drop_null()

    @cached_property
    def _whole_columns(self) -> dict[str, pa.Array | None]:
        return {}

    def _cells(self, column: ColumnProfile) -> pa.Array:
        if self.sample.whole:
            return column.text
        if column.name not in self._whole_columns:
            self._whole_columns[column.name] = whole_column(self.given, column.name)
        cells = self._whole_columns[column.name]
        if cells is None:
            return column.text
        return cleaned(cells, self.edits.clean.get(column.declared, {}))

    def _stays_key(self, column: ColumnProfile) -> bool:
        if self.sample.whole:
            return True
        cells = self._cells(column)
        return cells.null_count == 0 and pc.count_distinct(cells).as_py() == len(cells)


def profile_table(given: GivenTable) -> TableProfile:
    """Samples a table and looks at each of its columns.

    Raises:
        UserError: If the table cannot be read or holds no rows.
    """
    for name in given.dialect.columns:
        if given.dialect.columns.count(name) > 1:
            raise UserError(
                f"{given.files[0]} has {given.dialect.columns.count(name)} columns called {name!r}. Expected "
                "every name once; rename them in the header."
            )
    sample = take_sample(given)
    names = declared_names(given.dialect.columns)
    columns = []
    for name, declared in names.items():
        column = profile_column(name, declared, sample.rows[name].combine_chunks())
        if not _numbers_the_rows(column):
            columns.append(column)
    return _with_numerals(_with_null_words(TableProfile(given, sample, tuple(columns))))


def _with_numerals(profile: TableProfile) -> TableProfile:
    """The profile with text such as 3,50 read as numbers, where one way to write them fits all columns."""
    ways = {c.declared: ways_to_read(c.present) for c in profile.columns if _writes_numbers(c)}
    if not ways:
        return profile
    plain = [
        c for c in profile.columns if c.shape == "number" and c.cells is not None and _is_text(c.cells.type)
    ]
    common = [
        way
        for way in next(iter(ways.values()))
        if all(way in others for others in ways.values()) and all(_reads(way, c) for c in plain)
    ]
    if not common or PLAIN in common:
        return profile
    # Where semicolons separate the cells, commas are in the numbers.
    way = next(
        (w for w in common if (w.decimal == ",") == (profile.given.dialect.delimiter == ";")), common[0]
    )
    keys = {name: sign for name, sign in way._asdict().items() if sign != getattr(PLAIN, name)}
    columns, shown = [], []
    for column in profile.columns:
        if column.declared in ways and column.cells is not None:
            shown.append(f"{column.name} such as {column.present[0]}")
            column = profile_column(column.name, column.declared, column.cells, way)
        columns.append(column)
    why = f"numbers are written so: {', '.join(shown)}"
    if len(common) > 1:
        others = " or ".join(other.keys for other in common if other is not way)
        why += f"; {others} would fit as well"
    edits = replace(profile.edits, numbers=keys, why={**profile.edits.why, "decimal, thousands": why})
    return replace(profile, columns=tuple(columns), edits=edits)


def _writes_numbers(column: ColumnProfile) -> bool:
    """Whether a column of text holds numbers in another way than with a point."""
    if column.shape != "text" or column.moments or words.IDS.intersection(column.words):
        return False
    some = column.present.slice(0, _FREQUENT)
    if not len(some) or pc.any(pc.match_substring_regex(some, pattern=_LEADING_ZERO)).as_py():
        return False
    return any(_reads(way, column) for way in ways_to_read(some))


def _reads(way: Numerals, column: ColumnProfile) -> bool:
    """Whether nearly all cells of a column are numbers, written so."""
    written = column.present if column.shape == "text" or column.cells is None else column.cells
    cells = written.slice(0, _FREQUENT)
    wrong = Column(name=column.name, type="number").convert(cells, way).wrong
    return bool(wrong.mean() <= 1 - _NEARLY_ALL)


def _with_null_words(profile: TableProfile) -> TableProfile:
    """The profile with words such as NULL standing for no value, where ids or numbers have them."""
    found = {
        column.declared: absent
        for column in profile.columns
        if column.shape == "text" and (absent := _null_words(column))
    }
    if not found:
        return profile
    columns, edits = [], profile.edits
    for column in profile.columns:
        if column.declared in found:
            absent = found[column.declared]
            text = without(column.text, absent)
            share = 1 - len(text.drop_null()) / max(1, len(column.present))
            shown = ", ".join(map(repr, absent))
            edits = edits.with_missing(column.declared, absent, f"{share:.1%} of {column.name} are {shown}")
            column = profile_column(column.name, column.declared, text)
        columns.append(column)
    return replace(profile, columns=tuple(columns), edits=edits)


def _null_words(column: ColumnProfile) -> tuple[str, ...]:
    """The column's values that are a word for nothing."""
    return tuple(
        value
        for value in pc.utf8_trim_whitespace(column.values.slice(0, _FREQUENT)).to_pylist()
        if value.lower() in words.NULLS
    )


def _numbers_the_rows(column: ColumnProfile) -> bool:
    """Whether it is the index that pandas writes along."""
    return (
        _ROW_NUMBERS.fullmatch(column.name) is not None
        and column.shape == "integer"
        and len(column.numbers) == len(column.text)
        and bool((np.diff(column.numbers) > 0).all())
    )


def _as_numbers(values: tuple[object, ...]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float)]


def declared_names(names: tuple[str, ...]) -> dict[str, str]:
    """Name in the file to the name to declare, each different. Columns without a name are left out.

    ``user_id:token``, a name with its type, becomes ``user_id``; other signs become underscores; a name
    that ingestion or the served model needs for itself becomes ``name_column``.
    """
    declared: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        if not name.strip():
            continue
        plain = _free(_identifier(name.split(":")[0]) if ":" in name else _identifier(name))
        others = (_free(_identifier(name)), *(f"{plain}_{n}" for n in range(2, len(names) + 2)))
        # The served model does not tell upper from lower case.
        declared[name] = next(able for able in (plain, *others) if able.lower() not in taken)
        taken.add(declared[name].lower())
    return declared


def _free(name: str) -> str:
    """The name, or another where it is one that nobody's column may have."""
    if is_filter_input(name):
        return f"their_{name}"
    return f"{name}_column" if name.lower() in DERIVED or is_reserved(name.lower()) else name


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, lower case, singular: ``userIds`` gives user, id."""
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    found = re.findall(r"[^\W_\d]+", _CAMEL.sub("_", plain))
    return tuple(part for word in found for part in _parts_of(word.lower()))


def _parts_of(word: str) -> tuple[str, ...]:
    """The parts of a compound whose parts are known, singular: ``kundennr`` gives kunden, nr."""
    if word in words.HEADS:
        return (word,)
    for end in words.SUFFIXES:
        rest = word.removesuffix(end)
        if rest != word and (rest in _NAMED or _singular(rest) in _NAMED):
            return (_singular(rest), end)
    for end in words.HEADS:
        rest = word.removesuffix(end)
        if rest != word and len(rest) >= 3:
            return (rest, end)
    return (_singular(word),)


def _singular(word: str) -> str:
    return re.sub(r"(?<=[^s])s$", "", word)


def _identifier(name: str) -> str:
    plain = re.sub(r"\W+", "_", name.strip(), flags=re.ASCII).strip("_") or "column"
    plain = plain if plain[0].isalpha() else f"c_{plain}"
    # The served model takes features as keyword arguments.
    return f"{plain}_" if keyword.iskeyword(plain) else plain


def profile_column(name: str, declared: str, cells: pa.Array, numerals: Numerals = PLAIN) -> ColumnProfile:
    """Look at one column.

    Args:
        name: Its name in the file.
        declared: The name to declare.
        cells: [n] cells, of the file's type; all text for CSV.
        numerals: How text writes numbers.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if _is_text(cells.type):
        return replace(_look_at_text(name, declared, cells, numerals), cells=cells)
    for fits, look in _LOOKS:
        if fits(cells.type):
            return replace(look(name, declared, cells), cells=cells)
    return _plain(name, declared, "nested", pa.nulls(len(cells), pa.string()))


def _plain(name: str, declared: str, shape: Shape, text: pa.Array, **more: object) -> ColumnProfile:
    given: dict[str, object] = {
        "numbers": np.empty(0),
        "parts": pa.array([], pa.string()),
        "part_counts": np.empty(0, int),
        **more,
    }
    if shape not in ("nested", "list", "vector") and text.null_count == len(text):
        shape = "empty"
    return ColumnProfile(name, declared, shape, text, **given)  # type: ignore[arg-type]


def _look_at_text(name: str, declared: str, cells: pa.Array, numerals: Numerals) -> ColumnProfile:
    text = Column(name=name).convert(cells).values
    absent = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(text)), value_set=_MISSING)
    there = text.filter(pc.and_(pc.is_valid(text), pc.invert(absent)))
    if not len(there):
        return _plain(name, declared, "text", text)
    numbers, wrong = Column(name=name, type="number").convert(there, numerals)
    zeros = pc.any(pc.match_substring_regex(there, pattern=_LEADING_ZERO)).as_py()
    share = 1 - wrong.mean()
    if share == 1 and not zeros:
        text = pc.if_else(absent, pa.scalar(None, pa.string()), text)
        if not _is_plain(there):
            # As numbers are written elsewhere: without currency, thousands or a decimal comma.
            text = as_text(Column(name=name, type="number").convert(text, numerals).values)
        return _of_numbers(name, declared, numbers.to_numpy(), text)
    moments = find_moments(words_of(declared), there)
    if moments:
        return _plain(name, declared, "moment", text, moments=moments)
    odd = there.filter(pa.array(wrong)).unique().slice(0, 3).to_pylist() if share >= _NEARLY_ALL else ()
    return _plain(name, declared, "text", text, not_numbers=tuple(odd) if not zeros else ())


def _is_plain(text: pa.Array) -> bool:
    """Whether all cells are numbers in digits and a point."""
    try:
        pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _look_at_numbers(name: str, declared: str, cells: pa.Array) -> ColumnProfile:
    numbers = Column(name=name, type="number").convert(cells).values
    text = pc.if_else(pc.is_valid(numbers), as_text(cells), pa.scalar(None, pa.string()))
    return _of_numbers(name, declared, numbers.drop_null().to_numpy(), text)


def _of_numbers(name: str, declared: str, numbers: np.ndarray, text: pa.Array) -> ColumnProfile:
    whole = bool(len(numbers)) and bool((numbers == np.floor(numbers)).all())
    if whole:
        # An integer column with gaps is written as 13085.0; that is the id 13085.
        text = pc.replace_substring_regex(text, r"\.0*$", "")
    moments = find_moments(words_of(declared), pa.array(numbers)) if whole or len(numbers) else None
    return _plain(name, declared, "integer" if whole else "number", text, numbers=numbers, moments=moments)


def _look_at_moments(name: str, declared: str, cells: pa.Array) -> ColumnProfile:
    moments = find_moments(words_of(declared), cells.drop_null())
    return _plain(name, declared, "moment", pc.cast(cells, pa.string()), moments=moments)


def _look_at_booleans(name: str, declared: str, cells: pa.Array) -> ColumnProfile:
    return _plain(name, declared, "boolean", as_text(cells))


def _look_at_lists(name: str, declared: str, cells: pa.Array) -> ColumnProfile:
    inner = cells.type.value_type
    text = pa.nulls(len(cells), pa.string())
    if pa.types.is_nested(inner):
        return _plain(name, declared, "nested", text)
    counts = pc.list_value_length(cells).drop_null().to_numpy()
    counts = counts[counts > 0]
    is_vector = pa.types.is_floating(inner) and len(counts) > 0 and (counts == counts[0]).all()
    parts = as_text(pc.list_flatten(cells)).drop_null()
    shape: Shape = "vector" if is_vector else "list"
    return _plain(name, declared, shape, text, parts=parts, part_counts=counts)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_moment(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


_Look = Callable[[str, str, pa.Array], ColumnProfile]
_LOOKS: tuple[tuple[Callable[[pa.DataType], bool], _Look], ...] = (
    (_is_number, _look_at_numbers),
    (_is_moment, _look_at_moments),
    (pa.types.is_boolean, _look_at_booleans),
    (_is_list, _look_at_lists),
)
