"""One model's versions: which are on disk, which are loaded, which answer.

A base path holds one directory a version, named by a whole number, as TensorFlow Serving has it. A version
answers once it is loaded and its warm-up requests have been replayed; only then are those it replaces closed,
and each of them only after its last request. One that cannot be loaded replaces nothing: it is reported, and
tried again when its files change.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from tensorflow_serving.apis import get_model_status_pb2

from serving.contract import GREATEST_VERSION, is_version
from serving.errors import ModelError, RequestError, invalid, not_found
from serving.loaded_model import MODEL_FILE, LoadedModel
from serving.warmup import warm_up

State = get_model_status_pb2.ModelVersionStatus

_log = logging.getLogger(__name__)

Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class ModelConfig:
    """Which versions of which model to serve.

    Attributes:
        name: What requests call it.
        base_path: Directory of the versions; or one SavedModel's own, which is then the only version:
            its name where that is a number, else 1.
        versions: Exactly these (a pin, for rolling back); where empty, the newest.
        newest: How many of the newest; None for all. Where one cannot be loaded, the next older stands in.
        labels: Name, such as ``stable`` or ``canary``, to version. Labelled versions are served beside the
            others. Requests that name neither label nor version get the highest version served.
    """

    name: str
    base_path: Path
    versions: frozenset[int] = frozenset()
    newest: int | None = 1
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionStatus:
    """How a version is.

    Attributes:
        version: Its number.
        state: LOADING, AVAILABLE, UNLOADING or END, of ``ModelVersionStatus``.
        error: Why it could not be loaded; None otherwise.
    """

    version: int
    state: int
    error: str | None = None


@dataclass(frozen=True)
class Lease:
    """A version that stays open until it is released.

    Attributes:
        name: Of the model.
        version: Which one.
        model: What answers.
    """

    name: str
    version: int
    model: LoadedModel

    def release(self) -> None:
        """Lets the version go; to be called once."""
        self.model.release()


class ServedModel:
    """The versions of one model."""

    def __init__(self, config: ModelConfig, run_threads: int = 1) -> None:
        """Nothing is loaded before :meth:`refresh`.

        Args:
            config: Which versions to serve.
            run_threads: See :class:`serving.loaded_model.LoadedModel`.
        """
        self.config, self._run_threads = config, run_threads
        self._lock = threading.Lock()
        self._loaded: dict[int, LoadedModel] = {}
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, Fingerprint] = {}
        self._seen: dict[int, Fingerprint] = {}
        self._passed_over: set[str] = set()
        self._closing: set[threading.Thread] = set()
        self._unlisted: str | None = None

    @property
    def available(self) -> tuple[int, ...]:
        """The versions that answer, lowest first."""
        with self._lock:
            return tuple(sorted(self._loaded))

    def statuses(self) -> tuple[VersionStatus, ...]:
        """Every version that was served or tried, highest first."""
        with self._lock:
            return tuple(self._statuses[version] for version in sorted(self._statuses, reverse=True))

    def lease(self, version: int | None, label: str | None) -> Lease:
        """A version to answer one request with.

        Args:
            version: Which one; by default the highest available.
            label: Its label, instead.

        Raises:
            RequestError: NOT_FOUND where the version does not answer, INVALID_ARGUMENT for an unknown
                label, UNAVAILABLE where no version answers yet.
        """
        with self._lock:
            if label is not None:
                if label not in self.config.labels:
                    known = ", ".join(sorted(self.config.labels)) or "none"
                    raise invalid(
                        f"model {self.config.name!r} has no version labelled {label!r}; labels: {known}"
                    )
                version = self.config.labels[label]
            elif version is None:
                if not self._loaded:
                    raise RequestError(
                        grpc.StatusCode.UNAVAILABLE, f"no version of model {self.config.name!r} is available"
                    )
                version = max(self._loaded)
            model = self._loaded.get(version)
            if model is None:
                available = ", ".join(map(str, sorted(self._loaded))) or "none"
                raise not_found(
                    f"version {version} of model {self.config.name!r} is not available; "
                    f"available: {available}"
                )
            model.acquire()
            return Lease(self.config.name, version, model)

    def refresh(self, at_once: bool = False) -> None:
        """Brings what is loaded in line with what is configured and on disk. By one thread at a time.

        Args:
            at_once: Load a new version now, even if its files were not seen unchanged at the last call:
                one that is still being copied may look whole.
        """
        on_disk = self._on_disk()
        self._forget_all_but(on_disk)
        wanted = self._wanted(self.config, on_disk, at_once or not self._loaded)
        # Without a single good version, what answers now goes on answering.
        if wanted:
            for version in set(self.available) - wanted:
                self._unload(version)

    def prepare(self, config: ModelConfig) -> list[str]:
        """Loads what another configuration wants beside what answers now, which goes on.

        Args:
            config: Of the same base path. Set :attr:`config` to adopt it; :meth:`refresh` then, or instead,
                unloads what is not wanted.

        Returns:
            What of it cannot be had; empty where all can.
        """
        on_disk = self._on_disk()
        wanted = self._wanted(config, on_disk, at_once=True)
        reasons = {status.version: error for status in self.statuses() if (error := status.error)}
        there = ", ".join(map(str, sorted(on_disk))) or "none"

        def because(version: int) -> str:
            return reasons.get(version, f"there is no such version in {config.base_path}; there: {there}")

        problems = [
            f"version {version} of model {config.name!r} is not available: {because(version)}"
            for version in sorted(config.versions - wanted)
        ]
        problems += [
            f"label {label!r} of model {config.name!r} is of version {version}, "
            f"which is not available: {because(version)}"
            for label, version in sorted(config.labels.items())
            if version not in wanted
        ]
        if not wanted and not problems:
            why = "; ".join(reasons.values()) or (
                f"found none in {config.base_path}, expected directories named by whole numbers"
            )
            problems.append(f"no version of model {config.name!r} is available: {why}")
        return problems

    def unload(self) -> None:
        """Takes no more requests, and closes each version after its last."""
        for version in self.available:
            self._unload(version)

    @property
    def is_closing(self) -> bool:
        """Whether a version that was unloaded still has requests."""
        with self._lock:
            return bool(self._closing)

    def close(self) -> None:
        """Unloads every version; returns after the last request."""
        self.unload()
        for closing in list(self._closing):
            closing.join()

    def _on_disk(self) -> dict[int, Path]:
        """Version to directory."""
        base = self.config.base_path
        if (base / MODEL_FILE).is_file():
            return {int(base.name) if is_version(base.name) else 1: base}
        try:
            entries = list(base.iterdir())
        except OSError as error:
            if error.strerror != self._unlisted:
                _log.warning("model %s: %s cannot be listed: %s", self.config.name, base, error.strerror)
            self._unlisted = error.strerror
            return {}
        self._unlisted = None
        folders = [path for path in entries if path.name.isdecimal() and path.is_dir()]
        beyond = {path.name for path in folders if not is_version(path.name)}
        for name in sorted(beyond - self._passed_over):
            _log.warning(
                "model %s: %s is passed over: a version is a whole number up to %d. Rename it",
                self.config.name,
                base / name,
                GREATEST_VERSION,
            )
        self._passed_over = beyond
        return {int(path.name): path for path in folders if path.name not in beyond}

    def _wanted(self, config: ModelConfig, on_disk: Mapping[int, Path], at_once: bool) -> set[int]:
        """The versions that a configuration wants and that answer, loaded where they were not."""
        wanted = {
            version
            for version in config.versions | set(config.labels.values())
            if self._is_loaded(version, on_disk, at_once)
        }
        if not config.versions:
            newest = 0
            for version in sorted(on_disk, reverse=True):
                if config.newest is not None and newest == config.newest:
                    break
                if self._is_loaded(version, on_disk, at_once):
                    newest += 1
                    wanted.add(version)
        return wanted

    def _is_loaded(self, version: int, on_disk: Mapping[int, Path], at_once: bool) -> bool:
        """Whether a version answers, after loading it if it can be."""
        if version in self._loaded:
            return True
        path = on_disk.get(version)
        if path is None:
            return False
        found = _fingerprint(path)
        if self._failed.get(version) == found:
            return False
        if not at_once and self._seen.get(version) != found:
            self._seen[version] = found
            return False
        return self._load(version, path, found)

    def _load(self, version: int, path: Path, found: Fingerprint) -> bool:
        name = self.config.name
        self._note(VersionStatus(version, State.LOADING))
        _log.info("model %s: loading version %d from %s", name, version, path)
        try:
            model = LoadedModel(path, self._run_threads)
            try:
                warmed = warm_up(model)
                if _fingerprint(path) != found:
                    raise ModelError(f"{path} changed while it was being loaded")
            except BaseException:
                model.close()
                raise
        except ModelError as error:
            self._failed[version] = found
            self._note(VersionStatus(version, State.END, str(error)))
            _log.error(
                "model %s: version %d is not served: %s. It is tried again when its files change; "
                "available: %s",
                name,
                version,
                error,
                ", ".join(map(str, self.available)) or "none",
            )
            return False
        with self._lock:
            self._loaded[version] = model
            self._statuses[version] = VersionStatus(version, State.AVAILABLE)
        self._failed.pop(version, None)
        _log.info("model %s: version %d is available, %d requests of warm-up replayed", name, version, warmed)
        return True

    def _unload(self, version: int) -> None:
        """Takes no more requests, and closes the version after its last: nobody here waits for that."""
        with self._lock:
            model = self._loaded.pop(version)
            self._statuses[version] = VersionStatus(version, State.UNLOADING)

        def close() -> None:
            model.close()
            with self._lock:
                # Loaded anew meanwhile, its status is another one's.
                if self._statuses.get(version) == VersionStatus(version, State.UNLOADING):
                    self._statuses[version] = VersionStatus(version, State.END)
                self._closing.discard(closing)
            _log.info("model %s: version %d is unloaded", self.config.name, version)

        closing = threading.Thread(target=close, name=f"unload-{version}", daemon=True)
        with self._lock:
            self._closing.add(closing)
        closing.start()

    def _note(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.version] = status

    def _forget_all_but(self, on_disk: Mapping[int, Path]) -> None:
        """Keeps no record of versions that are gone and not served."""
        with self._lock:
            gone = [v for v in self._statuses if v not in on_disk and v not in self._loaded]
            for version in gone:
                del self._statuses[version]
        for record in (self._failed, self._seen):
            for version in record.keys() - on_disk.keys():
                del record[version]


def _fingerprint(path: Path) -> Fingerprint:
    """Every file's name, size and time of change: differs whenever the version was written to."""
    files = []
    for folder, _, names in os.walk(path):
        for name in names:
            file = os.path.join(folder, name)
            try:
                status = os.stat(file)
            except OSError:
                continue
            files.append((file, status.st_size, status.st_mtime_ns))
    return tuple(sorted(files))
