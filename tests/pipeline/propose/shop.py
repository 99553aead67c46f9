"""A small shop's raw files, and `westwork init` on them."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner, Result
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.files.tables import check_columns, table_files
from pipeline.cli import main
from pipeline.domain import Domain, load_domain

Rows = list[dict[str, Any]]
START = 1_700_000_000
ACTIONS = ("view",) * 8 + ("add_to_cart",) * 3 + ("purchase",)
GENRES = ("Action", "Comedy", "Drama", "Horror", "Romance", "Western")


def events(count: int = 400, users: int = 40) -> Rows:
    """Who did what with which item; one a minute."""
    chance = random.Random(3)
    return [
        {
            "user_id": f"u{chance.randrange(users)}",
            "item_id": f"i{chance.randrange(60)}",
            "event": chance.choice(ACTIONS),
            "ts": START + 60 * number,
        }
        for number in range(count)
    ]


def items() -> Rows:
    chance = random.Random(4)
    return [
        {
            "item_id": f"i{number}",
            "name": f"The {chance.choice(GENRES)} number {number}",
            "genres": "|".join(sorted(chance.sample(GENRES, chance.randint(1, 3)))),
            "price": round(math.exp(chance.uniform(0, 9)), 2),
            "year": chance.randint(1950, 2020),
            "flag": "same",
        }
        for number in range(60)
    ]


def users() -> Rows:
    chance = random.Random(5)
    return [
        {"user_id": f"u{number}", "gender": chance.choice("FM"), "age": chance.randint(18, 80)}
        for number in range(40)
    ]


def write_csv(path: Path, rows: Rows, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    lines = [delimiter.join(rows[0]), *(delimiter.join(map(str, row.values())) for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def init(folder: Path, *files: Path, more: tuple[str, ...] = ()) -> Result:
    return CliRunner().invoke(main, ["init", *map(str, files), "--to", str(folder), *more])


def proposed(tmp_path: Path, *files: Path) -> Domain:
    """The domain that init writes, read as a run reads it, its tables found and their columns there."""
    result = init(tmp_path / "domain", *files)
    assert result.exit_code == 0, result.output
    domain = load_domain(str(tmp_path / "domain"))
    for table in (*domain.interactions.sources, domain.candidates, domain.queries):
        if table is not None and table.files:
            found = table_files(table, str(tmp_path / "no data directory"))
            ours = domain.candidates is table or domain.queries is table
            check_columns(table, found, list(table.features) if ours else [domain.interactions.query_id])  # type: ignore[union-attr]
    return domain


def schema_of(folder: Path, name: str) -> schema_pb2.Schema:
    return text_format.Parse((folder / "domain" / name).read_text(), schema_pb2.Schema())


def unbroken(text: str) -> str:
    """Output or comments without the line breaks of a console's or file's width."""
    return " ".join(text.replace("#", " ").split())
