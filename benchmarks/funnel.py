"""What each addition to the cascade is worth: lists, funnel and latency, with several seeds.

    python benchmarks/funnel.py --output funnel.json

prints a table for each data set. To try it in a few minutes:

    python benchmarks/funnel.py --data movielens --seeds 17 --variants target_attention --sample 1000

The cascade as a domain file declares it, `ranker`, is retrieval and then ranking; "retrieval only" is the
same model's list before that. The others (--variants) are additions, each of which sets some keys of the
domain file: benchmarks/configurations/funnel.yaml says which, and what it is added to. Each is trained with
each seed, by the pipeline's own steps in a process of its own, on the data of `make demo`; what an addition
leaves as it is, such as ingestion or the retrieval model, is trained once and then reused, as by
`westwork run`. After a change of the code have all of it made anew with another --root.

Lists and funnel are TFMA's, of the step TestEvaluator on the split `test`: recall and NDCG of what is shown;
overlap@100, the share of the ranker's best hundred of the whole catalogue among retrieval's best hundred; the
same of its best ten. To choose settings take --split eval, so that the test split stays out of it. Latency
is that of a single query, without a network: retrieve and recommend of the cascade as it is and of the
variant are asked in turns in one process and thread, with random histories.

An addition earns its place where, seed by seed beside what it is added to and at the same latency (at most a
tenth above it), NDCG@10 or overlap@100 is greater with every seed, in the mean by a hundredth of what it was,
and the other of the two is not less in the same way. Else it stays an option. The ranker itself, which cannot
be as quick as retrieval without it, is judged by NDCG@10. With fewer than three seeds nothing is decided.

Whatever is measured is in --output at once. A run that was interrupted goes on there: what has been measured
with the same settings is not measured again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from benchmarks.cascade.configuration import CONFIGURATION, RANKER, Configuration, read_configuration
from benchmarks.cascade.results import Measured, Pair, Results
from benchmarks.cascade.table import remarks, table
from components.ingest.errors import UserError
from pipeline.acquire import acquire
from pipeline.domain import load_domain
from pipeline.live_view import Progress
from pipeline.run_command import run_child
from pipeline.run_root import RunRoot

_PAIR = Path(__file__).parent / "cascade" / "pair.py"
_SHOWN_SECONDS = 5.0


def main() -> None:
    """Measures what has not been measured, and prints."""
    given = _arguments()
    try:
        configuration = read_configuration(given.configuration)
        pairs = planned(configuration, given)
        results = Results.read(given.output or given.root / "funnel.json")
        failures = Bench(given.root.absolute(), given.rounds, results).run(pairs)
        print_tables(configuration, pairs, results)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on where it was")
    if failures:
        sys.exit("\n".join(["error: not everything could be measured", *failures]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", help="domains (default: all of the configuration)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[17, 18, 19], help="default: 17 18 19")
    parser.add_argument(
        "--variants", nargs="+", help="beside ranker; what they are added to comes too (default: all)"
    )
    parser.add_argument("--split", choices=("test", "eval"), default="test", help="default: test")
    parser.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="evaluate at most N interactions (default: as the domain says)",
    )
    parser.add_argument("--rounds", type=int, default=500, help="queries that are timed (default: 500)")
    parser.add_argument(
        "--root", type=Path, default=Path("runs/funnel"), help="where runs are kept (default: runs/funnel)"
    )
    parser.add_argument(
        "--output", type=Path, help="measurements, as JSON; read first, then added to (default: in --root)"
    )
    parser.add_argument(
        "--configuration", type=Path, default=CONFIGURATION, help="the variants (default: funnel.yaml)"
    )
    return parser.parse_args()


def planned(configuration: Configuration, given: argparse.Namespace) -> list[Pair]:
    """All pairs that are asked for, by data set and seed, each after what it is added to.

    Raises:
        UserError: If there is no such data set or variant, or a domain with its settings is wrong.
    """
    for option, named, known in (
        ("--data", given.data or (), configuration.data),
        ("--variants", given.variants or (), (RANKER, *configuration.variants)),
    ):
        for name in named:
            if name not in known:
                raise UserError(f"{option}: found {name!r}; expected some of {', '.join(known)}")
    pairs = []
    for data in given.data or configuration.data:
        variants = configuration.variants_of(data, given.variants)
        for variant in variants:
            # What is wrong with a variant is to be told before hours of others.
            configuration.domain(data, variant, given.seeds[0], given.sample)
        for seed in given.seeds:
            for variant in variants:
                settings = configuration.overrides(data, variant, seed, given.sample)
                pairs.append(
                    Pair(data=data, split=given.split, variant=variant, seed=seed, settings=settings)
                )
    return pairs


@dataclass
class Bench:
    """Measures pairs, each in a process of its own.

    Attributes:
        root: Holds a run's root for each data set.
        rounds: How many queries are timed.
        results: What has been measured.
    """

    root: Path
    rounds: int
    results: Results

    def run(self, pairs: Sequence[Pair]) -> list[str]:
        """Measures the pairs that have not been.

        Returns:
            What failed, a line each; the pairs after it are measured nevertheless.

        Raises:
            UserError: If the root cannot be used, or data cannot be had.
        """
        waiting = to_do(pairs, self.results)
        if len(waiting) < len(pairs):
            _say(f"{len(pairs) - len(waiting)} of {len(pairs)} measured before, in {self.results.path}")
        rankers = _rankers(pairs)
        failures = []
        for number, pair in enumerate(waiting, 1):
            name = f"{pair.data}, seed {pair.seed}, {pair.variant}"
            failure = self._measure(
                pair, rankers[pair.data, pair.seed], f"{number} of {len(waiting)}: {name}"
            )
            if failure:
                failures.append(f"{name}: {failure}")
                _say(failures[-1])
        return failures

    def _measure(self, pair: Pair, ranker: Pair, name: str) -> str | None:
        """Measures one pair, and says what went wrong, if anything did."""
        beside = None if pair == ranker else self.results.find(ranker)
        if pair != ranker and beside is None:
            return f"{RANKER}, which it is timed beside, could not be measured"
        places = RunRoot(self.root / pair.data)
        places.prepare()
        began = time.monotonic()
        with places.locked() as lock, tempfile.TemporaryDirectory() as folder:
            _acquire(pair.data, places)
            log, measured = places.new_log(), Path(folder) / "measured.json"
            _say(f"{name}; log {log}")
            command = self._command(pair, places, measured)
            command += ["--ranker", beside.model] if beside else []
            console = Console(stderr=True)
            ended = run_child(
                console if console.is_terminal else Console(quiet=True), command, log, lock, Progress()
            )
            if ended.failure:
                return ended.failure
            found = Measured.model_validate_json(measured.read_bytes())
        self.results.add(pair, found)
        steps = [
            f"{step} {taken:.0f}" for step, taken in found.seconds.items() if (taken or 0) > _SHOWN_SECONDS
        ]
        _say(f"{name}: {time.monotonic() - began:.0f} s ({', '.join(steps) or 'all reused'})")
        return None

    def _command(self, pair: Pair, places: RunRoot, measured: Path) -> list[str]:
        # -P: the script's own folder must not shadow anything.
        command = [sys.executable, "-P", str(_PAIR), "--domain", pair.data, "--root", str(places.path)]
        command += [argument for setting in pair.settings for argument in ("--set", setting)]
        command += ["--split", pair.split, "--rounds", str(self.rounds)]
        return [*command, "--measured", str(measured)]


def to_do(pairs: Sequence[Pair], results: Results) -> list[Pair]:
    """The pairs to measure, in order: those that have not been, and rankers they are timed beside."""
    missing = {pair for pair in pairs if results.find(pair) is None}
    for place, ranker in _rankers(pairs).items():
        found = results.find(ranker)
        # A results file may outlive the models.
        if found and not Path(found.model).is_dir() and any((p.data, p.seed) == place for p in missing):
            missing.add(ranker)
    return [pair for pair in pairs if pair in missing]


def _rankers(pairs: Sequence[Pair]) -> dict[tuple[str, int], Pair]:
    """By data set and seed the pair of the cascade as it is."""
    return {(pair.data, pair.seed): pair for pair in pairs if pair.variant == RANKER}


def _acquire(data: str, places: RunRoot) -> None:
    section = load_domain(data).acquire
    if section is not None:
        acquire(section, places.data, None, _say)


def print_tables(configuration: Configuration, pairs: Sequence[Pair], results: Results) -> None:
    """Prints a table for each data set, of the pairs that have been measured."""
    for data in dict.fromkeys(pair.data for pair in pairs):
        measured: dict[str, dict[int, Measured]] = {}
        for pair in pairs:
            found = results.find(pair)
            if pair.data == data and found:
                measured.setdefault(pair.variant, {})[pair.seed] = found
        print(f"\n{data}, {pairs[0].split} split, seeds {', '.join(map(str, measured.get(RANKER, {})))}\n")
        if RANKER not in measured:
            print("Nothing has been measured.")
            continue
        print(table(configuration, measured), "", *remarks(measured), sep="\n")


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
