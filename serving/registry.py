"""The models of a server, kept up to date by a thread of their own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import grpc
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import RequestError, invalid, not_found
from serving.versions import Lease, ModelConfig, ServedModel, VersionStatus

PLATFORM = "tensorflow"

_log = logging.getLogger(__name__)


class Registry:
    """Models by name. Any thread may ask; loading and unloading happens in one at a time."""

    def __init__(
        self,
        configs: Iterable[ModelConfig],
        on_change: Callable[[], None] = lambda: None,
        run_threads: int = 1,
    ) -> None:
        """Nothing is loaded before :meth:`refresh`.

        Args:
            configs: The models.
            on_change: Called after each look at the disk, in the thread that looked.
            run_threads: See :class:`serving.loaded_model.LoadedModel`.
        """
        self._models = {config.name: ServedModel(config, run_threads) for config in configs}
        self._on_change, self._run_threads = on_change, run_threads
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._removed: list[ServedModel] = []

    @property
    def models(self) -> dict[str, ServedModel]:
        """The models by name, as of now."""
        return dict(self._models)

    def known(self, name: str) -> str:
        """A name for the metrics: that of a served model, "" for all others, of which there is no end."""
        return name if name in self._models else ""

    @property
    def ready(self) -> bool:
        """Whether every model has a version that answers."""
        models = self.models.values()
        return bool(models) and all(model.available for model in models)

    def lease(self, spec: model_pb2.ModelSpec) -> Lease:
        """The version that answers a request.

        Args:
            spec: The request's name, and version or label.

        Raises:
            RequestError: If there is none; see :meth:`ServedModel.lease`.
        """
        choice = spec.WhichOneof("version_choice")
        return self._model(spec).lease(
            spec.version.value if choice == "version" else None,
            spec.version_label if choice == "version_label" else None,
        )

    def statuses(self, spec: model_pb2.ModelSpec) -> tuple[VersionStatus, ...]:
        """How a model's versions are, or the one version named.

        Raises:
            RequestError: NOT_FOUND where there is no such model or version, INVALID_ARGUMENT for an
                unknown label.
        """
        model = self._model(spec)
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            return model.statuses()
        if choice == "version_label" and spec.version_label not in model.config.labels:
            raise invalid(f"model {spec.name!r} has no version labelled {spec.version_label!r}")
        version = spec.version.value if choice == "version" else model.config.labels[spec.version_label]
        found = tuple(status for status in model.statuses() if status.version == version)
        if not found:
            raise not_found(f"there is no version {version} of model {spec.name!r}")
        return found

    def refresh(self, at_once: bool = False) -> None:
        """Looks at the disk and loads and unloads accordingly; see :meth:`ServedModel.refresh`."""
        with self._changing:
            self._refresh(at_once)

    def reload(self, configs: Iterable[ModelConfig]) -> None:
        """Serves other models, versions or labels from now on.

        Args:
            configs: All models; those not among them are unloaded.

        Raises:
            RequestError: FAILED_PRECONDITION where a model has no version that loads, or a version or a
                label's does not: then nothing has changed. UNAVAILABLE while the server stops.
        """
        wanted = {config.name: config for config in configs}
        with self._changing:
            if self._stopping.is_set():
                raise RequestError(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
            before, models, problems = self._models, {}, []
            for name, config in wanted.items():
                model = before.get(name)
                if model is None or model.config.base_path != config.base_path:
                    model = ServedModel(config, self._run_threads)
                models[name] = model
                problems += model.prepare(config)
            if problems:
                for model in set(models.values()) - set(before.values()):
                    model.close()
                self._refresh(at_once=False)
                raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, "; ".join(problems))
            for name, config in wanted.items():
                models[name].config = config
            self._models = models
            self._refresh(at_once=True)
            for model in set(before.values()) - set(models.values()):
                model.unload()
                self._removed.append(model)
            self._removed = [model for model in self._removed if model.is_closing]

    def prepare(self) -> list[str]:
        """Loads what is configured; what of it cannot be had, empty where all can."""
        with self._changing:
            problems = [problem for model in self._models.values() for problem in model.prepare(model.config)]
            self._on_change()
            return problems

    def watch(self, seconds: float) -> None:
        """Starts looking at the disk.

        Args:
            seconds: How often.
        """
        self._thread = threading.Thread(
            target=self._watch, args=(seconds,), name="model-versions", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stops looking and unloads everything, after the last request."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        with self._changing:
            for model in (*self._models.values(), *self._removed):
                model.close()

    def _watch(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            try:
                self.refresh()
            except Exception:
                # Whatever it was, the versions that answer go on answering.
                _log.exception("looking for new versions failed; it is tried again in %g s", seconds)

    def _refresh(self, at_once: bool) -> None:
        for model in self._models.values():
            model.refresh(at_once)
        self._on_change()

    def _model(self, spec: model_pb2.ModelSpec) -> ServedModel:
        if not spec.name:
            raise invalid("model_spec names no model: set model_spec.name")
        model = self._models.get(spec.name)
        if model is None:
            raise not_found(
                f"there is no model {spec.name!r}; served: {', '.join(sorted(self._models)) or 'none'}"
            )
        return model


def model_configs(config: model_server_config_pb2.ModelServerConfig) -> list[ModelConfig]:
    """A request's configuration.

    Raises:
        RequestError: INVALID_ARGUMENT; says what is wrong with it.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid("expected a config with a model_config_list")
    configs = []
    for model in config.model_config_list.config:
        if not model.name or not model.base_path:
            raise invalid(f"expected a name and a base_path, found {model.name!r} and {model.base_path!r}")
        if model.model_platform not in ("", PLATFORM):
            raise invalid(
                f"model_platform of {model.name!r}: found {model.model_platform!r}, expected {PLATFORM!r}"
            )
        if not Path(model.base_path).is_dir():
            raise invalid(f"base_path of {model.name!r}: {model.base_path} is no directory of this server")
        policy = model.model_version_policy
        choice = policy.WhichOneof("policy_choice")
        if choice == "specific" and not policy.specific.versions:
            raise invalid(f"model_version_policy of {model.name!r}: specific names no version")
        configs.append(
            ModelConfig(
                name=model.name,
                base_path=Path(model.base_path),
                versions=frozenset(policy.specific.versions),
                newest=None if choice == "all" else max(1, policy.latest.num_versions),
                labels=dict(model.version_labels),
            )
        )
    names = [config.name for config in configs]
    if len(set(names)) < len(names):
        raise invalid(f"a model is named twice in {', '.join(names)}")
    return configs
