"""Times the cascade beside retrieval alone, in one process and in turns.

    python benchmarks/cascade_latency.py --model runs/movielens/serving/1795288632

gives a copy of the model so many candidates to rank, asks `retrieve` and `recommend` (plain, filtered by the
commonest value of each category it can be filtered by, diverse) one query at a time, each kind in its turn,
and prints for each the median and 95th percentile, the processor's time, which other programs disturb less,
and the ratios of medians and of processor times to those of `retrieve`. Queries are random
histories of the model's catalogue; what else it takes is missing. With --ops, what takes the time.

A model with a light ranker ranks the --keep that it leaves (its own assemble.keep if not given), and is asked
in turns with a copy of it that ranks all that is retrieved.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# Before TensorFlow is imported.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.cascade.latency import Asked, random_queries, search, timed
from components.assemble.config import IndexKind
from components.assemble.export import switch_index
from components.assemble.index_report import read_settings
from serving.loaded_model import LoadedModel

_MOST_SHOWN = 16
_TRACED = 20


def main() -> None:
    """Exports, asks, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="a version's directory")
    parser.add_argument("--retrieved", type=int, default=500, help="candidates that are ranked")
    parser.add_argument("--keep", type=int, help="candidates that a light ranker leaves to be ranked")
    parser.add_argument("--index", choices=get_args(IndexKind), help="default: the model's own")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--history", type=int, default=50, help="longest history")
    parser.add_argument("--rounds", type=int, default=300, help="queries of each kind")
    parser.add_argument("--diversity", type=float, default=0.3)
    parser.add_argument("--ops", action="store_true", help="print the ops that take most of the time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1"
        changes: dict[str, object] = {"retrieve": given.retrieved}
        if given.keep:
            changes["keep"] = given.keep
        if given.index:
            changes |= {"index": given.index, "exact_below": 0}
        print(switch_index(str(given.model), str(path), changes).in_words())
        model, filters = LoadedModel(path), _commonest(path)
        queries = random_queries(path, given.history, given.rounds)
        kinds = {
            f"retrieve {given.k}": search(model, "retrieve", queries, given.k),
            f"retrieve {given.retrieved}": search(model, "retrieve", queries, given.retrieved),
            "recommend": search(model, "recommend", queries, given.k),
            "recommend, filtered": search(model, "recommend", queries, given.k, filters),
            "recommend, diverse": search(model, "recommend", queries, given.k, diversity=given.diversity),
        }
        if not filters:
            del kinds["recommend, filtered"]
        settings = read_settings(str(path))
        if settings.keep is not None:
            whole = Path(folder) / "2"
            switch_index(str(path), str(whole), {"keep": given.retrieved})
            kinds["recommend, all ranked"] = search(LoadedModel(whole), "recommend", queries, given.k)
        times = timed(kinds)
        print(f"{settings.cascade_in_words()}; filters {filters or 'none'}, {given.rounds} rounds")
        alone, alone_processor = _middle(times[f"retrieve {given.k}"])
        for name, taken in times.items():
            (middle, processor), most = _middle(taken), np.percentile(taken[:, 0], 95)
            print(
                f"{name:22s} p50 {middle:6.2f} ms, {middle / alone:5.2f} x retrieve   p95 {most:6.2f} ms   "
                f"processor {processor:6.2f} ms, {processor / alone_processor:5.2f} x retrieve"
            )
        if given.ops:
            for name, kind in kinds.items():
                _print_ops(name, kind)


def _commonest(path: Path) -> dict[str, list[str]]:
    """The commonest value of each category that the model can be filtered by."""
    found = {}
    loaded = tf.saved_model.load(str(path))
    for name, one in loaded.filters.by_feature.items():
        if hasattr(one, "codes"):
            values, numbers = (part.numpy() for part in one.vocabulary())
            codes = one.codes.numpy()
            commonest = np.bincount(codes[codes > 0]).argmax()
            found[name] = [values[numbers == commonest][0].decode()]
    return found


def _middle(taken: np.ndarray) -> tuple[float, float]:
    """The medians of what :func:`timed` measures."""
    return tuple(np.median(taken, axis=0).tolist())


def _print_ops(name: str, kind: Asked) -> None:
    """Microseconds a query by op, from a trace; tracing itself slows every op."""
    model, queries = kind.model, kind.inputs[:_TRACED]
    found = model.signature(kind.signature)
    fetches = [spec.tensor for spec in found.outputs.values()]
    options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
    taken: collections.Counter = collections.Counter()
    times: collections.Counter = collections.Counter()
    for query in queries:
        metadata = tf.compat.v1.RunMetadata()
        feeds = {found.inputs[key].tensor: value for key, value in query.items()}
        model._session.run(fetches, feeds, options=options, run_metadata=metadata)
        for device in metadata.step_stats.dev_stats:
            for node in device.node_stats:
                op = node.timeline_label.partition(" = ")[2].partition("(")[0] or node.node_name
                taken[op] += node.op_end_rel_micros - node.op_start_rel_micros
                times[op] += 1
    print(f"\n{name}: {sum(times.values()) / len(queries):.0f} ops")
    for op, micros in taken.most_common(_MOST_SHOWN):
        print(f"  {op:32s} {micros / len(queries):8.0f} us  x {times[op] / len(queries):.0f}")


if __name__ == "__main__":
    main()
