"""A server under load whose versions come and go and whom some ask for what it must refuse.

Good requests come from a process of their own over both interfaces. Meanwhile versions are pushed by rename,
rolled back and forward by reload, and malformed requests sent. What is wrong with any answer is a violation.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from benchmarks.load.generator import Generator, Measured, Plan
from benchmarks.load.malformed import Case, ask, cases
from benchmarks.load.requests import Inputs, as_grpc, as_json, predict_request
from serving.client import MODEL_NAME, Recommender

_SECONDS_TO_SWAP = 60.0
_LOOK_SECONDS = 0.02
_MEMORY_SECONDS = 0.5
_WARM_SHARE = 0.25
"""Of the time, in which memory may still grow: the allocator's pools fill, caches of every shape."""
_STEADY_SHARE, _STEADY_BYTES = 0.1, 64 << 20
"""Growth over the rest that counts as none: of the memory, and at least."""

State = get_model_status_pb2.ModelVersionStatus


@dataclass(frozen=True)
class Settings:
    """How hard, and how long.

    Attributes:
        seconds: How long.
        swaps: How often another version is to answer in that time.
        grpc_callers: How many ask over gRPC at once.
        rest_callers: How many over REST.
        malformed_pause: Seconds between malformed requests.
    """

    seconds: float
    swaps: int
    grpc_callers: int = 8
    rest_callers: int = 4
    malformed_pause: float = 0.02


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        good: Good requests answered, by interface.
        swaps: How often another version came to answer.
        malformed: Case to the number of times it was sent.
        memory: Seconds since the start and bytes that the server occupied then.
        violations: What must not have happened, each once, with how often.
    """

    good: dict[str, Measured] = field(default_factory=dict)
    swaps: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, int]] = field(default_factory=list)
    violations: Counter[str] = field(default_factory=Counter)

    @property
    def growth(self) -> float:
        """Bytes a second that memory grew by after the warm-up: the slope of a least-squares line."""
        times, occupied = np.array(self._after_warm_up(), float).T
        return float(np.polyfit(times, occupied, 1)[0])

    def check_memory(self) -> None:
        """Makes memory that grows a violation."""
        times, occupied = zip(*self._after_warm_up(), strict=True)
        grown = self.growth * (times[-1] - times[0])
        if grown > max(_STEADY_BYTES, _STEADY_SHARE * float(np.median(occupied))):
            self.violations[f"memory grew by {_mb(grown)} in {times[-1] - times[0]:.0f} s"] += 1

    def _after_warm_up(self) -> list[tuple[float, int]]:
        return [sample for sample in self.memory if sample[0] >= _WARM_SHARE * self.memory[-1][0]]


def soak(
    target: str,
    url: str,
    base_path: Path,
    memory: Callable[[], int],
    inputs: Sequence[Inputs],
    settings: Settings,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Loads a server while its versions change, and judges every answer.

    Args:
        target: Its ``HOST:PORT`` of gRPC.
        url: REST's URL of the model.
        base_path: The model's; holds one version, which stands in for all that are pushed.
        memory: The server's memory in bytes.
        inputs: Good requests.
        settings: How hard, and how long.
        say: Told of each swap.
    """
    outcome, stopping = Outcome(), threading.Event()
    began = time.monotonic()

    def until_stopped(step: Callable[[], None], pause: float) -> Callable[[], None]:
        def run() -> None:
            while not stopping.wait(pause):
                step()

        return run

    def sample() -> None:
        outcome.memory.append((time.monotonic() - began, memory()))

    plans = {
        "gRPC": Plan("gRPC", target, as_grpc(inputs), settings.grpc_callers, settings.seconds),
        "REST": Plan("REST", f"{url}:predict", as_json(inputs), settings.rest_callers, settings.seconds),
    }
    generators = {api: Generator() for api in plans}
    threads = [threading.Thread(target=until_stopped(sample, _MEMORY_SECONDS), daemon=True)]
    with grpc.insecure_channel(target, [("grpc.max_send_message_length", -1)]) as channel:
        malformed = _Malformed(channel, url, target, inputs[0], outcome)
        threads.append(
            threading.Thread(target=until_stopped(malformed.send, settings.malformed_pause), daemon=True)
        )
        try:
            for api, generator in generators.items():
                generator.start(plans[api])
            for thread in threads:
                thread.start()
            _swap_versions(
                channel, base_path, inputs[0], settings, outcome, lambda line: say(f"{line}, {_mb(memory())}")
            )
            outcome.good = {api: generator.result() for api, generator in generators.items()}
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
            for generator in generators.values():
                generator.end()
    for api, measured in outcome.good.items():
        for failure, count in measured.failures.items():
            outcome.violations[f"a good request over {api} failed: {failure}"] += count
        if not measured.answers:
            outcome.violations[f"no request over {api} was answered"] += 1
    outcome.check_memory()
    return outcome


class _Malformed:
    """Sends the malformed requests in turn and judges the answers."""

    def __init__(self, channel: grpc.Channel, url: str, target: str, good: Inputs, outcome: Outcome):
        self._channel, self._url, self._outcome = channel, url, outcome
        with Recommender(target, MODEL_NAME) as recommender:
            signature = recommender.signature("recommend")
        self._cases = _in_turn(cases(signature, good))

    def send(self) -> None:
        case = next(self._cases)
        self._outcome.malformed[case.name] += 1
        problem = ask(case, self._channel, self._url)
        if problem:
            self._outcome.violations[f"{case.name}: {problem}"] += 1


def _in_turn(all_cases: Sequence[Case]) -> Iterator[Case]:
    while True:
        yield from all_cases


def _swap_versions(
    channel: grpc.Channel,
    base_path: Path,
    good: Inputs,
    settings: Settings,
    outcome: Outcome,
    say: Callable[[str], None],
) -> None:
    """Pushes, rolls back and forward again, over and over, evenly spread over the time."""
    versions = _Versions(channel, base_path, good)
    began = time.monotonic()
    for number in range(settings.swaps):
        time.sleep(
            max(0.0, began + (number + 1) * settings.seconds / (settings.swaps + 1) - time.monotonic())
        )
        step = (versions.push, versions.roll_back, versions.roll_forward)[number % 3]
        try:
            said = step()
        except (TimeoutError, grpc.RpcError) as error:
            outcome.violations[f"swap failed: {error}"] += 1
            continue
        outcome.swaps += 1
        say(f"swap {outcome.swaps} of {settings.swaps}: {said}")


class _Versions:
    """Changes which version answers, as those who run a server do."""

    def __init__(self, channel: grpc.Channel, base_path: Path, good: Inputs):
        self._base = base_path
        self._service = model_service_pb2_grpc.ModelServiceStub(channel)
        self._request = predict_request(good)
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        self._newest = max(int(path.name) for path in base_path.iterdir() if path.name.isdecimal())

    def push(self) -> str:
        """A new version, linked aside and renamed, after a damaged one in its place; old ones are deleted."""
        source = self._base / str(self._newest)
        for path in self._base.iterdir():
            if path.name.isdecimal() and int(path.name) < self._newest:
                shutil.rmtree(path)
        self._newest += 1
        path = self._base / str(self._newest)
        self._leave_damaged(path)
        part = self._base / ".part"
        shutil.copytree(source, part, copy_function=os.link)
        shutil.rmtree(path)
        part.rename(path)
        return f"version {self._newest} was pushed and {self._answers(self._newest)}"

    def roll_back(self) -> str:
        """The version before is pinned."""
        self._reload([self._newest - 1])
        return f"rolled back to version {self._newest - 1}, {self._answers(self._newest - 1)}"

    def roll_forward(self) -> str:
        """The newest version is wanted again."""
        self._reload([])
        return f"rolled forward to version {self._newest}, {self._answers(self._newest)}"

    def _leave_damaged(self, path: Path) -> None:
        """A version that is none, until the server has said so."""
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"?")
        self._until(
            lambda: any(s.version == int(path.name) and s.status.error_message for s in self._statuses()),
            f"the damaged version {path.name} to be refused",
        )

    def _reload(self, versions: Sequence[int]) -> None:
        request = model_management_pb2.ReloadConfigRequest()
        config = request.config.model_config_list.config.add(
            name=MODEL_NAME, base_path=str(self._base), model_platform="tensorflow"
        )
        if versions:
            config.model_version_policy.specific.versions.extend(versions)
        self._service.HandleReloadConfigRequest(request, timeout=_SECONDS_TO_SWAP)

    def _answers(self, version: int) -> str:
        """Waits until the version answers, and it alone."""

        def alone() -> bool:
            return [s.version for s in self._statuses() if s.state == State.AVAILABLE] == [version] and (
                self._predict(self._request, timeout=_SECONDS_TO_SWAP).model_spec.version.value == version
            )

        return f"answers after {self._until(alone, f'version {version} to answer'):.1f} s"

    def _statuses(self) -> Sequence[get_model_status_pb2.ModelVersionStatus]:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=MODEL_NAME))
        return self._service.GetModelStatus(request, timeout=_SECONDS_TO_SWAP).model_version_status

    def _until(self, holds: Callable[[], bool], awaited: str) -> float:
        """Seconds until something holds.

        Raises:
            TimeoutError: If it does not within a minute.
        """
        began = time.monotonic()
        while not holds():
            if time.monotonic() > began + _SECONDS_TO_SWAP:
                raise TimeoutError(f"waited {_SECONDS_TO_SWAP:g} s for {awaited}; found {self._statuses()}")
            time.sleep(_LOOK_SECONDS)
        return time.monotonic() - began


def report(outcome: Outcome) -> str:
    """What came of it, in lines."""
    lines = [
        f"good requests over {api}: {measured.answers:,} answered, {measured.rate:,.0f}/s, "
        f"p50 {measured.milliseconds(50):.1f} ms, p99 {measured.milliseconds(99):.1f} ms, "
        f"most {measured.milliseconds(100):.0f} ms, {sum(measured.failures.values())} failed"
        for api, measured in outcome.good.items()
    ]
    last = outcome.memory[-1][1]
    lines += [
        f"version swaps: {outcome.swaps}",
        f"malformed requests: {sum(outcome.malformed.values()):,} of {len(outcome.malformed)} kinds",
        f"memory: {_mb(last)} at the end, {_mb(60 * outcome.growth)} a minute more after warm-up",
        *(f"VIOLATION, {count} times: {what}" for what, count in outcome.violations.items()),
    ]
    return "\n".join(lines)


def _mb(size: float) -> str:
    return f"{size / (1 << 20):.0f} MB"
