"""What a running pipeline tells the terminal it was started from: one JSON object a line, over a pipe."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipeline.summary import RunSummary
from pipeline.tune.trials import Trial

EndState = Literal["done", "cached", "skipped"]
"""How a step can end without failing."""


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Planned(_Event):
    """The pipeline is compiled."""

    event: Literal["planned"] = "planned"
    steps: tuple[str, ...] = Field(description="Node ids, in the order they will run.")


class StepStarted(_Event):
    """A step begins."""

    event: Literal["started"] = "started"
    step: str


class StepEnded(_Event):
    """A step has its outputs."""

    event: Literal["ended"] = "ended"
    step: str
    state: EndState
    seconds: float
    blessed: bool | None = Field(default=None, description="What the step decided; None: nothing.")


class Failed(_Event):
    """The run stops here."""

    event: Literal["failed"] = "failed"
    step: str | None = Field(description="The step at fault; None outside of any.")
    message: str
    user_error: bool = Field(description="The message speaks to the user and needs no traceback.")


class Summarised(_Event):
    """All steps have ended; what came of them."""

    event: Literal["summarised"] = "summarised"
    summary: RunSummary


class SearchBegan(_Event):
    """The data are ready for trials."""

    event: Literal["search began"] = "search began"
    folder: str = Field(description="Where the search keeps its trials, earlier sittings' too.")


class TrialStarted(_Event):
    """A trial of a search begins."""

    event: Literal["trial started"] = "trial started"
    number: int
    settings: dict[str, Any]


class EpochEnded(_Event):
    """The trial under way has been validated."""

    event: Literal["epoch ended"] = "epoch ended"
    epoch: int = Field(description="From 1.")
    recall_at_100: float


class TrialEnded(_Event):
    """A trial is over; the next one may begin."""

    event: Literal["trial ended"] = "trial ended"
    trial: Trial


Event = Annotated[
    Planned
    | StepStarted
    | StepEnded
    | Failed
    | Summarised
    | SearchBegan
    | TrialStarted
    | EpochEnded
    | TrialEnded,
    Field(discriminator="event"),
]
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def decode(line: str | bytes) -> Event:
    """The event of one line.

    Raises:
        pydantic.ValidationError: If the line is none.
    """
    return _EVENT.validate_json(line)


class EventWriter:
    """Writes events into the pipe whose descriptor the process was started with."""

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor over; processes started from here do not inherit it."""
        os.set_inheritable(descriptor, False)
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)

    def send(self, event: Event) -> None:
        """Write one event; it is readable at once."""
        self._stream.write(event.model_dump_json() + "\n")
        self._stream.flush()

    def __enter__(self) -> EventWriter:
        """Use as a context that closes the pipe at its end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the pipe."""
        self._stream.close()
