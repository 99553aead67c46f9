"""Zip archives that hold one file."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from typing import IO, cast

from components.ingest.errors import UserError
from components.ingest.files.file_system import locate

OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""First bytes of a spreadsheet or document that is no zip archive: of Office before 2007."""
_OF_A_SPREADSHEET = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
_OF_THE_ARCHIVER = ("__MACOSX/", ".DS_Store")
_SHOWN_MEMBERS = 10


def members(file: str) -> list[str]:
    """Return the names of the files in an archive, without folders and what an archiver adds.

    Args:
        file: Path or URI.

    Raises:
        zipfile.BadZipFile: If the file is no whole zip archive.
    """
    system, path = locate(file)
    with system.open_input_file(path) as source, zipfile.ZipFile(cast(IO[bytes], source)) as archive:
        return _files(archive)


def is_spreadsheet(names: Collection[str]) -> bool:
    """Return whether an archive is a spreadsheet, by the names of its :func:`members`."""
    return any(part in names for part in _OF_A_SPREADSHEET)


def open_member(file: str) -> IO[bytes]:
    """Open the one file in an archive.

    Args:
        file: Path or URI.

    Raises:
        UserError: If the archive has not exactly one file, or a password.
        zipfile.BadZipFile: If the file is no whole zip archive.
    """
    system, path = locate(file)
    # The archive holds the file, the member holds the archive: all are closed with the last of them.
    archive = zipfile.ZipFile(cast(IO[bytes], system.open_input_file(path)))
    names = _files(archive)
    if len(names) != 1:
        raise UserError(
            f"{file} is a zip archive of {len(names)} files: {shown(names)}. Expected exactly one. Unpack it "
            "and name its files under 'files' in domain.yaml, or pack each file by itself."
        )
    try:
        return archive.open(names[0])
    except (RuntimeError, NotImplementedError) as error:
        raise UserError(
            f"{file}: {names[0]} in this zip archive cannot be unpacked: {error}. Expected an archive "
            "without a password. Unpack it and name its file under 'files' in domain.yaml."
        ) from error


def shown(names: list[str]) -> str:
    """Return the first few names, for a message."""
    more = len(names) - _SHOWN_MEMBERS
    return (", ".join(names[:_SHOWN_MEMBERS]) or "none") + (f" and {more:,} more" if more > 0 else "")


def _files(archive: zipfile.ZipFile) -> list[str]:
    return [
        member.filename
        for member in archive.infolist()
        if not member.is_dir() and not any(name in member.filename for name in _OF_THE_ARCHIVER)
    ]
