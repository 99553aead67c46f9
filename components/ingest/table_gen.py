"""An ExampleGen that notices every edit of a file it reads."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfx.components import FileBasedExampleGen
from tfx.components.example_gen import driver, utils
from tfx.orchestration import data_types

from components.ingest.errors import UserError
from components.ingest.files.file_system import locate
from components.ingest.interactions import input_files


class Driver(driver.FileBasedDriver):
    """TFX's driver with a closer look at the files.

    TFX tells files by their number, the sum of their sizes and the seconds of their times: an edit of equal
    length within a second, a file put back with its old time and two files that change names go unnoticed.
    """

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Add a digest of each input split's files to TFX's fingerprint, which is part of the cache key."""
        resolved = super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        # Without a file there is nothing to run on; the executor says so.
        with contextlib.suppress(UserError):
            resolved[utils.FINGERPRINT_PROPERTY_NAME] = _with_digests(
                resolved[utils.FINGERPRINT_PROPERTY_NAME], input_files(resolved)
            )
        return resolved


class TableGen(FileBasedExampleGen):
    """A FileBasedExampleGen with this module's driver."""

    DRIVER_CLASS = Driver


def files_digest(files: Iterable[str]) -> str:
    """Return what changes with any edit, replacement or renaming of a file.

    Args:
        files: Paths or URIs. On this machine's file systems the time of a file's last change of state counts,
            which no program can set; on object stores the time of its last writing.

    Returns:
        32 hexadecimal digits.
    """
    return hashlib.blake2b(repr([_state(file) for file in files]).encode(), digest_size=16).hexdigest()


def _state(file: str) -> tuple[str | int | None, ...]:
    if "://" in file:
        system, path = locate(file)
        info = system.get_file_info(path)
        return file, info.size, info.mtime_ns
    state = os.stat(file)
    return file, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def _with_digests(fingerprint: str, files: Mapping[str, Sequence[str]]) -> str:
    """TFX's fingerprint, a line an input split in the order of the splits, each with its files' digest."""
    lines = fingerprint.split("\n")
    return "\n".join(
        f"{line},files:{files_digest(found)}" for line, found in zip(lines, files.values(), strict=True)
    )
