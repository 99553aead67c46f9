"""What `westwork tune` tries, which trials it stops, and the table it keeps them in."""

import itertools
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from components.ingest.errors import UserError
from components.retrieval.config import RetrievalConfig
from pipeline.cli import main
from pipeline.domain import load_domain
from pipeline.tune.config import DEFAULT_RANGES, TuneConfig, read_setting, with_settings
from pipeline.tune.draw import points
from pipeline.tune.pruning import Halving
from pipeline.tune.trials import Trial, in_yaml, ranked, read_trials, write_trials
from pipeline.tune.view import short_names, trial_line

TINY = str(Path(__file__).parent.parent / "fixtures" / "tiny")
DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
SETTINGS = {
    "retrieval.layers": [128, 64],
    "retrieval.optimizer.learning_rate": 1e-05,
    "retrieval.similarity": "dot",
    "retrieval.history.half_life": None,
}


def _points(ranges, count, seed=17, check=lambda settings: None, first=None):
    searched = TuneConfig(ranges=ranges).searched
    first = first or {key: None for key in searched}
    return list(itertools.islice(points(searched, first, seed, check), count))


def _trial(number, *curve, state="done", **more):
    best = max(curve, default=None)
    return Trial(
        number=number, settings=SETTINGS, state=state, seconds=1.5, curve=curve, recall_at_100=best, **more
    )


def test_the_documented_default_ranges_are_the_defaults():
    (block,) = re.findall(r"```yaml\n(tune:.*?)```", (DOCS / "tuning.md").read_text(), re.DOTALL)
    assert TuneConfig(**yaml.safe_load(block)["tune"]).ranges == TuneConfig(ranges=DEFAULT_RANGES).ranges


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ("{ranking.epochs: [1, 2]}", "ranking.epochs: expected a key of the section 'retrieval'"),
        ("{retrieval.temprature: [1]}", "there is no 'temprature' in 'retrieval'. Expected one of dim, "),
        ("{retrieval.loss.king: [1]}", "there is no 'king' in 'retrieval.loss'. Expected one of kind, "),
        (
            "{retrieval.loss: [1]}",
            "retrieval.loss is a section: name one of its keys, such as retrieval.loss.k",
        ),
        ("{retrieval.dim.wide: [1]}", "retrieval.dim is a single value and has no keys below it"),
        (
            "{retrieval.seed: [1, 2]}",
            "retrieval.seed is not searched for: a lucky seed is not a better model",
        ),
        ("{retrieval.dim: []}", "retrieval.dim: found 0 of them; expected at least 1"),
        ("{retrieval.dim: [0]}", "retrieval.dim: found 0; expected a whole number from 1 to 8,192"),
        (
            "{retrieval.dropout: {low: 0, high: 1}}",
            "retrieval.dropout: found 1.0; expected a number of 0 or more and below 1",
        ),
        ("{retrieval.dim: {low: 8.5, high: 9}}", "retrieval.dim: found 8.5; expected a whole number"),
        ("{retrieval.similarity: [angle]}", "found 'angle'; expected 'dot' or 'cosine'"),
        ("{retrieval.similarity: {low: 0, high: 1}}", "is no number: list its values, such as ['dot']"),
        ("{retrieval.dim: {low: 9, high: 8}}", "'low' is 9, not below 'high', 8"),
        ("{retrieval.l2: {low: 0, high: 1, log: true}}", "'log' draws from above 0, and 'low' is 0"),
        ("{retrieval.l2: {low: 0}}", "tune.ranges.retrieval.l2.high: is missing. Add it."),
    ],
)
def test_wrong_ranges_are_refused_with_the_key(ranges, message):
    with pytest.raises(UserError) as refused:
        load_domain(TINY, [f"tune.ranges={ranges}"])
    assert message in str(refused.value)


def test_a_setting_is_read_and_changed_by_its_dotted_key():
    config = with_settings(RetrievalConfig(), {"retrieval.loss.kind": "full_softmax", "retrieval.layers": []})
    assert config == RetrievalConfig(loss={"kind": "full_softmax"}, layers=())
    assert read_setting(config, "retrieval.loss.kind") == "full_softmax"
    assert read_setting(config, "retrieval.layers") == []


def test_the_same_seed_gives_the_same_trials_however_many_are_taken():
    first = _points(dict(DEFAULT_RANGES), 12)
    assert first == _points(dict(DEFAULT_RANGES), 30)[:12]
    assert first[1:] != _points(dict(DEFAULT_RANGES), 12, seed=18)[1:]


def test_draws_cover_their_ranges_and_stay_within():
    ranges = {
        "retrieval.dim": {"low": 3, "high": 6},
        "retrieval.optimizer.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        "retrieval.layers": [None, [], [128]],
    }
    drawn = _points(ranges, 101)[1:]
    dims = [settings["retrieval.dim"] for settings in drawn]
    assert all(dims.count(dim) in range(20, 31) for dim in (3, 4, 5, 6))
    rates = [settings["retrieval.optimizer.learning_rate"] for settings in drawn]
    assert sum(rate < 0.01 for rate in rates) in range(47, 54)
    assert 0.001 <= min(rates) < 0.0012 and 0.09 < max(rates) <= 0.1
    layers = [settings["retrieval.layers"] for settings in drawn]
    assert all(layers.count(choice) in range(30, 37) for choice in (None, [], [128]))
    # All of them can be trained.
    assert all(with_settings(RetrievalConfig(), settings) for settings in drawn)


def test_no_point_is_tried_twice_and_a_small_space_ends():
    drawn = _points({"retrieval.dim": [8, 16, 32]}, 50, first={"retrieval.dim": 16})
    assert drawn[0] == {"retrieval.dim": 16}
    assert sorted(settings["retrieval.dim"] for settings in drawn) == [8, 16, 32]


def test_settings_that_do_not_fit_each_other_are_left_out():
    ranges = {"retrieval.dim": [8, 9], "retrieval.history.heads": [1, 2, 4]}
    base = RetrievalConfig(history={"encoder": "attention"})
    drawn = _points(ranges, 50, check=lambda settings: with_settings(base, settings))
    assert len(drawn) == 1 + 4
    with pytest.raises(UserError, match=r"none of the combinations can be trained.*does not divide 'dim', 9"):
        _points(
            {"retrieval.dim": [9], "retrieval.history.heads": [2, 4]},
            50,
            check=lambda settings: with_settings(base, settings),
        )


def test_a_trial_goes_on_only_among_the_best_third_at_its_rungs():
    halving = Halving(epochs=18)
    assert halving.rungs == (2, 6)
    for best in (0.3, 0.2, 0.1):
        assert halving.goes_on([0.0, 0.0]), "the first few are not judged"
        halving.add([0.0, best, *[best] * 4], pruned=False)
    # Of four, the best two go on: math.ceil(4 / 3).
    assert halving.goes_on([0.25, 0.0]), "its best so far counts"
    assert not halving.goes_on([0.0, 0.19])
    assert halving.goes_on([0.0]) and halving.goes_on([0.0] * 3), "between rungs nothing is judged"
    halving.add([0.15, 0.15], pruned=True)
    halving.add([0.5], pruned=False)
    # At the second rung: not the one stopped at the first, but the one that ended by itself before.
    assert halving.goes_on([0.35] * 6)
    assert not halving.goes_on([0.25] * 6)


def test_short_trainings_have_no_rung_at_their_end():
    assert Halving(1).rungs == ()
    assert Halving(2).rungs == (1,)


def test_the_table_gives_back_the_trials_it_was_given(tmp_path):
    trials = [
        _trial(1, 0.25, 0.5, recall_at_10=0.125),
        _trial(2, state="failed", error='wrong: "x",\nin two lines'),
        _trial(3, 0.1, state="pruned", recall_at_10=0.0),
    ]
    write_trials(tmp_path / "trials.csv", trials)
    assert read_trials(tmp_path / "trials.csv") == trials
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]
    assert read_trials(tmp_path / "none.csv") == []
    (tmp_path / "trials.csv").write_text("trial,state\n1,done\n")
    with pytest.raises(UserError, match=r"cannot be read as a table of trials.*Remove it"):
        read_trials(tmp_path / "trials.csv")


def test_trials_are_ranked_by_recall_at_100_then_at_10_then_by_order():
    trials = [
        _trial(1, 0.5, recall_at_10=0.1),
        _trial(2, 0.5, recall_at_10=0.2),
        _trial(3, state="failed"),
        _trial(4, 0.5, recall_at_10=0.2),
        _trial(5, 0.6, recall_at_10=0.0),
    ]
    assert [trial.number for trial in ranked(trials)] == [5, 2, 4, 1]


def test_values_are_written_as_yaml_reads_them():
    for value in SETTINGS.values():
        assert yaml.safe_load(in_yaml(value)) == value


def test_names_are_as_short_as_can_be_told_apart():
    keys = ["retrieval.dropout", "retrieval.history.dropout", "retrieval.loss.kind", "retrieval.dim"]
    assert list(short_names(keys).values()) == ["retrieval.dropout", "history.dropout", "kind", "dim"]


def test_a_trial_is_told_on_a_line():
    best = _trial(7, 0.4, 0.5, recall_at_10=0.25)
    assert trial_line(best, 20, best) == (
        "trial  7/20  recall@100 0.5000  recall@10 0.2500   2 epochs    1.5 s"
        "  [bold green]best so far[/bold green]"
    )
    assert trial_line(_trial(8, state="failed", error="no [memory]"), 20, best) == (
        r"trial  8/20  [bold red]failed[/bold red] after 1.5 s: no \[memory]"
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--apply", "--write", "x.yaml"], 2, "expected either --apply or --write FILE"),
        (["--trials", "0"], 2, "0 is not in the range 1<=x<="),
        (["--minutes", "0"], 2, "0.0 is not in the range 0<x<="),
        (["--set", "tune.range={}"], 1, "tune.range: there is no such key"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_in_plain_words(tmp_path, words, code, message):
    result = CliRunner().invoke(main, ["tune", "--domain", TINY, "--root", str(tmp_path / "root"), *words])
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert not (tmp_path / "root").exists()


def test_help_teaches_what_is_searched_and_what_is_not_read():
    shown = CliRunner().invoke(main, ["tune", "--help"]).output
    for words in (
        "westwork tune --domain ./mine --apply",
        "the test split is not read",
        "Trial 1 is the domain",
    ):
        assert words in " ".join(shown.split())
