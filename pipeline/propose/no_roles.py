"""What to say where no event log can be found, or not who did what in it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipeline.propose.given import GivenTable
from pipeline.propose.joins import Join, repeated_columns
from pipeline.propose.profile import ColumnProfile, TableProfile

_WIDE = 12
"""A table with so many columns of like numbers beside its key is a matrix."""


def no_log(tables: Sequence[TableProfile]) -> str:
    """The message where no table is an event log."""
    timed = [(table, column) for table in tables for column in table.columns if column.moments]
    nested = [advice for table in tables if (advice := _nested_advice(table))]
    if nested:
        return f"none of the files is an event log. Found: {_shown(tables)}.\n  " + "\n  ".join(nested)
    lines = [f"none of the files is an event log. Found: {_shown(tables)}."]
    if timed:
        lines.append(
            "There is a time in "
            + ", ".join(f"{column.name} of {table.given.label}" for table, column in timed)
            + ", but not beside two columns whose values repeat: who, and with what."
        )
    else:
        lines.append("No column is a time, and no names or joins say which columns are who and what.")
    lines.append(
        "Expected a table with one row an interaction: a user's id, an item's id and, at best, a time. "
        "If one "
        "of these files is it, say which columns they are: --user COLUMN --item COLUMN --time COLUMN."
    )
    return "\n  ".join(lines)


def no_query(log: TableProfile, tables: Sequence[TableProfile]) -> str:
    """The message where a table has a time, but who did what with what cannot be told."""
    ids = ", ".join(column.name for column in repeated_columns(log)) or "none"
    return (
        f"{log.given.label} looks like the event log, but who and what cannot be told apart: columns whose "
        f"values come again: {ids}. Found: {_shown(tables)}.\n  Say which columns they are: --user COLUMN "
        "--item COLUMN."
    )


def wide_matrix(table: TableProfile) -> str | None:
    """The message where a table has a column for each item; None where it has not."""
    if not table.columns:
        return None
    first, rest = table.columns[0], table.columns[1:]
    if not first.is_key and first.distinct < 0.9 * len(first.text):
        return None
    numbers = [column for column in rest if _is_cell_of_matrix(column)]
    if len(numbers) < max(_WIDE, 0.8 * len(rest)):
        return None
    name, given = first.name or "index", table.given
    return (
        f"{given.label} is a matrix: one row for each {name}, one column for each of {len(rest):,} items "
        f"({', '.join(column.name for column in numbers[:3])}, ...). Expected one row an interaction. "
        "Write it so:\n"
        f'  python -c "import pandas; file = {given.files[0]!r}; {_reader(given, "file")}'
        f".melt(id_vars={name!r}, var_name='item', value_name='rating').dropna().query('rating != 0')"
        ".to_csv('interactions.csv', index=False)\"\n"
        "  and give interactions.csv. (If 0 is a rating in it, leave .query(...) out.)"
    )


def _nested_advice(table: TableProfile) -> str | None:
    """What a column of lists of objects holds, and the command that makes a row of each object."""
    given = table.given
    if given.format not in ("jsonl", "json", "parquet"):
        return None
    for column in table.columns:
        cells = column.cells
        if column.shape != "nested" or cells is None or not _is_list_of_objects(cells.type):
            continue
        inner = cells.type.value_type
        fields = [inner.field(at).name for at in range(inner.num_fields)]
        clash = {other.name for other in table.columns}.intersection(fields)
        # In a file of one object that holds all rows, what stands beside them is about none of them.
        is_whole = len(cells) == 1
        beside = [] if is_whole else [c.name for c in table.columns if c.shape != "nested"]
        prefix = f", record_prefix={column.name + '_'!r}" if clash.intersection(beside) else ""
        rows = _records(given)
        return (
            f"{column.name} of {given.label} holds a list of objects in each row, with {', '.join(fields)}: "
            "events, or items, one level deeper. Expected one row an object. Write it so:\n"
            f'  python -c "import json, pandas; rows = {rows}; '
            f"pandas.json_normalize(rows, {column.name!r}, {beside!r}{prefix})"
            ".to_csv('rows.csv', index=False)\"\n"
            f"  and give rows.csv in the place of {given.label}."
        )
    return None


def _is_list_of_objects(kind: pa.DataType) -> bool:
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_struct(kind.value_type)


def _records(given: GivenTable) -> str:
    """The Python expression of a table's rows as a list of dictionaries."""
    file = repr(given.files[0])
    if given.format == "jsonl":
        return f"[json.loads(line) for line in open({file}, encoding='utf-8') if line.strip()]"
    if given.format == "json":
        return f"json.load(open({file}, encoding='utf-8'))"
    return f"json.loads(pandas.read_parquet({file}).to_json(orient='records'))"


def merge_command(log: TableProfile, join: Join, names: Sequence[str]) -> str:
    """The command that adds columns of a joined table to the log, in ``merged.csv``."""
    theirs = f"{_reader(join.table.given)}[{list(names)!r}]"
    by = f"left_on={join.column.name!r}, right_on={join.key.name!r}"
    if join.column.name == join.key.name:
        by = f"on={join.key.name!r}"
    return (
        f'python -c "import pandas; {_reader(log.given)}.merge({theirs}, {by}, '
        "how='left').to_csv('merged.csv', index=False)\""
    )


def _reader(given: GivenTable, file: str = "") -> str:
    """The pandas expression that reads a table, its cells as they are written."""
    file = file or repr(given.files[0])
    if given.format == "parquet":
        return f"pandas.read_parquet({file})"
    if given.format == "jsonl":
        return f"pandas.read_json({file}, lines=True)"
    if given.format == "json":
        return f"pandas.read_json({file})"
    text = "" if file == "file" else ", dtype=str"
    return (
        f"pandas.read_csv({file}, sep={given.dialect.delimiter!r}, encoding={given.dialect.encoding!r}{text})"
    )


def _is_cell_of_matrix(column: ColumnProfile) -> bool:
    if column.shape == "empty":
        return True
    return (
        column.shape in ("integer", "number", "boolean") and column.moments is None and column.distinct <= 101
    )


def _shown(tables: Sequence[TableProfile]) -> str:
    return "; ".join(
        f"{table.given.label} ({', '.join(column.name for column in table.columns)})" for table in tables
    )
