"""Where a run keeps things: one folder, the run's root, with a fixed layout and one run at a time in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.ingest.errors import UserError

_PROBE_BYTES = 4096


@dataclass(frozen=True)
class RunRoot:
    """The layout of a run's root. Nothing is created before :meth:`prepare`.

    Attributes:
        path: The root folder, absolute.
    """

    path: Path

    @classmethod
    def of(cls, root: str | os.PathLike[str] | None, domain_name: str) -> RunRoot:
        """The root the user named, or ``runs/<domain>`` in the current folder."""
        return cls((Path(root) if root else Path("runs") / domain_name).absolute())

    @property
    def data(self) -> Path:
        """The acquired tables."""
        return self.path / "data"

    @property
    def metadata(self) -> Path:
        """ML Metadata's store (SQLite)."""
        return self.path / "metadata.sqlite"

    @property
    def artifacts(self) -> Path:
        """The steps' outputs, which the metadata knows about."""
        return self.path / "artifacts"

    @property
    def serving(self) -> Path:
        """Pushed models, one folder a version."""
        return self.path / "serving"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.path / "logs"

    @property
    def report(self) -> Path:
        """The report, one HTML page."""
        return self.path / "report.html"

    def prepare(self) -> None:
        """Create the root and see that a run can write what it will have to write, before it does any work.

        Raises:
            UserError: If it cannot, naming the folder, or TFX would read its path as a pattern.
        """
        found = next((sign for sign in "[*?" if sign in str(self.path)), None)
        if found:
            raise UserError(
                f"the run's root {self.path} has {found!r} in its path; expected none of [ * ?, as TFX finds "
                "its own files by patterns. Name another folder with --root."
            )
        for folder in (self.data, self.artifacts, self.serving, self.logs):
            if os.path.lexists(folder) and not folder.is_dir():
                raise UserError(
                    f"{folder} is no folder. Expected a folder, or nothing: a run makes it. Remove it, or "
                    "name another --root."
                )
        written = self.path
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            for written in filter(Path.is_dir, (self.path, self.logs, self.artifacts, self.serving)):
                probe = written / ".writable"
                # Not empty: a full disk takes empty files.
                probe.write_bytes(bytes(_PROBE_BYTES))
                probe.unlink()
        except OSError as error:
            where = "" if written == self.path else f", in {written}"
            raise UserError(
                f"cannot write to the run's root {self.path}{where}: {error.strerror or error}. "
                "Name a folder you may write to, with room on its disk, with --root."
            ) from error

    def new_log(self) -> Path:
        """Path of a fresh log file, named after the current UTC time; older ones stay."""
        return self.logs / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%fZ}.log"

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the root for one run.

        The lock belongs to the open file, so a child that inherits the descriptor keeps the root locked
        until it has ended too, and no lock outlives its processes.

        Yields:
            The lock file's descriptor.

        Raises:
            UserError: If another run holds the root, or the lock file cannot be opened.
        """
        lock = self.path / ".lock"
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UserError(
                f"{lock} cannot be opened: {error.strerror or error}. Expected a file that this process may "
                "write, or none: a run makes it. Remove it, or name another --root."
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
                raise UserError(
                    f"another run is working in {self.path} (process {holder}). "
                    "Wait for it to end, or give this run a folder of its own with --root."
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)
