"""What the funnel's benchmark plans, keeps, goes on with and concludes; nothing is trained."""

import argparse
from pathlib import Path

import pytest
import yaml

from benchmarks import funnel
from benchmarks.cascade.configuration import (
    CONFIGURATION,
    RANKER,
    Configuration,
    read_configuration,
)
from benchmarks.cascade.results import Evaluated, Latency, Measured, Pair, Results
from benchmarks.cascade.table import Numbers, judged, table
from components.ingest.errors import UserError
from pipeline.run_command import RunResult

SMALL = Configuration.model_validate(
    {
        "seeds": ["retrieval.seed", "ranking.seed"],
        "everywhere": {"evaluation.baselines": {"ials": False, "item_knn": False}},
        "data": {"movielens": {}, "retail": {"evaluation.ranked_pairs": 7}},
        "variants": {
            "attention": {"settings": {"ranking.history": "target_attention"}},
            "mmoe": {"settings": {"ranking.sharing": "mmoe"}, "data": ["movielens"]},
            "wide": {
                "settings": {"ranking.attention_dim": 32},
                "against": "attention",
                "seeds": ["tune.seed"],
            },
        },
    }
)


def asked(**given) -> argparse.Namespace:
    defaults = {"data": ["movielens"], "seeds": [17, 18], "variants": None, "split": "test", "sample": None}
    return argparse.Namespace(**{**defaults, **given})


def measured(model: Path, ndcg: float = 0.08, overlap: float = 0.9, recommend: float = 1.5) -> Measured:
    return Measured(
        evaluated=Evaluated(interactions=1000, positives=600, new=0, ranked=500),
        metrics={
            "retrieve/recall@10": 0.15,
            "retrieve/recall@100": 0.55,
            "retrieve/ndcg@10": 0.07,
            "recommend/recall@10": 0.16,
            "recommend/recall@100": 0.56,
            "recommend/ndcg@10": ndcg,
            "funnel/overlap@100": overlap,
            "funnel/top10_delivered": 1.0,
        },
        latency=Latency(ranker_retrieve=1.0, ranker_recommend=1.5, retrieve=1.0, recommend=recommend),
        seconds={"RankingTrainer": 12.0, "CandidateGen": None},
        model=str(model),
    )


@pytest.fixture
def children(tmp_path, monkeypatch) -> list[list[str]]:
    """The commands of the processes that would train; they end with a measurement, or fail for `mmoe`."""
    commands = []
    model = tmp_path / "model"
    model.mkdir()

    def run_child(console, command, log, lock, progress):
        commands.append(command)
        if 'ranking.sharing="mmoe"' in command:
            return RunResult(failure="RankingTrainer: out of luck")
        Path(command[command.index("--measured") + 1]).write_text(measured(model).model_dump_json())
        return RunResult()

    monkeypatch.setattr(funnel, "run_child", run_child)
    monkeypatch.setattr(funnel, "acquire", lambda *_: None)
    return commands


def test_every_variant_of_the_benchmark_fits_every_data_set_it_is_for():
    configuration = read_configuration(CONFIGURATION)
    pairs = funnel.planned(configuration, asked(data=None, seeds=[17]))
    assert {pair.data for pair in pairs} == {"movielens", "retail"}
    assert {pair.variant for pair in pairs} == {RANKER, *configuration.variants}


def test_a_variant_comes_after_what_it_is_added_to_and_sets_all_of_it():
    pairs = funnel.planned(SMALL, asked(data=["retail"], seeds=[3], variants=["wide", "mmoe"]))
    assert [pair.variant for pair in pairs] == [RANKER, "attention", "wide"], "mmoe is for movielens alone"
    assert {"ranking.attention_dim=32", 'ranking.history="target_attention"'} <= {*pairs[2].settings}
    assert {"retrieval.seed=3", "ranking.seed=3", "evaluation.ranked_pairs=7"} <= {*pairs[0].settings}
    assert "tune.seed=3" in pairs[2].settings, "of this one alone"
    assert "tune.seed=3" not in pairs[1].settings
    assert 'interactions.since="2017-10-01"' in pairs[0].settings, "the data of the demo"
    domain = SMALL.domain("retail", "wide", 3, 50)
    assert (domain.ranking.seed, domain.evaluation.max_interactions) == (3, 50)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data": ["films"]}, "--data: found 'films'; expected some of movielens, retail"),
        ({"variants": ["deeper"]}, "--variants: found 'deeper'; expected some of ranker, attention, mmoe"),
    ],
)
def test_what_there_is_not_is_refused(given, said):
    with pytest.raises(UserError, match=said):
        funnel.planned(SMALL, asked(**given))


def test_a_wrong_configuration_is_refused_before_anything_runs(tmp_path):
    path = tmp_path / "funnel.yaml"
    wrong = {**SMALL.model_dump(), "variants": {"deep": {"settings": {}, "against": "wide"}}}
    path.write_text(yaml.safe_dump(wrong))
    with pytest.raises(UserError, match=r"variants\.deep\.against: found 'wide'; expected .*: ranker"):
        read_configuration(path)
    misspelt = SMALL.variants["attention"].model_copy(update={"settings": {"ranking.dep": 1}})
    configuration = SMALL.model_copy(update={"variants": {"deep": misspelt}})
    with pytest.raises(UserError, match=r"ranking\.dep: there is no such key"):
        funnel.planned(configuration, asked())


def test_a_run_goes_on_with_what_has_not_been_measured(tmp_path, children):
    output = tmp_path / "funnel.json"

    def run(**given) -> list[str]:
        children.clear()
        pairs = funnel.planned(SMALL, asked(**given))
        bench = funnel.Bench(tmp_path / "runs", rounds=3, results=Results.read(output))
        failures = bench.run(pairs)
        assert all(failure.endswith("mmoe: RankingTrainer: out of luck") for failure in failures)
        return failures

    assert len(run(seeds=[17])) == 1
    assert len(children) == 4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("funnel")] == ["funnel.json"]
    assert len(run(seeds=[17, 18])) == 2
    assert len(children) == 5, "those of the other seed, and the one that failed"
    assert run(seeds=[17, 18], variants=["wide"]) == []
    assert not children
    run(seeds=[17], variants=["attention"], sample=100)
    assert len(children) == 2, "another sample is another measurement"
    assert len(Results.read(output).find(funnel.planned(SMALL, asked(sample=100))[0]).metrics) == 8


def test_variants_are_timed_beside_the_ranker_which_is_made_again_where_its_model_is_gone(tmp_path, children):
    results = Results(tmp_path / "funnel.json")
    ranker, attention, *_ = funnel.planned(SMALL, asked(variants=["attention"], seeds=[17]))
    bench = funnel.Bench(tmp_path / "runs", rounds=3, results=results)
    assert bench.run([ranker, attention]) == []
    assert "--ranker" not in children[0]
    assert children[1][children[1].index("--ranker") + 1] == str(tmp_path / "model")
    assert funnel.to_do([ranker, attention], results) == []
    (tmp_path / "model").rmdir()
    assert funnel.to_do([ranker, attention], results) == [], "what has been measured needs no model"
    other = attention.model_copy(update={"variant": "wide"})
    assert funnel.to_do([ranker, attention, other], results) == [ranker, other]


def test_a_file_of_something_else_is_not_overwritten(tmp_path):
    path = tmp_path / "funnel.json"
    path.write_text('{"sets": {}}')
    with pytest.raises(UserError, match="something else than measurements"):
        Results.read(path)


def numbers(ndcg: float, overlap: float | None = 0.9, slowdown: float = 1.0) -> Numbers:
    return Numbers(0.16, 0.56, ndcg, None, overlap, 1.0, 0.9, latency=1.5 * slowdown, slowdown=slowdown)


BASE = {17: numbers(0.080), 18: numbers(0.082), 19: numbers(0.078)}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ([(0.081,), (0.083,), (0.079,)], "earns its place: NDCG@10"),
        ([(0.080, 0.91), (0.082, 0.95), (0.079, 0.92)], "earns its place: overlap@100"),
        ([(0.081, 0.91), (0.083, 0.95), (0.079, 0.92)], "earns its place: NDCG@10, overlap@100"),
        ([(0.081, 0.89), (0.083, 0.899), (0.079, 0.899)], "earns its place: NDCG@10"),
        ([(0.081,), (0.083,), (0.077,)], "option: no gain of 1% with every seed"),
        ([(0.0803,), (0.0824,), (0.0781,)], "option: no gain of 1% with every seed"),
        ([(0.085, 0.85), (0.086, 0.88), (0.079, 0.89)], "option: loses overlap@100"),
        ([(0.085, 0.85), (0.086, 0.91), (0.079, 0.89)], "earns its place: NDCG@10"),
        ([(0.081, 0.9, 1.2), (0.083, 0.9, 1.3), (0.079, 0.9, 1.1)], "option: 1.20 × the latency"),
        ([(0.081, 0.9, 1.1), (0.083, 0.9, 1.2), (0.079, 0.9, 0.9)], "earns its place: NDCG@10"),
        ([(0.079,), (0.080,), (0.077,)], "option: loses NDCG@10"),
        ([(0.081,), (0.083,)], "undecided: 2 of 3 seeds"),
    ],
)
def test_an_addition_earns_its_place_by_gains_with_every_seed_at_equal_latency(own, said):
    by_seed = {seed: numbers(*one) for seed, one in zip(BASE, own, strict=False)}
    assert judged("attention", by_seed, BASE).words == said


def test_the_ranker_is_judged_by_its_list_alone():
    retrieval = {seed: numbers(0.07, None) for seed in BASE}
    assert judged(RANKER, BASE, retrieval).words == "earns its place: NDCG@10"
    slow = {seed: numbers(0.07, slowdown=2.0) for seed in BASE}
    assert judged(RANKER, slow, retrieval).words == "option: no gain of 1% with every seed"


def test_the_table_has_means_and_spreads_and_differences_by_seed(tmp_path):
    found = {
        RANKER: {seed: measured(tmp_path, 0.08 + seed / 1000) for seed in (1, 2, 3)},
        "attention": {seed: measured(tmp_path, 0.083 + seed / 500, recommend=1.6) for seed in (1, 2, 3)},
    }
    header, _, retrieval, ranker, attention = table(SMALL, found).splitlines()
    assert "NDCG@10, new" not in header
    assert retrieval == (
        "| retrieval only | 0.1500 ± 0.0000 | 0.5500 ± 0.0000 | 0.0700 ± 0.0000 | – | – | 1.00 |  |  |  |"
    )
    assert ranker.startswith("| + ranker | 0.1600 ± 0.0000 | 0.5600 ± 0.0000 | 0.0820 ± 0.0010 | 0.9000")
    assert ranker.endswith("| 1.50 | +0.0120 (+0.0110 to +0.0130) | – | earns its place: NDCG@10 |")
    assert attention.endswith(
        "| 1.60 | +0.0050 (+0.0040 to +0.0060) | +0.0000 (+0.0000 to +0.0000) | earns its place: NDCG@10 |"
    )


def test_tables_are_of_what_has_been_measured(tmp_path, capsys):
    results = Results(tmp_path / "funnel.json")
    pairs = funnel.planned(SMALL, asked())
    funnel.print_tables(SMALL, pairs, results)
    assert "Nothing has been measured" in capsys.readouterr().out
    for pair in pairs:
        if pair.seed == 17 and pair.variant in (RANKER, "wide"):
            results.add(pair, measured(tmp_path))
    funnel.print_tables(SMALL, pairs, results)
    said = capsys.readouterr().out
    assert "movielens, test split, seeds 17" in said
    assert "undecided: 1 of 3 seeds" in said
    assert "| + wide (and attention) |" in said
    assert "undecided: what it is added to is not measured" in said
    assert "1,000 interactions, 600 of them positive; for 500 of these" in said


def test_pairs_survive_the_file(tmp_path):
    pair = Pair(data="movielens", split="test", variant=RANKER, seed=17, settings=("a=1",))
    results = Results(tmp_path / "new" / "funnel.json")
    results.add(pair, measured(tmp_path))
    assert Results.read(results.path).find(pair) == measured(tmp_path)
    assert Results.read(results.path).find(pair.model_copy(update={"settings": ("a=2",)})) is None
