"""Small damage done to the files of a domain and to command lines, drawn by a seed.

``python -m tests.pipeline.mutations SEED COUNT`` tries some by hand and prints each traceback.
"""

from __future__ import annotations

import gzip
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from components.ingest.errors import UserError
from pipeline.check_data.check import check_data
from pipeline.cli import main
from pipeline.domain import load_domain

TINY = Path(__file__).parents[1] / "fixtures" / "tiny"
TABLES = ("interactions.csv", "candidates.csv", "queries.csv")
SCHEMAS = ("interactions.pbtxt", "candidates.pbtxt")

_CELLS: Sequence[bytes] = (
    b"", b" ", b"nan", b"NULL", b"None", b"1e39", b"-1e400", b"9" * 40, b"-0", b"12345.0", b"007",
    b"3,50", b'"', b'""', b'"a,b"', b"a\nb", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", "\u202eabc".encode(),
    b"\xed\xa0\x80", "\U0001f600".encode(), b"x" * 5000, b"2024-02-30", b"2020-09-13T12:36:20Z", b"\\N",
    b"true", b"[bold]", b"{SPAN}",
)  # fmt: skip
_VALUES: Sequence[Any] = (
    None, True, False, 0, -1, 1, 10**30, 1.5, float("nan"), float("inf"), "", " ", "yes", "1", "\u202e",
    "[bold red]", "a" * 3000, [], {}, [[]], [None], [1, [2]], {"a": {"b": {}}}, {"kind": "text"},
    {"kind": []}, {1: 2}, "*", "/", "..", "{SPAN}", "/etc/passwd", "\n", "%d", "2024-02-30", "none",
)  # fmt: skip
_ARGUMENTS: Sequence[str] = (
    "", " ", "0", "-1", "99999999", "1e9", "nan", "yes", "[", "{", "=", "a=b", "a.b=c", "retrieval=",
    "retrieval.dim=[", "retrieval.dim=-1", "demo=3", "title=", "=..", "1..0", "year=..", "year=x..y",
    "-", "--", "--help-me", "/dev/null", "/etc/passwd", "nowhere", "\u202e", "[bold]", "x" * 3000,
    "2024-02-30", "2024-01-01T25:00", "0001-01-01", "localhost", "localhost:0", "a:b:c", "http://",
)  # fmt: skip
_COMMANDS: Sequence[Sequence[str]] = (
    ("validate", "--domain", "--root", "--data", "--set", "--set", "--json"),
    ("run", "--set", "--set", "--domain", "--source"),
    ("recommend", "--user", "--k", "--at", "--filter", "--context", "--diversity", "--domain", "--target"),
    ("tune", "--trials", "--minutes", "--set", "--write", "--domain"),
    ("serve", "--port", "--rest-port", "--model", "--domain", "--name"),
    ("init", "--to", "--name", "--user", "--item"),
    ("inspect",),
    ("export", "--index", "--to"),
    ("report", "--domain", "--root"),
)


def damaged_bytes(content: bytes, draw: random.Random) -> bytes:
    """Some bytes with one to three faults of the kinds that files get."""
    for _ in range(draw.randint(1, 3)):
        content = draw.choice(_WAYS)(content, draw)
    return content


def _flip(content: bytes, draw: random.Random) -> bytes:
    if not content:
        return content
    place = draw.randrange(len(content))
    return content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :]


def _delete(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) + 1)
    return content[:start] + content[start + draw.randint(1, 40) :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _repeat_line(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    place = draw.randrange(len(lines))
    return b"".join([*lines[:place], lines[place], *lines[place:]])


def _swap_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    draw.shuffle(lines)
    return b"".join(lines)


def _cell(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = draw.randrange(len(lines))
    cells = lines[place].split(b",")
    cells[draw.randrange(len(cells))] = draw.choice(_CELLS)
    lines[place] = b",".join(cells)
    return b"\n".join(lines)


def _more_cells(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    lines[draw.randrange(len(lines))] += b"," * draw.randint(1, 4)
    return b"\n".join(lines)


_WAYS: Sequence[Callable[[bytes, random.Random], bytes]] = (
    _flip, _flip, _delete, _cut, _repeat_line, _swap_lines, _cell, _cell, _cell, _more_cells,
    lambda content, _: content.replace(b"\n", b"\r\n"),
    lambda content, _: content.replace(b"\n", b"\r"),
    lambda content, _: content.replace(b",", b"\t"),
    lambda content, _: b"\xef\xbb\xbf" + content,
    lambda content, _: content.decode("utf-8", "replace").encode("utf-16"),
    lambda content, draw: gzip.compress(content)[: draw.randint(1, 200)],
    lambda content, _: b"",
    lambda content, _: content * 2,
    lambda content, draw: content + draw.randbytes(20),
)  # fmt: skip


def damaged_domain(content: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A domain with one to three values of the wrong kind, keys renamed, gone or moved."""
    for _ in range(draw.randint(1, 3)):
        place: Any = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw.choice(keys)
            if isinstance(place[key], dict | list) and draw.random() < 0.75:
                place = place[key]
                continue
            how = draw.random()
            if how < 0.7 or not isinstance(place, dict):
                place[key] = draw.choice(_VALUES)
            elif how < 0.85:
                del place[key]
            else:
                place[draw.choice(["", "x", "kind", "files", 1, None, f"{key}s"])] = place.pop(key)
            break
    return content


def arguments(draw: random.Random, folder: Path) -> list[str]:
    """A command line with values that make no sense, that starts nothing by itself."""
    command, *options = draw.choice(_COMMANDS)
    words = [command]
    if command in ("init", "inspect", "export"):
        words.append(draw.choice([*_ARGUMENTS, str(folder), str(folder / "interactions.csv")]))
    for option in draw.sample(options, min(len(options), draw.randint(1, 3))):
        words += [option] if option == "--json" else [option, draw.choice(_ARGUMENTS)]
    if "--domain" in options and "--domain" not in words:
        # No run: a setting that is always refused, where a command would otherwise set to work.
        words += ["--domain", str(folder)]
    if "--set" in options:
        words += ["--set", "nonsense=1"]
    if "--root" in options and "--root" not in words:
        words += ["--root", str(folder / "root")]
    if command == "init" and "--to" not in words:
        words += ["--to", str(folder / "made")]
    return words


def damage(number: int, seed: int, folder: Path) -> str:
    """Damage a copy of the tiny bookshop, or a command line, and look at what Westwork makes of it.

    Args:
        number: Which of the seed's mutations.
        seed: What they are drawn from.
        folder: An empty one.

    Returns:
        ``ok``, or the message.

    Raises:
        Exception: Any that would be a traceback.
    """
    draw = random.Random(f"{seed}-{number}")
    shop = Path(shutil.copytree(TINY, folder / "shop"))
    kind = draw.choices(["data", "domain", "text", "schema", "arguments"], [35, 25, 10, 10, 20])[0]
    if kind == "arguments":
        words = arguments(draw, shop)
        result = CliRunner().invoke(main, words)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"{words}") from result.exception
        return f"exit {result.exit_code}: {result.output}"
    if kind != "schema":
        for name in SCHEMAS:
            (shop / name).unlink()
    file = shop / {"data": draw.choice(TABLES), "schema": draw.choice(SCHEMAS)}.get(kind, "domain.yaml")
    if kind == "domain":
        content = damaged_domain(yaml.safe_load(file.read_text()), draw)
        file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    else:
        file.write_bytes(damaged_bytes(file.read_bytes(), draw))
    try:
        report = check_data(load_domain(str(shop)), str(shop))
    except UserError as error:
        return str(error)
    return "\n".join(finding.message for finding in report.of("error")) or "ok"


def _by_hand(seed: int, count: int) -> None:
    faults: Counter[str] = Counter()
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                said = damage(number, seed, Path(folder))
                assert "Traceback" not in said and "Input should" not in said, said
            except Exception as error:
                trace = traceback.TracebackException.from_exception(error)
                cause = trace.__cause__ or trace
                faults[f"{cause.exc_type_str}: {str(cause).splitlines()[0][:120]}"] += 1
                print(number, "".join(trace.format())[-1500:], flush=True)
    print(count, "mutations;", sum(faults.values()), "faults", dict(faults))


if __name__ == "__main__":
    _by_hand(int(sys.argv[1]), int(sys.argv[2]))
