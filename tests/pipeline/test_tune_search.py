"""A search: the process that trains, the one that shows and keeps, and both on real data."""

import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from components.ingest.errors import UserError
from pipeline.domain import load_domain
from pipeline.run_events import EpochEnded, TrialEnded, TrialStarted
from pipeline.run_root import RunRoot
from pipeline.tune.command import TuneRequest, tune_domain
from pipeline.tune.trials import Trial, read_trials, write_trials

HERE = Path(__file__).resolve().parent
TINY = HERE.parent / "fixtures" / "tiny"
COMMAND = ["westwork", "tune"]


@pytest.fixture
def sit(monkeypatch, tmp_path):
    """Sits through a search whose trials end as told; returns what was shown."""
    monkeypatch.setattr(
        TuneRequest,
        "command",
        lambda request, root, seconds: [
            *(sys.executable, str(HERE / "search_child.py"), str(tmp_path), str(request.trials))
        ],
    )

    def search(script, trials: int = 3, terminal: bool = False, **request) -> str:
        (tmp_path / "script.json").write_text(json.dumps(script))
        domain = load_domain(str(request.pop("domain", TINY)), ["tune.ranges={retrieval.dim: [16, 24, 32]}"])
        with open(os.devnull, "w") as nowhere:
            console = Console(file=nowhere, width=100, record=True, force_terminal=terminal)
            asked = TuneRequest(str(TINY), (), trials, **request)
            tune_domain(console, domain, RunRoot(tmp_path), asked, COMMAND)
            return console.export_text()

    return search


def test_each_trial_is_told_on_a_line_and_the_best_are_shown(sit, tmp_path, capfd):
    shown = sit({"2": "failed"})
    lines = [line for line in shown.splitlines() if line.startswith("trial ")]
    assert lines[0].endswith("best so far")
    assert lines[1] == "trial 2/3  failed after 2.5 s: ValueError: no good"
    assert lines[2] == "trial 3/3  recall@100 0.3000  recall@10 0.3000   1 epochs    2.5 s  best so far"
    assert "3 trials (2 done, 1 failed) in 8 s of training" in shown
    assert "  retrieval:\n    dim: 24\n" in shown
    assert "next   westwork tune --apply" in shown
    assert (tmp_path / "trials.svg").read_text().count("http://www.w3.org") > 0
    assert capfd.readouterr() == ("", "")
    (log,) = (tmp_path / "logs").iterdir()
    assert "chatter of a library" in log.read_text()


def test_on_a_terminal_the_steps_and_the_trial_under_way_are_shown_too(sit):
    shown = sit({"2": "pruned"}, terminal=True)
    lines = [line for line in shown.splitlines() if line.startswith("trial ")]
    assert [line[:9] for line in lines] == ["trial 1/3", "trial 2/3", "trial 3/3"]
    assert lines[1].endswith("pruned")


def test_a_trial_that_takes_its_process_with_it_is_recorded_and_the_search_goes_on(sit, tmp_path):
    (tmp_path / "unfinished" / "trial-002").mkdir(parents=True)
    shown = sit({"2": "killed"})
    assert "trial 2/3  failed after" in shown
    trials = read_trials(tmp_path / "trials.csv")
    assert [trial.state for trial in trials] == ["done", "failed", "done"]
    assert trials[1].settings == {"retrieval.dim": 16}
    assert "ended by SIGKILL (often: the machine ran out of memory)" in trials[1].error
    assert not (tmp_path / "unfinished").exists()


def test_a_search_goes_on_where_it_was_and_goes_further_with_more_trials(sit, tmp_path):
    sit({}, trials=2)
    before = (tmp_path / "trials.csv").read_text()
    shown = sit({}, trials=4)
    assert "2 of them are there from before" in shown
    assert "trial 2/4" not in shown and "trial 3/4" in shown
    assert (tmp_path / "trials.csv").read_text().startswith(before)
    assert [trial.number for trial in read_trials(tmp_path / "trials.csv")] == [1, 2, 3, 4]


def test_the_best_settings_are_written_where_they_are_wanted(sit, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    file = mine / "domain.yaml"
    file.write_text((TINY / "domain.yaml").read_text())
    copy = tmp_path / "tuned.yaml"
    shown = sit({}, domain=mine, write=copy)
    assert f"wrote  {copy}" in shown.replace("\n", "")
    assert copy.read_text() == file.read_text() + "\nretrieval:\n  dim: 24\n"
    sit({}, domain=mine, write=file)
    assert file.read_text() == copy.read_text()


def test_nothing_is_written_where_nothing_is_better(sit, tmp_path):
    shown = sit({}, trials=1, write=tmp_path / "tuned.yaml")
    assert "trial 1: nothing tried is better than the settings as they stand" in shown
    assert not (tmp_path / "tuned.yaml").exists()


def test_what_stops_a_search_is_told_in_plain_words(sit, tmp_path):
    with pytest.raises(UserError, match=r"^First: there are no data$"):
        sit("no data")
    with pytest.raises(UserError, match=r"no trial succeeded; the reasons are in .*trials\.csv"):
        sit({"1": "failed"}, trials=1)
    (tmp_path / "there.yaml").touch()
    with pytest.raises(UserError, match=r"--write \S+there.yaml is there already.*--apply"):
        sit({}, write=tmp_path / "there.yaml")
    with pytest.raises(UserError, match=r"there is no folder \S*nowhere\. Make it first"):
        sit({}, write=tmp_path / "nowhere" / "tuned.yaml")
    assert not list(tmp_path.glob("tuned*"))


class InMemory:
    """Transformed data of users who like half of the catalogue."""

    def __init__(self, parity):
        self._parity = parity
        self.reads: list[bool] = []

    def read(self, *, positives_only: bool, debias: None):
        self.reads.append(positives_only)
        return self._parity.inputs(40, 400)


@pytest.fixture
def train(monkeypatch, tmp_path):
    """Trains trials on small data in this process; returns the events."""
    monkeypatch.syspath_prepend(str(HERE.parent / "retrieval"))
    import parity

    from pipeline.tune.child import Search

    def search(ranges: str, trials: int, *settings: str, seconds: float = 1e9):
        base = ["retrieval.layers=null", "retrieval.dim=8", "retrieval.epochs=4", "retrieval.batch_size=128"]
        domain = load_domain(str(TINY), [*base, f"tune.ranges={ranges}", *settings])
        events = []
        Search(domain, InMemory(parity), tmp_path, events.append).run(trials, seconds)
        return events

    return search


def _trials(events) -> list[Trial]:
    return [event.trial for event in events if isinstance(event, TrialEnded)]


def test_trials_train_the_products_model_and_the_domain_as_it_stands_is_the_first(train, tmp_path):
    ranges = "{retrieval.optimizer.learning_rate: [0.000001, 0.02]}"
    events = train(ranges, 3, "retrieval.id_dropout=0")
    first, *others = _trials(events)
    assert first.settings == {"retrieval.optimizer.learning_rate": 0.003}
    assert {trial.settings["retrieval.optimizer.learning_rate"] for trial in others} == {0.000001, 0.02}
    rates = {trial.settings["retrieval.optimizer.learning_rate"]: trial for trial in (first, *others)}
    assert rates[0.02].worth > rates[0.000001].worth
    for trial in (first, *others):
        assert trial.state == "done"
        assert trial.recall_at_100 == max(trial.curve)
        assert list((tmp_path / "tensorboard" / f"trial-{trial.number:03d}").rglob("events.out.*"))
    assert [event.epoch for event in events if isinstance(event, EpochEnded)][: len(first.curve)] == list(
        range(1, len(first.curve) + 1)
    )
    again = _trials(
        train("{retrieval.optimizer.learning_rate: [0.000001, 0.02]}", 1, "retrieval.id_dropout=0")
    )
    assert again[0].curve == first.curve


def test_a_failing_trial_is_recorded_and_what_is_known_is_not_trained_again(train, tmp_path, monkeypatch):
    from pipeline.tune import child

    ranges, build = "{retrieval.dim: [4, 16]}", child.build_model

    def build_narrow(inputs, config):
        if config.dim == 16:
            raise MemoryError("too wide")
        return build(inputs, config)

    monkeypatch.setattr(child, "build_model", build_narrow)
    found = _trials(train(ranges, 3))
    assert sorted((trial.settings["retrieval.dim"], trial.state, trial.error) for trial in found) == [
        (4, "done", ""),
        (8, "done", ""),
        (16, "failed", "MemoryError: too wide"),
    ]
    write_trials(tmp_path / "trials.csv", found[:2])
    events = train(ranges, 3)
    assert [event.number for event in events if isinstance(event, TrialStarted)] == [3]


def test_a_trial_far_behind_is_stopped_and_no_trial_is_begun_when_time_is_up(train, monkeypatch):
    from pipeline.tune import child

    monkeypatch.setattr(child.Halving, "goes_on", lambda halving, curve: len(curve) < 2)
    (trial,) = _trials(train("{retrieval.dim: [4, 16]}", 1))
    assert trial.state == "pruned"
    assert len(trial.curve) == 2
    (trial,) = _trials(train("{retrieval.dim: [4, 16]}", 1, "tune.prune=false"))
    assert trial.state == "done"
    assert len(trial.curve) == 4
    assert train("{retrieval.dim: [4, 16]}", 1, seconds=-1.0) == []


def test_a_trial_that_was_interrupted_goes_on_after_its_last_epoch(train, tmp_path, monkeypatch):
    from pipeline.tune import child

    ranges, follow = "{retrieval.dim: [4, 16]}", child.Pruner.on_epoch_end

    def interrupt(pruner, epoch, logs=None):
        follow(pruner, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(child.Pruner, "on_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(ranges, 1)
    monkeypatch.undo()
    events = train(ranges, 1)
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [3, 4]
    assert len(_trials(events)[0].curve) == 4
    assert not list((tmp_path / "unfinished").iterdir())
