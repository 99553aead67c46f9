"""Where a model will be served, and what is asked of it there before it is pushed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.assemble.config import AssembleConfig
from components.ingest.strict import Strict

Target = Literal["westwork", "tensorflow_serving", "tensorflow_serving_scann"]


class ServingConfig(Strict):
    """The ``serving`` section of a domain file."""

    target: Target = Field(
        default="westwork",
        description="What will serve the model: westwork serve; the stock tensorflow/serving image, which "
        "has none of ScaNN's ops; or a TensorFlow Serving built with them.",
    )
    latency_p50_ms: float = Field(
        default=100.0,
        gt=0,
        le=3_600_000,
        description="Most milliseconds that half of the calls with a recorded request may take.",
    )
    latency_p99_ms: float = Field(default=500.0, gt=0, le=3_600_000, description="And 99 in 100 of them.")
    timeout_seconds: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="Most seconds for starting the server and for all answers.",
    )

    def check(self, assemble: AssembleConfig) -> None:
        """Refuses an index that the target cannot load, where that is certain before anything is trained.

        With ``exact_below`` the size of the catalogue decides on the index: then the check of the
        finished model decides.

        Raises:
            ValueError: Says which keys to change.
        """
        if self.target == "tensorflow_serving" and assemble.index == "scann" and not assemble.exact_below:
            raise ValueError(
                "serving.target tensorflow_serving has none of the ops of assemble.index scann, and with "
                "assemble.exact_below 0 no catalogue is searched without them. Set assemble.index to ivf, "
                "which is made of stock ops, or serving.target to a server that has ScaNN's."
            )
