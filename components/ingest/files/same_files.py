"""Files that are read twice: under one name, through a link, or as a copy."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.file_system import locate

_COMPARED_BYTES = 1 << 20


def refuse_files_twice(tables: Sequence[tuple[Table, Sequence[str]]]) -> None:
    """Insist that no row of a log is read twice in the same way.

    The same file in two sources is right where they read it differently: other rows of it, or another
    action.

    Args:
        tables: The sources and their files.

    Raises:
        UserError: If a source has a file twice, as through a link, or two sources that say the same of
            their files share one.
    """
    seen: dict[object, list[tuple[Table, str]]] = defaultdict(list)
    for table, files in tables:
        for file in files:
            for other, earlier in seen[identity(file)]:
                if _how(other) == _how(table):
                    raise UserError(_twice(table, file, other, earlier))
            seen[identity(file)].append((table, file))


def identity(file: str) -> object:
    """Return what two names of one file have in common."""
    if "://" in file:
        return file
    status = os.stat(file)
    return status.st_dev, status.st_ino


def copies(files: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of files with the same content: the first of them, and another; empty ones are none.

    Only files of one size are read; the others cannot be alike.
    """
    by_size: dict[int, list[str]] = defaultdict(list)
    for file in {identity(file): file for file in files}.values():
        system, path = locate(file)
        by_size[system.get_file_info(path).size or 0].append(file)
    found = []
    for size, alike in by_size.items():
        if not size or len(alike) < 2:
            continue
        first: dict[bytes, str] = {}
        # Most files of one size differ near their beginning.
        heads: dict[bytes, list[str]] = defaultdict(list)
        for file in alike:
            heads[_digest(file, _COMPARED_BYTES)].append(file)
        for group in heads.values():
            for file in group if len(group) > 1 else []:
                earlier = first.setdefault(_digest(file, size), file)
                if earlier != file:
                    found.append((earlier, file))
    return sorted(found)


def _how(table: Table) -> dict[str, object]:
    """All that a source says of its files but where they are."""
    return table.model_dump(exclude={"files"})


def _twice(table: Table, file: str, other: Table, earlier: str) -> str:
    if file == earlier:
        found = f"{file} is read twice: it fits {other.files!r} and {table.files!r}"
    else:
        found = f"{file} is the same file as {earlier}, by a link or another way of writing its path"
    return (
        f"{found}. Expected each row once. Correct 'files' under interactions.sources in domain.yaml, so "
        "that it is read once; to read different rows of one file, let the sources say which ('where')."
    )


def _digest(file: str, size: int) -> bytes:
    """A digest of the first bytes of a file."""
    system, path = locate(file)
    digest = hashlib.blake2b()
    with system.open_input_stream(path, compression=None) as source:
        while size > 0 and (block := source.read(min(size, _COMPARED_BYTES))):
            digest.update(block)
            size -= len(block)
    return digest.digest()
