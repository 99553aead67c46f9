"""The user's tables, whatever their format: Arrow record batches that know their file and rows."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.declaration import Entities, Table
from components.ingest.errors import UserError
from components.ingest.files import json_reader, jsonl_reader
from components.ingest.files.blaming import blaming
from components.ingest.files.columns import Column, as_text
from components.ingest.files.file_kinds import refuse_other_kinds
from components.ingest.files.file_patterns import SpanFiles, as_glob, newest_spans
from components.ingest.files.header_hints import first_filled_line, hint
from components.ingest.files.numbers import Numerals
from components.ingest.files.readers import reader_of
from components.ingest.files.row_rules import RowRules
from components.ingest.files.rows import FilePart, Rows, shorten
from components.ingest.table_rules import columns_expected, columns_to_read

NEWNESS = "newness:"
"""Column beside the typed ones: the greater, the newer is the row among those of its id."""
_PLACE = "place:"


def table_files(table: Table, data_dir: str, spans: int | None = None) -> list[str]:
    """Paths of a table's files, sorted.

    Args:
        table: Says the pattern.
        data_dir: Directory that a relative pattern starts from.
        spans: Only so many of the newest spans; None: all.

    Raises:
        UserError: If there is none.
    """
    return list(table_spans(table, data_dir, spans).files)


def table_spans(table: Table, data_dir: str, spans: int | None = None) -> SpanFiles:
    """As :func:`table_files`, but telling which span each file is of, and what is left out."""
    return newest_spans(table.files, matching_files(directory_glob(data_dir), table.files), spans)


def directory_glob(data_dir: str) -> str:
    """The glob of a directory's absolute path, or of an object store's URI, which matches nothing else."""
    return glob.escape(data_dir if "://" in data_dir else os.path.abspath(data_dir))


def joined(base: str, pattern: str) -> str:
    """A pattern below a base; an absolute one or a URI as it is."""
    return pattern if "://" in pattern else os.path.join(base, pattern)


def matching_files(base: str, pattern: str) -> list[str]:
    """Paths or URIs matching a pattern, sorted.

    Args:
        base: Glob that a relative pattern starts from; see :func:`directory_glob`.
        pattern: A glob, possibly with placeholders: see :mod:`components.ingest.files.file_patterns`.

    Raises:
        UserError: If there is none.
    """
    whole = joined(base, as_glob(pattern))
    files = _glob(whole)
    if not files:
        raise UserError(_nothing_found(base, pattern, _glob(whole, True)))
    return sorted(files)


def _nothing_found(base: str, pattern: str, folders: list[str]) -> str:
    """What to say where a pattern matches no file, but maybe folders."""
    if folders:
        name = pattern.rstrip("/")
        inside = sorted(os.path.basename(path) for path in _glob(os.path.join(glob.escape(folders[0]), "*")))
        suffixes = [os.path.splitext(file)[1] for file in inside]
        usual = max(sorted(set(suffixes)), key=suffixes.count, default=".csv")
        return (
            f"{folders[0].rstrip('/')} is a folder (it holds: {', '.join(inside[:20]) or 'no files'}); "
            f"expected a file, or a glob of files. Say files: {name}/*{usual} in domain.yaml."
        )
    folder = os.path.dirname(joined(base, as_glob(pattern)))
    beside = [os.path.basename(path.rstrip("/")) for path in _glob(os.path.join(folder, "*"), True)]
    shown, hint = _unescaped(joined(base, pattern)), ""
    if "$" in pattern:
        hint = " Environment variables are not expanded: write the path."
    elif _glob(glob.escape(shown)):
        hint = f" A file of that very name is there: write its brackets so: {glob.escape(pattern)}."
    folder = _unescaped(folder)
    nothing = "nothing" if "://" in folder or os.path.isdir(folder) else "no such directory"
    return (
        f"found no file {shown} (in {folder}: {', '.join(sorted(beside)[:20]) or nothing}); expected at "
        f"least one.{hint} Put the data there, or correct 'files' in domain.yaml."
    )


def _unescaped(pattern: str) -> str:
    """A pattern as people write it, whose directory is a path."""
    return re.sub(r"\[([*?[])\]", r"\1", pattern)


def _glob(pattern: str, folders_too: bool = False) -> list[str]:
    """What matches a pattern; only files, unless said."""
    if "://" not in pattern:
        return [path for path in glob.glob(pattern) if folders_too or os.path.isfile(path)]
    # Brings TensorFlow along, which reading local tables need not wait for.
    from tfx.dsl.io import fileio

    return [str(path) for path in fileio.glob(pattern) if folders_too or not fileio.isdir(path)]


def check_columns(table: Table, files: Iterable[str], required: Sequence[str]) -> None:
    """Looks at every file's header, before any row is read.

    Args:
        table: Says format and the columns' names in the files.
        files: Paths of its files.
        required: Declared names. Those that the table's rules make of others need not be there; whatever
            the rules read does.

    Raises:
        UserError: If a file cannot be read, is of another kind than declared, lacks a column, or has one
            twice. Names the file, the column, and the columns that are there.
    """
    for file in files:
        names = column_names(table, file)
        for declared in columns_expected(table, required):
            column = table.columns.get(declared, declared)
            if names.count(column) == 1:
                continue
            if not names.count(column) and _some_object_has(table, file, column):
                continue
            fault = "has no column" if column not in names else f"has {names.count(column)} columns called"
            alias = f" (declared as {declared!r})" if column != declared else ""
            raise UserError(
                f"{file} {fault} {column!r}{alias}; the columns there are: {', '.join(names) or 'none'}. "
                f"Expected exactly one column of that name.{hint(table, file, names, declared)} "
                "Correct the file's header, or the column's name in domain.yaml."
            )


def _some_object_has(table: Table, file: str, key: str) -> bool:
    """Whether a key that the first objects lack occurs later; only objects of JSON may lack a column."""
    with blaming(table, file):
        reader = reader_of(table, file)
        return reader in (json_reader, jsonl_reader) and reader.mentions(table, file, key)


def column_names(table: Table, file: str) -> list[str]:
    """A file's columns, by their names there; JSON Lines: the keys of its first objects.

    Raises:
        UserError: If the file is empty, cannot be read, or is of another kind than declared.
    """
    with blaming(table, file):
        refuse_other_kinds(table, file)
        names = reader_of(table, file).column_names(table, file)
    if table.resolved_format == "csv" and not any(names):
        raise UserError(
            f"{file} begins with a blank line. Expected the header there. Remove the blank lines above it, "
            f"or say skip_lines: {first_filled_line(table, file)} in domain.yaml."
        )
    return names


def read_batches(table: Table, part: FilePart | str, columns: Sequence[str]) -> Iterator[Rows]:
    """Streams one file, or a part of it, as the table's rules make its rows.

    Args:
        table: Says format, the columns' names in the files, and what to do with rows and cells.
        part: What to read: a part (see :func:`~components.ingest.files.file_parts.file_parts`) or a path.
        columns: Declared names of the columns to read; the batches carry these.

    Raises:
        UserError: If the file is not what ``table`` says.
    """
    part = FilePart(part) if isinstance(part, str) else part
    rules = RowRules.of(table, columns) if table.has_rules else None
    columns = columns_to_read(table, columns) if rules else columns
    in_file = [table.columns.get(column, column) for column in columns]
    distinct = list(dict.fromkeys(in_file))
    with blaming(table, part.file) as progress:
        for rows in reader_of(table, part.file).read(table, part, distinct, progress):
            cells = [rows.batch.column(name) for name in in_file]
            batch = pa.RecordBatch.from_arrays(cells, list(columns))
            renamed = Rows(rows.file, rows.numbers, batch, rows.malformed)
            yield rules.apply(renamed) if rules else renamed


def read_columns(
    table: Table,
    files: Iterable[str],
    columns: Sequence[Column],
    key: str,
    tell: Callable[[str], None] = lambda _: None,
) -> pa.Table:
    """Reads a whole table into typed columns, and insists that every cell is right.

    For tables with a row an entity, not for event logs.

    Args:
        table: Says format and delimiter.
        files: Paths of its files.
        columns: Columns to read; see :class:`~components.ingest.files.columns.Column` for their types.
        key: Name of the column whose cells identify the rows: required and, unless the table says which of
            several rows stays, unique.
        tell: Called with a sentence where rows repeat an id and one of them stays.

    Returns:
        Rows sorted by ``key``, bytewise.

    Raises:
        UserError: For a cell of the wrong type, a row without key, a key that comes twice; names file,
            row, column and value.
    """
    files = list(files)
    check_columns(table, files, [column.name for column in columns])
    schema = pa.schema([(column.name, column.arrow_type) for column in columns])
    batches, numbers, owners = [], [], []
    left_out = 0
    for index, file in enumerate(files):
        for rows in typed_batches(table, file, columns, key):
            left_out += rows.left_out
            batches.append(rows.batch)
            numbers.append(rows.numbers)
            owners.append(np.full(len(rows.numbers), index))
    schema = batches[0].schema if batches else schema
    whole = pa.Table.from_batches(batches, schema=schema)
    if left_out and not whole.num_rows:
        raise UserError(all_left_out(", ".join(files), left_out))
    if whole.num_rows == 0:
        raise UserError(
            f"{', '.join(files)}: found no rows below the header; expected at least one. "
            "Fill the file, or correct 'files' in domain.yaml."
        )
    if isinstance(table, Entities) and table.duplicates != "refuse":
        rows, repeated = one_row_an_id(whole, key, table)
        if repeated:
            tell(repeated_ids(table, key, repeated, whole.num_rows - rows.num_rows))
        return rows
    order = pc.sort_indices(whole, sort_keys=[(key, "ascending")])
    _refuse_duplicates(whole[key].take(order), order, files, np.concatenate(owners), np.concatenate(numbers))
    return whole.take(order).combine_chunks()


def one_row_an_id(whole: pa.Table, key: str, table: Entities) -> tuple[pa.Table, int]:
    """Keeps of rows that repeat an id the one that the table says.

    Args:
        whole: Rows in the files' order, with :data:`NEWNESS` where the table has ``newest_by``.
        key: Name of the id's column.
        table: Says which row stays.

    Returns:
        The rows, ascending by id, bytewise, without :data:`NEWNESS`; and how many ids came more than once.
    """
    place = np.arange(whole.num_rows)
    keyed = whole.append_column(_PLACE, pa.array(place if table.duplicates == "last" else -place))
    names = [key, *([NEWNESS] if NEWNESS in whole.column_names else []), _PLACE]
    order = pc.sort_indices(keyed, sort_keys=[(name, "ascending") for name in names])
    ids = whole[key].take(order).combine_chunks()
    last = np.append(pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False), [True] * (len(ids) > 0))
    sizes = np.diff(np.flatnonzero(last), prepend=-1)
    kept = whole.take(order.filter(pa.array(last))).combine_chunks()
    kept = kept.drop_columns([name for name in (NEWNESS,) if name in kept.column_names])
    return kept, int((sizes > 1).sum())


def repeated_ids(table: Entities, key: str, ids: int, rows: int) -> str:
    """What to say of rows of which one for each id stays."""
    newest = f"that with the greatest {table.newest_by!r}, of equal ones " if table.newest_by else ""
    return (
        f"{ids:,} ids come more than once in column {key!r} of {table.files}; {rows:,} rows are left out. Of "
        f"each id one row stays: {newest}the {table.duplicates} one, as 'duplicates' says."
    )


def typed_batches(table: Table, part: FilePart | str, columns: Sequence[Column], key: str) -> Iterator[Rows]:
    """Streams typed columns, insisting that every cell is right; keys may repeat.

    Where the table has ``newest_by``, the last column is :data:`NEWNESS`.

    Args:
        table: Says format and the columns' names in the files.
        part: What to read; see :func:`read_batches`.
        columns: Columns to read.
        key: Name of the column that must not be missing.

    Raises:
        UserError: For a malformed row, a cell of the wrong type, a row without key.
    """
    schema = pa.schema([(column.name, column.arrow_type) for column in columns])
    names = [column.name for column in columns]
    if table.ordering:
        schema = schema.append(pa.field(NEWNESS, pa.float64()))
        names = list(dict.fromkeys([*names, table.ordering]))
    for rows in read_batches(table, part, names):
        _refuse_malformed(rows)
        arrays = [convert_or_refuse(column, rows, key, table.numerals) for column in columns]
        arrays += [newness(rows, table.ordering, table.numerals)] if table.ordering else []
        yield Rows(rows.file, rows.numbers, pa.record_batch(arrays, schema=schema), left_out=rows.left_out)


def newness(rows: Rows, name: str, numerals: Numerals) -> pa.Array:
    """[n] doubles, the greater the newer: numbers as they are, times as seconds; nothing is the oldest.

    Raises:
        UserError: For a cell that is neither.
    """
    cells = rows.batch.column(name)
    numbers, others = Column(name=name, type="number").convert(cells, numerals)
    values = numbers.to_numpy(zero_copy_only=False).copy()
    if others.any():
        moments = Column(name=name, type="moment")
        seconds, wrong = moments.convert(cells.filter(pa.array(others)), numerals)
        if wrong.any():
            row = int(np.flatnonzero(others)[np.flatnonzero(wrong)[0]])
            raise UserError(
                f"{rows.file}, row {rows.numbers[row]}, column {name!r}: found "
                f"{shorten(as_text(cells.slice(row, 1))[0].as_py())!r}, expected a number or a time, which "
                "tells the newest of several rows. Correct the file, or 'newest_by' in domain.yaml."
            )
        values[others] = seconds.to_numpy(zero_copy_only=False)
    return pa.array(np.where(np.isnan(values), -np.inf, values))


def convert_or_refuse(column: Column, rows: Rows, key: str, numerals: Numerals) -> pa.Array:
    """The cells of a column, typed.

    Args:
        column: What they must be.
        rows: Hold them.
        key: Name of the column that must not be missing.
        numerals: How text writes numbers.

    Raises:
        UserError: For the first that is wrong; names file, row, column and value.
    """
    cells = rows.batch.column(column.name)
    values, wrong = column.convert(cells, numerals)
    missing = np.zeros(len(cells), bool)
    if column.name == key:
        missing = values.is_null().to_numpy(zero_copy_only=False) & ~wrong
    if (wrong | missing).any():
        first = int(np.flatnonzero(wrong | missing)[0])
        value = as_text(cells.slice(first, 1))[0].as_py()
        expected = column.expected_of(cells, numerals) if wrong[first] else "an id in every row"
        raise UserError(
            f"{rows.file}, row {rows.numbers[first]}, column {column.name!r}: found {shorten(value)!r}, "
            f"expected {expected} ({int((wrong | missing).sum())} such cells near there). Correct the file, "
            "or the column's kind in domain.yaml."
        )
    return values


def all_left_out(files: str, count: int) -> str:
    """The error for a table of which ``where`` keeps no row."""
    return (
        f"{files}: 'where' leaves out all {count:,} rows. Expected at least one for which every condition "
        "holds. Correct 'where' in domain.yaml; a value is compared with the whole cell, upper and lower "
        "case as written."
    )


def _refuse_malformed(rows: Rows) -> None:
    if rows.malformed:
        row = rows.malformed[0]
        if row.column is not None:
            raise UserError(
                f"{rows.file}, row {row.number}, column {row.column!r}: found {row.text!r}: {row.reason}. "
                "Correct the file, or the table's rules in domain.yaml ('missing' names values that stand "
                "for none)."
            )
        raise UserError(
            f"{rows.file}, row {row.number}: {row.reason}: {row.text!r}. Correct the row (a cell that holds "
            "the delimiter needs quotes), or the table's delimiter and encoding in domain.yaml."
        )


def _refuse_duplicates(
    keys: pa.ChunkedArray, order: pa.Array, files: list[str], owners: np.ndarray, numbers: np.ndarray
) -> None:
    if len(keys) < 2:
        return
    same = pc.equal(keys.slice(1), keys.slice(0, len(keys) - 1)).to_numpy()
    if not same.any():
        return
    place = int(np.flatnonzero(same)[0])
    first, second = (int(order[at].as_py()) for at in (place, place + 1))
    raise UserError(
        f"id {keys[place].as_py()!r} comes twice: {files[owners[first]]}, row {numbers[first]}, and "
        f"{files[owners[second]]}, row {numbers[second]} ({int(same.sum())} rows repeat an id). Expected "
        "one row an id. Remove or merge the repeated rows."
    )
