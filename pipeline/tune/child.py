"""The process that ``westwork tune`` trains its trials in."""

from __future__ import annotations

import argparse
import functools
import gc
import hashlib
import json
import shutil
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tf_keras as keras
import yaml

from components.ingest.errors import UserError
from components.retrieval.config import RetrievalConfig
from components.retrieval.trainer import build_model
from components.retrieval.training import MONITOR, distribution_strategy, fit
from components.retrieval.training_inputs import TrainingInputs
from pipeline.domain import Domain, load_domain
from pipeline.failures import explain
from pipeline.local_runner import Send, run_as_child
from pipeline.run_events import EpochEnded, SearchBegan, TrialEnded, TrialStarted
from pipeline.run_process import add_child_arguments
from pipeline.tune.config import read_setting, with_settings
from pipeline.tune.data import TransformedData, transformed_data
from pipeline.tune.draw import Settings, points
from pipeline.tune.pruning import Halving
from pipeline.tune.trials import TABLE, Trial, read_trials

_RECALL_AT_10 = "val_recall@10"


class Pruner(keras.callbacks.Callback):
    """Tells how a trial goes, and stops one that is far behind the earlier ones."""

    def __init__(self, halving: Halving | None, send: Send):
        """Prepares to follow one trial; without ``halving`` none is stopped."""
        super().__init__()
        self._halving = halving
        self._send = send
        self._curve: list[float] = []
        self.stopped = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Looks at the epoch's validation, which the callbacks before have put into the logs."""
        self._curve.append((logs or {})[MONITOR])
        self._send(EpochEnded(epoch=epoch + 1, recall_at_100=self._curve[-1]))
        # Of a training gone on with, the epochs before are not known here, and were judged then.
        if self._halving and len(self._curve) == epoch + 1 and not self._halving.goes_on(self._curve):
            self.stopped = True
            self.model.stop_training = True


class Search:
    """Trains trials of a domain, one after the other."""

    def __init__(self, domain: Domain, data: TransformedData, folder: Path, send: Send):
        """Goes on with the trials that the folder's table has already."""
        self._domain = domain
        self._folder = folder
        self._send = send
        self._halving = Halving(domain.retrieval.epochs) if domain.tune.prune else None
        self._read = functools.lru_cache(data.read)
        # Data without a single positive are no trial's fault.
        self._inputs(domain.retrieval)
        self._known = {trial.number: trial for trial in read_trials(folder / TABLE)}
        for trial in self._known.values():
            self._note(trial)

    def run(self, trials: int, seconds: float) -> None:
        """Trains the trials that are still to do.

        Args:
            trials: How many there are to be, those done before included.
            seconds: No trial is begun after so long.
        """
        began = time.monotonic()
        retrieval, tune = self._domain.retrieval, self._domain.tune
        first = {key: read_setting(retrieval, key) for key in tune.searched}
        drawn = points(tune.searched, first, tune.seed, self._config)
        for number, settings in zip(range(1, trials + 1), drawn, strict=False):
            if number in self._known:
                continue
            if time.monotonic() - began > seconds:
                break
            self._send(TrialStarted(number=number, settings=settings))
            trial = self._trained(number, settings)
            self._note(trial)
            self._send(TrialEnded(trial=trial))

    def _config(self, settings: Settings) -> RetrievalConfig:
        """The retrieval section with a trial's settings; ValueError where they do not fit."""
        config = with_settings(self._domain.retrieval, settings)
        config.check(self._domain.query_features)
        return config

    def _inputs(self, config: RetrievalConfig) -> TrainingInputs:
        """What a trial of these settings trains on."""
        return self._read(positives_only=config.loss.positives_only, debias=config.debias)

    def _note(self, trial: Trial) -> None:
        if self._halving and trial.state != "failed":
            self._halving.add(trial.curve, pruned=trial.state == "pruned")

    def _trained(self, number: int, settings: Settings) -> Trial:
        """One trial; what goes wrong in it is recorded, and is none of the others' business."""
        print(f"trial {number}: {settings}", flush=True)
        name = f"trial-{number:03d}"
        resume_dir = unfinished(self._folder, number)
        pruner = Pruner(self._halving, self._send)
        began = time.monotonic()
        try:
            config = self._config(settings)
            inputs = self._inputs(config)
            with distribution_strategy(config).scope():
                history = fit(
                    build_model(inputs, config),
                    inputs.train,
                    inputs.validation,
                    config,
                    str(self._folder / "tensorboard" / name),
                    resume_dir=str(resume_dir),
                    exclude_history=not self._domain.evaluation.repeats,
                    callbacks=[pruner],
                )
        except Exception as error:
            traceback.print_exception(error)
            shutil.rmtree(resume_dir, ignore_errors=True)
            return Trial(
                number=number,
                settings=settings,
                state="failed",
                seconds=round(time.monotonic() - began, 1),
                error=explain(error)[0],
            )
        finally:
            # What Keras keeps of a model would add up over the trials.
            keras.backend.clear_session()
            gc.collect()
        curve = [round(recall, 6) for recall in history[MONITOR]]
        best = curve.index(max(curve))
        return Trial(
            number=number,
            settings=settings,
            state="pruned" if pruner.stopped else "done",
            seconds=round(time.monotonic() - began, 1),
            curve=tuple(curve),
            recall_at_100=curve[best],
            recall_at_10=round(history[_RECALL_AT_10][best], 6),
        )


def unfinished(folder: Path, number: int) -> Path:
    """Where a trial leaves what it takes to go on with it after an interruption."""
    return folder / "unfinished" / f"trial-{number:03d}"


def search_folder(domain: Domain, data: TransformedData, root: Path) -> Path:
    """The folder of a search: one for all sittings whose trials can be compared, and only for them.

    Its name is a digest of all that trials follow from: data, configuration, ranges and seed; it holds them,
    for people, in ``search.yaml``.
    """
    searched = domain.tune.model_copy(update={"ranges": domain.tune.searched})
    described: dict[str, Any] = {
        "retrieval": domain.retrieval.model_dump(mode="json"),
        "repeats": domain.evaluation.repeats,
        "tune": searched.model_dump(mode="json"),
        "data": [data.interactions, data.interaction_graph, data.candidates, data.candidate_graph],
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    folder = root / "tune" / digest[:12]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "search.yaml").write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    return folder


def run_search(
    name: str, overrides: Sequence[str], root: Path, trials: int, seconds: float, send: Send
) -> None:
    """Brings the data to where trainers read them, then trains trials.

    Args:
        name: The domain, as :func:`pipeline.domain.load_domain` takes it.
        overrides: ``key=value`` settings.
        root: Root of the run; holds the data already.
        trials: How many trials there are to be, those of earlier sittings included.
        seconds: No trial is begun after so long.
        send: Called for each event.

    Raises:
        UserError: If the domain is wrong, or its data leave nothing to learn or to validate.
        StepFailed: If a step of the pipeline fails.
    """
    domain = load_domain(name, overrides)
    if domain.retrieval.strategy == "multi_worker":
        raise UserError(
            "retrieval.strategy is 'multi_worker': trials run in one process. Search with "
            "--set retrieval.strategy=one_device."
        )
    data = transformed_data(domain, root, send)
    folder = search_folder(domain, data, root)
    search = Search(domain, data, folder, send)
    send(SearchBegan(folder=str(folder)))
    search.run(trials, seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """The child process of ``westwork tune``."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tune.child", description=__doc__)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    add_child_arguments(parser)
    given = parser.parse_args(argv)

    def run(send: Send) -> None:
        run_search(given.domain, given.overrides, given.root, given.trials, given.seconds, send)

    return run_as_child(given, run)


if __name__ == "__main__":
    sys.exit(main())
