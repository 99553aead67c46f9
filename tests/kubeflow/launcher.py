"""Runs a compiled pipeline on this machine, each step as Kubeflow Pipelines v2 would run its container.

Kubeflow's part is played as its source has it: the driver resolves a task's inputs into an
``ExecutorInput``, names a place for each output, and starts the container; the launcher in there puts the
``ExecutorInput``, as JSON, where the command says ``{{$}}``, runs the command, and merges what the step
wrote about its outputs into what later steps are told. The step's own part is real: the container's argv
in a process of its own, in an empty directory; see :mod:`container`.

One thing differs from one Kubeflow to another, and both ways are played: Vertex AI runs a file-based
ExampleGen's ``preCacheCheck`` (which looks at the data and says its fingerprint) before the step, Kubeflow's
own backend does not.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

PLACEHOLDER = "{{$}}"
"""Stands for the ExecutorInput in a container's command and arguments."""
_LOG_TAIL = 40

Artifact = dict[str, Any]
"""A RuntimeArtifact as JSON: name, type, uri, metadata."""
RunContainer = Callable[[Sequence[str], Path, Path], int]
"""As :func:`container.run_container`."""


class StepFailed(AssertionError):
    """A container ended with another code than 0; the message has the end of its log."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A task of the pipeline.

    Attributes:
        name: The task's name.
        upstream: Names of the tasks it waits for.
        parameters: Input parameters, name to value.
        inputs: Input artifacts, name to producing task and its output's name.
        outputs: Output artifacts, name to type schema.
        argv: The container's command and arguments.
        pre_cache_check: Command and arguments of the check before it; empty where there is none.
    """

    name: str
    upstream: frozenset[str]
    parameters: Mapping[str, Any]
    inputs: Mapping[str, tuple[str, str]]
    outputs: Mapping[str, Mapping[str, Any]]
    argv: Sequence[str]
    pre_cache_check: Sequence[str]


def steps_of(spec: pipeline_spec_pb2.PipelineSpec) -> dict[str, Step]:
    """The tasks of a compiled pipeline by name.

    Raises:
        ValueError: If a task takes a parameter from elsewhere than the file, or is no container: then
            this module does not play all of Kubeflow's part.
    """
    content = json_format.MessageToDict(spec)
    executors = content["deploymentSpec"]["executors"]
    return {
        name: _step(name, task, content["components"][task["componentRef"]["name"]], executors)
        for name, task in content["root"]["dag"]["tasks"].items()
    }


def _step(
    name: str, task: Mapping[str, Any], component: Mapping[str, Any], executors: Mapping[str, Any]
) -> Step:
    executor = executors[component["executorLabel"]]
    if "container" not in executor:
        raise ValueError(f"{name} is not a container but {', '.join(executor)}")
    container = executor["container"]
    check = container.get("lifecycle", {}).get("preCacheCheck", {})
    inputs = task.get("inputs", {})
    return Step(
        name=name,
        upstream=frozenset(task.get("dependentTasks", [])),
        parameters={key: _constant(name, key, value) for key, value in inputs.get("parameters", {}).items()},
        inputs={
            key: (
                value["taskOutputArtifact"]["producerTask"],
                value["taskOutputArtifact"]["outputArtifactKey"],
            )
            for key, value in inputs.get("artifacts", {}).items()
        },
        outputs={
            key: value["artifactType"]
            for key, value in component.get("outputDefinitions", {}).get("artifacts", {}).items()
        },
        argv=[*container["command"], *container["args"]],
        pre_cache_check=[*check.get("command", []), *check.get("args", [])],
    )


def _constant(step: str, name: str, value: Mapping[str, Any]) -> Any:
    if "runtimeValue" not in value:
        raise ValueError(f"{step}: parameter {name} is not a constant: {value}")
    return value["runtimeValue"]["constant"]


class Launcher:
    """Runs steps and remembers their outputs.

    Attributes:
        outputs: Output artifacts of the steps that have ended, by step and output.
        seconds: How long each took.
    """

    def __init__(self, root: Path, run_container: RunContainer, *, pre_cache_checks: bool = True) -> None:
        """Makes a launcher.

        Args:
            root: Directory for artifacts, logs and working directories, a folder a step.
            run_container: Runs a command.
            pre_cache_checks: Whether to run them, as Vertex AI does.
        """
        self._root = root
        self._run_container = run_container
        self._pre_cache_checks = pre_cache_checks
        self.outputs: dict[str, dict[str, Artifact]] = {}
        self.seconds: dict[str, float] = {}

    def run_all(self, steps: Mapping[str, Step], at_once: int) -> list[str]:
        """Runs all steps, each when those it waits for have ended, a few at once.

        Returns:
            The steps' names in the order they ended.

        Raises:
            StepFailed: If one fails; those under way are waited for, no other is started.
        """
        ended: list[str] = []
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(at_once) as pool:
            while len(ended) < len(steps):
                started = {*ended, *running.values()}
                for step in steps.values():
                    if step.name not in started and step.upstream <= set(ended) and len(running) < at_once:
                        running[pool.submit(self.run, step)] = step.name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    ended.append(running.pop(future))
        return ended

    def run(self, step: Step) -> None:
        """Runs one step.

        Raises:
            StepFailed: If its container fails.
            KeyError: If an artifact it reads has not been made, so a dependency is missing.
        """
        folder = self._root / step.name
        folder.mkdir(parents=True)
        outputs = {
            key: {"name": f"{step.name}-{key}", "type": type_, "uri": str(folder / key), "metadata": {}}
            for key, type_ in step.outputs.items()
        }
        output_file = folder / "executor_output.json"
        started = time.monotonic()
        if self._pre_cache_checks and step.pre_cache_check:
            self._execute(step, step.pre_cache_check, outputs, output_file, "pre_cache_check")
            _merge(outputs, output_file)
        self._execute(step, step.argv, outputs, output_file, "executor")
        _merge(outputs, output_file)
        self.seconds[step.name] = time.monotonic() - started
        self.outputs[step.name] = outputs

    def _execute(
        self,
        step: Step,
        argv: Sequence[str],
        outputs: Mapping[str, Artifact],
        output_file: Path,
        what: str,
    ) -> None:
        executor_input = {
            "inputs": {
                "parameterValues": dict(step.parameters),
                "artifacts": {
                    key: {"artifacts": [self.outputs[producer][output]]}
                    for key, (producer, output) in step.inputs.items()
                },
            },
            "outputs": {
                "artifacts": {key: {"artifacts": [artifact]} for key, artifact in outputs.items()},
                "outputFile": str(output_file),
            },
        }
        filled = [part.replace(PLACEHOLDER, json.dumps(executor_input)) for part in argv]
        folder = output_file.parent
        working = folder / f"{what}_cwd"
        working.mkdir()
        log = folder / f"{what}.log"
        code = self._run_container(filled, working, log)
        if code:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL:])
            raise StepFailed(f"{what} of {step.name} ended with {code}; the end of {log}:\n{tail}")


def _merge(outputs: Mapping[str, Artifact], output_file: Path) -> None:
    """What a container wrote about its outputs goes to those who read them."""
    written = json.loads(output_file.read_text()) if output_file.exists() else {}
    for key, value in written.get("artifacts", {}).items():
        (artifact,) = value["artifacts"]
        outputs[key]["uri"] = artifact.get("uri") or outputs[key]["uri"]
        outputs[key]["metadata"] |= artifact.get("metadata", {})
