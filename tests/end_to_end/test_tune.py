"""A search over a finished run's transformed data, from the command to the domain file."""

import re
import shutil
from pathlib import Path

from command import MUSIC, westwork

from pipeline.domain import load_domain
from pipeline.tune.trials import read_trials

# Next to nothing is learnt at this rate.
TIMID = "  optimizer: {learning_rate: 0.0000001}  # timid\n"


def test_a_search_writes_the_best_settings_into_the_domain_file(music, tmp_path):
    mine = tmp_path / Path(MUSIC).name
    shutil.copytree(MUSIC, mine)
    file = mine / "domain.yaml"
    asked, epochs, rest = re.split(r"^(retrieval:\n  epochs: 3\n)", file.read_text(), flags=re.MULTILINE)
    file.write_text(asked + epochs + TIMID + rest)
    ranges = "tune.ranges={retrieval.optimizer.learning_rate: [0.01, 0.02, 0.04]}"

    done = westwork(
        *("tune", "--domain", str(mine), "--root", str(music.root)),
        *("--set", ranges, "--trials", "3", "--apply"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    # The name of a folder is the name of its pipeline, wherever it lies.
    assert "InteractionTransform cached" in done.stdout

    (folder,) = (music.root / "tune").iterdir()
    trials = read_trials(folder / "trials.csv")
    best = max(trials, key=lambda trial: trial.worth)
    assert best.number in (2, 3)
    rate = load_domain(str(mine)).retrieval.optimizer.learning_rate
    assert rate == best.settings["retrieval.optimizer.learning_rate"]
    assert file.read_text() == asked + epochs + TIMID.replace("0.0000001", str(rate)) + rest
    steps = set(re.findall(r"^(\w+) (?:cached|done)$", done.stdout, re.MULTILINE))
    assert not any(step.endswith("Trainer") for step in steps), "no step after the Transforms is run"
