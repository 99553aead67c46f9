"""All cores for ingestion where Beam runs on one machine."""

from __future__ import annotations

import os
from collections.abc import Sequence

_LOCAL_RUNNER = "--runner=FnApiRunner"
_CHOSEN = ("--direct_num_workers", "--direct_running_mode")
_WORTH_IT_BYTES = 48 << 20
"""Of input. Below, one process is done before others have started."""


def with_worker_processes(beam_args: Sequence[str], input_bytes: int) -> list[str]:
    """Beam's arguments, with a worker process for each core where that pays.

    Args:
        beam_args: As configured. Only the local runner's are added to, and only if they do not say
            how many workers there are, or of what kind.
        input_bytes: How much there is to read.
    """
    args, cores = list(beam_args), len(os.sched_getaffinity(0))
    decided = _LOCAL_RUNNER not in args or any(arg.startswith(_CHOSEN) for arg in args)
    if decided or cores < 2 or input_bytes < _WORTH_IT_BYTES:
        return args
    return [*args, f"--direct_num_workers={cores}", "--direct_running_mode=multi_processing"]
