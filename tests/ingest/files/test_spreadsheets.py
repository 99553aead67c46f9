"""Spreadsheets keep their types, and ids are what they look like."""

from __future__ import annotations

import sys
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.columns import Column
from components.ingest.files.tables import check_columns, read_batches

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
EPOCH = datetime(1899, 12, 30)


def cell(place: str, value: Any) -> str:
    if isinstance(value, datetime):
        return f'<c r="{place}" s="1"><v>{(value - EPOCH).total_seconds() / 86_400!r}</v></c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


def write(path: Path, **sheets: list[list[Any]]) -> str:
    """A spreadsheet as small as one can be; up to 26 columns."""
    links = "".join(
        f'<Relationship Id="s{n}" Type="{OFFICE}/worksheet" Target="worksheets/s{n}.xml"/>'
        for n in range(len(sheets))
    )
    links += f'<Relationship Id="st" Type="{OFFICE}/styles" Target="styles.xml"/>'
    names = "".join(f'<sheet name="{s}" sheetId="{n + 1}" r:id="s{n}"/>' for n, s in enumerate(sheets))
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{kind}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{links}'
        "</Relationships>",
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="22"/></cellXfs></styleSheet>',
    }
    for number, rows in enumerate(sheets.values()):
        body = "".join(
            f'<row r="{r}">'
            + "".join(cell(f"{chr(65 + c)}{r}", v) for c, v in enumerate(row) if v is not None)
            + "</row>"
            for r, row in enumerate(rows, 1)
        )
        files[f"xl/worksheets/s{number}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, f'<?xml version="1.0"?>{content}')
    return str(path)


HEADER = ["id", "at", "n"]
NOON = datetime(2020, 9, 13, 12, 36, 20)
DAY = datetime(2020, 9, 14)


def read(file: str, columns=("id", "at", "n"), **keys: Any) -> tuple[list[tuple], list[tuple]]:
    table = Table(files=Path(file).name, **keys)
    check_columns(table, [file], columns)
    batches = list(read_batches(table, file, columns))
    good = [
        row
        for rows in batches
        for row in zip(rows.numbers.tolist(), *rows.batch.to_pydict().values(), strict=True)
    ]
    return good, [(bad.number, bad.reason) for rows in batches for bad in rows.malformed]


@pytest.mark.parametrize(
    ("cells", "type_", "values"),
    [
        ([12345.0, 7], "string", ["12345", "7"]),
        (["007", 7.0], "string", ["007", "7"]),
        (["C489449", 489434], "string", ["C489449", "489434"]),
        ([NOON, DAY], "moment", [1600000580, 1600041600]),
        ([1.5, 2.0], "number", [1.5, 2.0]),
        ([2, None], "number", [2.0, None]),
        ([True, False], "string", ["true", "false"]),
        (["x", NOON], "string", ["x", "2020-09-13T12:36:20"]),
        (["x", DAY], "string", ["x", "2020-09-14T00:00:00"]),
    ],
)
def test_cells_are_what_they_look_like(tmp_path: Path, cells, type_, values) -> None:
    file = write(tmp_path / "t.xlsx", S=[["id", "x"], *[[n, value] for n, value in enumerate(cells)]])
    (rows,) = read_batches(Table(files="t.xlsx"), file, ["x"])
    converted = Column(name="x", type=type_).convert(rows.batch["x"])
    assert converted.values.to_pylist() == values and not converted.wrong.any()


def test_rows_have_their_numbers_and_sheets_are_one_table(tmp_path: Path) -> None:
    first = [HEADER, [1, NOON, 1], [None, None, None], [3, DAY, 2]]
    file = write(tmp_path / "t.xlsx", A2009=first, A2010=[HEADER, [4, DAY, 3]], Notes=[["x"]])
    assert [row[:2] for row in read(file)[0]] == [(1, 1), (3, 3)]
    assert [row[:2] for row in read(file, sheet="A*")[0]] == [(1, 1), (3, 3), (4, 4)]
    assert [row[:2] for row in read(file, sheet="A2010")[0]] == [(1, 4)]
    with pytest.raises(UserError, match=r"no sheet 'B\*'; the sheets there are: A2009, A2010, Notes"):
        read(file, sheet="B*")
    with pytest.raises(UserError, match="sheet 'Notes' has the columns x; sheet 'A2009' has id, at, n"):
        read(file, sheet="*")


@pytest.mark.parametrize(
    ("above", "keys"),
    [
        ([], {}),
        ([["Sales of May"], [None]], {"skip_lines": 2}),
        ([["a", "b", "c"]], {"skip_lines": 2, "header": HEADER}),
        ([[None, None, None]], {}),
    ],
)
def test_what_stands_above_the_rows_is_passed_over(tmp_path: Path, above, keys) -> None:
    file = write(tmp_path / "t.xlsx", S=[*above, HEADER, [1, NOON, 2]])
    assert read(file, **keys) == ([(1, 1, NOON, 2)], [])


def test_numbers_longer_than_a_spreadsheet_keeps_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "t.xlsx", S=[HEADER, [123456789012345678, DAY, 1], [5, DAY, 1]])
    good, ((number, reason),) = read(file)
    assert [row[1] for row in good] == [5] and number == 1 and "more than 15 digits" in reason


def test_without_the_package_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    file = write(tmp_path / "t.xlsx", S=[HEADER, [1, NOON, 2]])
    with pytest.raises(UserError, match="pip install python-calamine"):
        read(file)


def test_a_damaged_spreadsheet_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "t.xlsx", S=[HEADER, [1, NOON, 2]])
    whole = Path(file).read_bytes()
    for size in (20, len(whole) // 2, len(whole) - 4):
        Path(file).write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"t\.xlsx"):
            read(file)
