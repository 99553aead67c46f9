"""From a file's content to a table: the rules of the ``acquire`` section, one after another."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest.errors import UserError
from pipeline.acquire.section import AcquiredTable, Compose, File, Lookup, Member
from pipeline.acquire.sources import Files

_TEXT = pd.ArrowDtype(pa.string())


def read_table(files: Files, member: Member, table: AcquiredTable) -> pa.Table:
    """A declared table out of the file that carries it.

    Args:
        files: Where the file is.
        member: Which it is, and the rules that make the table's columns.
        table: The columns, and which of them are numbers (int64 where all are whole, else double). Moments
            of a Parquet file keep their type; all others are strings.

    Raises:
        UserError: If the file is not what the section says. Names file, column, row and value.
    """
    where = f"{files.name}: {member.member}"
    frame = _read(files, member, _needed(member, table))
    frame = frame.rename(columns=member.rename)
    _require(frame, [*member.missing, *(c for columns in member.gather.values() for c in columns)], where)
    for column, values in member.missing.items():
        frame[column] = frame[column].mask(frame[column].isin(values), "")
    for column, indicators in member.gather.items():
        rows = (frame[list(indicators)] == "1").to_numpy(dtype=bool)
        names = np.array(indicators, dtype=object)
        frame[column] = pd.array([" ".join(names[row]) for row in rows], dtype=_TEXT)
    # All at once: a column may be extracted under the name of its origin.
    _require(frame, [rule.column for rule in member.extract.values()], where)
    extracted = {
        column: frame[rule.column].astype(object).str.extract(rule.pattern, expand=False).fillna("")
        for column, rule in member.extract.items()
    }
    frame = frame.assign(**extracted)
    for column, parts in member.compose.items():
        _require(frame, parts.columns, where)
        frame[column] = _composed(frame, parts)
    for column, rule in member.lookup.items():
        _require(frame, [rule.key], where)
        frame[column] = _looked_up(files, rule, frame[rule.key])
    return _typed(frame, table, where)


def _needed(member: Member, table: AcquiredTable) -> set[str]:
    """Names in the file of the columns that the table or a rule reads; rules may make some of them."""
    wanted = {*table.columns, *member.mentioned}
    origin = {new: old for old, new in member.rename.items()}
    return {origin.get(name, name) for name in wanted}


def _read(files: Files, file: File, columns: Iterable[str]) -> pd.DataFrame:
    """Columns of a file as strings, missing cells empty; a Parquet file's moments as they are."""
    content = files.read(file)
    if file.is_parquet:
        return _read_parquet(content, columns, f"{files.name}: {file.member}")
    return _read_delimited(content, file, f"{files.name}: {file.member}")


def _read_delimited(content: bytes, file: File, where: str) -> pd.DataFrame:
    try:
        return pd.read_csv(
            io.StringIO(content.decode(file.encoding)),
            sep=file.delimiter,
            header=None if file.header else 0,
            names=list(file.header) if file.header else None,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            quoting=3,  # csv.QUOTE_NONE: a quotation mark in a title is a letter like any other
        )
    except (UnicodeDecodeError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise UserError(
            f"{where}: cannot be read as {file.encoding}, delimited by {file.delimiter!r}: {error}. "
            "Expected the file this data set was declared from. Get it again."
        ) from error


def _read_parquet(content: bytes, columns: Iterable[str], where: str) -> pd.DataFrame:
    try:
        opened = pq.ParquetFile(pa.BufferReader(content))
        # What a rule makes is not in the file; what nothing makes is missed later, by its new name.
        names = [name for name in opened.schema_arrow.names if name in set(columns)]
        table = opened.read(columns=names)
        frame = {name: _as_text(table[name]) for name in names}
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{where}: cannot be read as Parquet: {error}. Expected the file this data set was declared "
            "from. Get it again."
        ) from error
    return pd.DataFrame(frame)


def _as_text(column: pa.ChunkedArray) -> pd.Series:
    """Strings, missing ones empty; moments as Arrow's own type."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return pd.Series(pd.arrays.ArrowExtensionArray(column))
    return pd.Series(pd.arrays.ArrowExtensionArray(column.cast(pa.string()).fill_null("")))


def _composed(frame: pd.DataFrame, rule: Compose) -> pd.Series:
    rows = frame[list(rule.columns)].itertuples(index=False)
    text = pd.Series([rule.separator.join(filter(None, row)) for row in rows], index=frame.index)
    return text.str.capitalize() if rule.capitalize else text


def _looked_up(files: Files, rule: Lookup, keys: pd.Series) -> pd.Series:
    """For each key the statistic over the other file's rows; an empty string where it has none."""
    where = f"{files.name}: {rule.member}"
    other = _read(files, rule, rule.inputs)
    _require(other, rule.inputs, where)
    if rule.before:
        moments = pd.to_datetime(other[rule.before.column])
        other = other[(moments < rule.before.moment).to_numpy(dtype=bool)]
    values = _as_numbers(other[rule.value], rule.value, where)
    if rule.per:
        divisor = _as_numbers(other[rule.per], rule.per, where)
        values = (values / divisor)[divisor != 0]
    found = values.groupby(other[rule.key].astype(object)).agg(rule.statistic).round(6)
    return keys.astype(object).map(found).map(repr, na_action="ignore").fillna("")


def _require(frame: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    for column in columns:
        if column not in frame.columns:
            raise UserError(
                f"{where} has no column {column!r}; there are: {', '.join(map(str, frame.columns))}. Correct "
                "'acquire' in domain.yaml."
            )


def _as_numbers(text: pd.Series, name: str, where: str) -> pd.Series:
    """Double; NaN where there is no value."""
    text = text.mask(text == "", None)
    numbers = pd.to_numeric(text.astype(object), errors="coerce")
    wrong = numbers.isna() & text.notna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise UserError(
            f"{where}, row {row + 1}, column {name!r}: found {text.iloc[row]!r}, expected a number. "
            "Get the file again, or correct 'acquire' in domain.yaml."
        )
    return numbers.astype(float)


def _typed(frame: pd.DataFrame, table: AcquiredTable, where: str) -> pa.Table:
    """The declared columns: numbers as int64 where all are whole, else double; moments, and strings."""
    _require(frame, table.columns, where)
    arrays = []
    for name in table.columns:
        column = frame[name]
        if name in table.numbers:
            numbers = _as_numbers(column, name, where)
            whole = (numbers.dropna() % 1 == 0).all()
            kind = pa.int64() if whole else pa.float64()
            arrays.append(pa.array(numbers, kind, from_pandas=True, safe=False))
        elif isinstance(column.dtype, pd.ArrowDtype) and not pa.types.is_string(column.dtype.pyarrow_dtype):
            arrays.append(pa.array(column))
        else:
            arrays.append(pa.array(column.mask(column == "", None), pa.string(), from_pandas=True))
    return pa.table(arrays, names=list(table.columns))
