"""What a version's files are: their sizes and checksums, written with it and checked before it answers.

A copy that was cut short often loads all the same: a vocabulary without its end knows fewer words.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from serving.contract import EXTRA
from serving.errors import ModelError

MANIFEST_FILE = "manifest.json"
"""Name of the file in ``assets.extra``: ``{"files": {path: {"bytes": size, "sha256": hexadecimal}}}``."""
_CHUNK = 1 << 20


def write_manifest(path: str) -> None:
    """Writes down every file below a directory; to be called when all are written.

    Args:
        path: A SavedModel's directory, of any file system that TensorFlow knows; it has an ``assets.extra``.
    """
    files = {name: _told(os.path.join(path, name)) for name in sorted(_names(path))}
    with tf.io.gfile.GFile(os.path.join(path, EXTRA, MANIFEST_FILE), "w") as file:
        json.dump({"files": files}, file, indent=2)


def check_manifest(path: Path) -> None:
    """Compares a version's files with what was written down; one without a manifest is not checked.

    Args:
        path: Its directory. Files that the manifest does not name, others may have put there.

    Raises:
        ModelError: If a file is missing or differs; names it, what was found and what was expected.
    """
    manifest = path / EXTRA / MANIFEST_FILE
    if not manifest.is_file():
        return
    try:
        files: dict[str, dict[str, Any]] = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        for name, expected in files.items():
            _compare(path / name, int(expected["bytes"]), str(expected["sha256"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{manifest} cannot be read: {error!r}. Push the version anew") from error


def _compare(file: Path, size: int, checksum: str) -> None:
    try:
        found = file.stat().st_size
    except OSError as error:
        raise ModelError(f"{file} is damaged: {error.strerror}, expected {size:,} bytes") from error
    if found != size:
        raise ModelError(f"{file} is damaged: found {found:,} bytes, expected {size:,}")
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != checksum:
            raise ModelError(f"{file} is damaged: its {size:,} bytes are not those that were written")


def _names(path: str) -> Iterator[str]:
    for folder, _, names in tf.io.gfile.walk(path):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), path)


def _told(file: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with tf.io.gfile.GFile(file, "rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}
