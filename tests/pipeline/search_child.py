"""Stands in for the process that trains trials: `python THIS FOLDER TRIALS ...` sends what it would send.

FOLDER/script.json says how each trial ends: `"done"`, `"failed"`, or `"killed"`, which ends this process.
"""

import argparse
import json
import os
import signal
from pathlib import Path

from pipeline.run_events import (
    EpochEnded,
    EventWriter,
    Failed,
    Planned,
    SearchBegan,
    TrialEnded,
    TrialStarted,
)
from pipeline.run_process import add_child_arguments
from pipeline.tune.trials import TABLE, Trial, read_trials

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("trials", type=int)
add_child_arguments(parser)
given = parser.parse_args()
print("chatter of a library", flush=True)
with EventWriter(given.events_fd) as events:
    script = json.loads((given.folder / "script.json").read_text())
    events.send(Planned(steps=("First",)))
    if script == "no data":
        events.send(Failed(step="First", message="there are no data", user_error=True))
        raise SystemExit(1)
    events.send(SearchBegan(folder=str(given.folder)))
    known = {trial.number for trial in read_trials(given.folder / TABLE)}
    for number in range(1, given.trials + 1):
        if number in known:
            continue
        settings = {"retrieval.dim": 64 if number == 1 else 8 * number}
        events.send(TrialStarted(number=number, settings=settings))
        events.send(EpochEnded(epoch=1, recall_at_100=number / 10))
        state = script.get(str(number), "done")
        if state == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        recall = None if state == "failed" else number / 10
        trial = Trial(
            number=number,
            settings=settings,
            state=state,
            seconds=2.5,
            curve=() if recall is None else (recall,),
            recall_at_100=recall,
            recall_at_10=recall,
            error="ValueError: no good" if recall is None else "",
        )
        events.send(TrialEnded(trial=trial))
