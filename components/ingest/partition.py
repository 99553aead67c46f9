"""Work on one partition: all interactions of some queries, together with these queries' attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.cancellations import (
    NEVER,
    cancelled_at,
    repeats_with_cancellations,
    windows_with_cancellations,
)
from components.ingest.dead_letters import SCHEMA as DEAD_LETTER_SCHEMA
from components.ingest.declaration import (
    ACTION,
    HISTORY,
    HISTORY_ACTION,
    HISTORY_AGE,
    POSITIVE,
    REPEAT,
    WEIGHT,
    LeaveLastOutSplit,
)
from components.ingest.event_order import places_within
from components.ingest.examples import ENCODED_ROWS, ListedStrings, encode_examples, string_entries
from components.ingest.history import history_windows, repeats
from components.ingest.plan import InteractionPlan
from components.ingest.split import CutPoints, leave_last_out
from components.ingest.summary import SplitSummary
from components.ingest.validation import context_field, usable_schema

ROWS_PER_PARTITION = 1 << 17
"""Interactions a partition holds, roughly; its rows and their attributes are in memory at once."""

CANCELLED = -1
"""Stands for the split of an interaction that is no target, since it is cancelled before its split ends."""
DUPLICATE = "repeats another row's query, candidate, moment and action"


class Catalogue:
    """The candidates' ids, and how each is written into an example.

    Attributes:
        ids: [m] strings, ascending bytewise.
        entries: [m] binaries, see :func:`~components.ingest.examples.string_entries`.
    """

    def __init__(self, ids: pa.Array, entries: pa.Array):
        """Takes both as they are."""
        self.ids, self.entries = ids, entries


class Partition:
    """All interactions of some queries, in an order that does not depend on the files' order.

    Attributes:
        count: How many there are, duplicates left out.
        seconds: [count] int64 timestamps, ascending within a query. Without time: the rows' places in the
            log, see :mod:`components.ingest.event_order`; where a column orders them, ``moments``.
        moments: [count] int64, what the examples hold and ages are counted in: ``seconds``, or without time
            each row's place among its query's.
        query_codes: [count] int64, equal for equal queries, ascending.
        candidate_rows: [count] int32 places among the catalogue's ids.
        positive: [count] bool.
        duplicates: The rows left out as duplicates, of the usable rows' schema.
        cancelled: [count] int64, when each is cancelled, seconds since 1970; NEVER for most.
    """

    def __init__(
        self,
        plan: InteractionPlan,
        catalogue: Catalogue,
        batches: Sequence[pa.RecordBatch],
        attributes: pa.Table | None,
    ) -> None:
        """Sorts the rows, drops duplicates, finds the histories, looks the attributes up.

        Args:
            plan: What to make.
            catalogue: What the candidates' numbers stand for.
            batches: The partition's rows, of :func:`~components.ingest.validation.usable_schema`.
            attributes: These queries' rows of the queries table, one a query; None without such a table.
        """
        self._plan, self._catalogue = plan, catalogue
        log = pa.Table.from_batches(batches, schema=usable_schema(plan)).combine_chunks()
        log, cancelling = _apart(log, once=plan.interactions.duplicates != "keep")
        codes = _ranks(log["query"])
        order = _order(log, codes)
        log, codes = log.take(pa.array(order)).combine_chunks(), codes[order]
        kept = np.ones(len(codes), bool)
        if plan.interactions.duplicates != "keep":
            kept = ~_superseded(log, codes)
        self.duplicates = log.filter(pa.array(~kept))
        if not kept.all():
            log, codes = log.filter(pa.array(kept)).combine_chunks(), codes[kept]
        self._log, self.query_codes = log, codes
        self.count = log.num_rows
        self.seconds = self.moments = _numbers(log, "timestamp")
        if not plan.interactions.timestamp.has_time:
            self.moments = places_within(codes, self.seconds)
        if plan.interactions.timestamp.order == "column":
            # What orders one query's interactions does not order those of several.
            self.seconds = self.moments
        self.candidate_rows = _numbers(log, "candidate")
        self.positive, self._weight = self._judged()
        self._windows = history_windows(codes, self.seconds, self._makes_history(), plan.history.length)
        self._repeat = repeats(codes, self.candidate_rows, self.seconds, self.positive)
        self.cancelled = np.full(self.count, NEVER)
        self._cancelled_by = np.full(self.count, -1)
        self._cancelling = cancelling
        if cancelling is not None and cancelling.num_rows and self.count:
            self._cancel(cancelling)
        self._attributes, self._attribute_rows = attributes, None
        if attributes is not None and plan.queries is not None:
            ids = attributes[plan.queries.id].combine_chunks()
            self._attribute_rows = pc.index_in(log["query"].combine_chunks(), value_set=ids)

    @property
    def candidates(self) -> pa.Array:
        """[count] strings: whom the interactions are with."""
        return self._catalogue.ids.take(pa.array(self.candidate_rows))

    @property
    def events(self) -> np.ndarray:
        """Rows of the interactions that make up histories and are never cancelled, by query and time."""
        return np.flatnonzero(self._makes_history() & (self.cancelled == NEVER))

    def actions(self, rows: np.ndarray) -> list[str]:
        """[m] row numbers -> the interactions' actions; only where actions are declared."""
        return [self._plan.action_names[code] for code in _numbers(self._log, "action")[rows]]

    def has(self, shown: str, rows: np.ndarray) -> bool:
        """Whether any of some rows has a value in ``position`` or ``propensity``, where that is declared."""
        return self._log[shown].take(pa.array(rows)).null_count < len(rows)

    def splits(self, cuts: CutPoints | None) -> np.ndarray:
        """[count] index into SPLITS; the cut points are needed for a split by time alone.

        :data:`CANCELLED` is that of an interaction which is cancelled within its own split; left out by
        leave_last_out is any that is cancelled.
        """
        gone = self.cancelled < NEVER
        if isinstance(self._plan.split, LeaveLastOutSplit):
            codes = leave_last_out(self.query_codes, self.positive & ~gone)
        elif self._plan.split_column:
            codes = _numbers(self._log, "split").astype(np.int64)
            if gone.any():
                assert self._cancelling is not None
                gone[gone] = _numbers(self._cancelling, "split")[self._cancelled_by[gone]] == codes[gone]
        else:
            assert cuts is not None
            codes = cuts.split_of(self.seconds)
            gone[gone] = cuts.split_of(self.cancelled[gone]) == codes[gone]
        return np.where(gone, CANCELLED, codes) if gone.any() else codes

    def encode(self, rows: np.ndarray) -> pa.Array:
        """[m] row numbers -> [m] serialised examples."""
        log, plan, taken = self._plan.interactions, self._plan, pa.array(rows)
        offsets, events = self._windows.gather(rows)
        ages = (np.repeat(self.moments[rows], np.diff(offsets)) - self.moments[events]).astype(np.float32)
        candidates = pa.array(self.candidate_rows[rows])
        features: dict[str, pa.Array | ListedStrings] = {
            log.query_id: self._column("query").take(taken),
            log.candidate_id: pa.DictionaryArray.from_arrays(candidates, self._catalogue.ids),
            log.timestamp.feature: pa.array(self.moments[rows]),
        }
        if log.rating:
            features[log.rating.column] = self._column("rating").take(taken)
        if log.actions:
            actions = self._column("action").take(taken)
            features[ACTION] = pa.DictionaryArray.from_arrays(actions, pa.array(plan.action_names))
        if log.position:
            features[log.position] = self._column("position").take(taken)
        if log.propensity:
            features[log.propensity] = self._column("propensity").take(taken)
        features |= {
            HISTORY: ListedStrings(offsets, self.candidate_rows[events], self._catalogue.entries),
            HISTORY_AGE: pa.ListArray.from_arrays(pa.array(offsets), pa.array(ages)),
        }
        if plan.history_actions:
            codes = _numbers(self._log, "action")[events]
            names = string_entries(pa.array(plan.action_names))
            features[HISTORY_ACTION] = ListedStrings(offsets, codes, names)
        features |= {
            POSITIVE: pa.array(self.positive[rows].astype(np.float32)),
            WEIGHT: pa.array(self._weight[rows]),
            REPEAT: pa.array(self._repeat[rows].astype(np.float32)),
        }
        for column in plan.context:
            features[column.name] = self._column(context_field(column.name)).take(taken)
        if self._attributes is not None and self._attribute_rows is not None:
            places = self._attribute_rows.take(taken)
            for column in plan.attributes:
                features[column.name] = self._attributes[column.name].combine_chunks().take(places)
        return encode_examples(features)

    def summary(self, rows: np.ndarray) -> SplitSummary:
        """Counts over some rows, one at least."""
        names = self._plan.action_names
        actions = np.bincount(_numbers(self._log, "action")[rows], minlength=len(names)) if names else ()
        return SplitSummary(
            count=len(rows),
            positives=int(self.positive[rows].sum()),
            repeats=int(self._repeat[rows].sum()),
            queries=len(np.unique(self.query_codes[rows])),
            first=int(self.seconds[rows].min()),
            last=int(self.seconds[rows].max()),
            actions=dict(zip(names, map(int, actions), strict=True)),
        )

    def duplicate_letters(self, files: Sequence[str]) -> pa.RecordBatch:
        """The duplicates as dead letters; only where the usable rows carry their file and row."""
        rows = self.duplicates
        count = rows.num_rows
        numbers = _numbers(rows, "file") if count else np.zeros(0, np.int64)
        return pa.record_batch(
            [
                pa.array([files[number] for number in numbers.tolist()], pa.string()),
                rows["row"].combine_chunks(),
                pa.repeat(self._plan.candidate_column.name, count),
                self._catalogue.ids.take(rows["candidate"].combine_chunks()),
                pa.repeat(DUPLICATE, count),
            ],
            schema=DEAD_LETTER_SCHEMA,
        )

    def _cancel(self, cancelling: pa.Table) -> None:
        """Finds what is cancelled, and takes it out of what comes later."""
        candidates = int(max(self.candidate_rows.max(), _numbers(cancelling, "candidate").max())) + 1
        first_rows = np.flatnonzero(np.diff(self.query_codes, prepend=-1))
        distinct = self._column("query").take(pa.array(first_rows))
        places = pc.index_in(cancelling["query"].combine_chunks(), value_set=distinct)
        # A query without an interaction is nobody's: no pair has a negative number.
        places = places.fill_null(-1).to_numpy().astype(np.int64)
        queries = np.where(places < 0, -1, self.query_codes[first_rows][places])
        pairs = self.query_codes * candidates + self.candidate_rows
        of_cancelling = np.where(queries < 0, -1, queries * candidates + _numbers(cancelling, "candidate"))
        # Ascending within a pair is all that is asked for, and holds where it is ascending within a query.
        self.cancelled, self._cancelled_by = cancelled_at(
            pairs, self.seconds, self.positive, of_cancelling, _numbers(cancelling, "timestamp")
        )
        if (self.cancelled == NEVER).all():
            return
        self._windows = windows_with_cancellations(
            self._windows,
            self.query_codes,
            self.seconds,
            self._makes_history(),
            self.cancelled,
            self._plan.history.length,
        )
        self._repeat = repeats_with_cancellations(
            self._repeat, pairs, self.seconds, self.positive, self.cancelled
        )

    def _column(self, name: str) -> pa.Array:
        return self._log[name].combine_chunks()

    def _judged(self) -> tuple[np.ndarray, np.ndarray]:
        """Which interactions are positive ([count] bool), and what each weighs (float32)."""
        log = self._plan.interactions
        weight = np.ones(self.count, np.float32)
        if log.actions:
            weights = np.array(list(log.actions.weights.values()), np.float32)
            declared = weights[_numbers(self._log, "action")]
            # What was seen and passed over is an example of its own, and counts as one.
            return declared > 0, np.where(declared > 0, declared, weight)
        if log.rating:
            return _numbers(self._log, "rating") >= log.rating.positive_from, weight
        return np.ones(self.count, bool), weight

    def _makes_history(self) -> np.ndarray:
        """[count] bool, which interactions make up histories."""
        wanted = self._plan.history.actions
        if wanted is None:
            return self.positive
        return np.isin(np.array(self._plan.action_names)[_numbers(self._log, "action")], wanted)


def partition_count(interactions: int, buckets: int) -> int:
    """How many partitions; a function of the data alone, so that equal data makes equal files."""
    return min(buckets, max(1, -(-interactions // ROWS_PER_PARTITION)))


def combine_summaries(parts: Sequence[SplitSummary]) -> SplitSummary:
    """What several partitions, one at least, say of a split; a query is in one partition only."""
    return SplitSummary(
        count=sum(part.count for part in parts),
        positives=sum(part.positives for part in parts),
        repeats=sum(part.repeats for part in parts),
        queries=sum(part.queries for part in parts),
        first=min(part.first for part in parts),
        last=max(part.last for part in parts),
        actions={name: sum(part.actions[name] for part in parts) for name in parts[0].actions},
    )


def _ranks(queries: pa.ChunkedArray) -> np.ndarray:
    """[n] strings -> [n] int64, each one's rank among the distinct, bytewise."""
    if not len(queries):
        return np.zeros(0, np.int64)
    encoded = queries.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks[encoded.indices.to_numpy()]


def _apart(log: pa.Table, once: bool) -> tuple[pa.Table, pa.Table | None]:
    """The interactions, and the cancellations; None where none are declared.

    Args:
        log: The usable rows.
        once: Whether cancellations that are alike count as one.
    """
    if "cancels" not in log.column_names:
        return log, None
    told = [name for name in ("query", "candidate", "timestamp", "split") if name in log.column_names]
    cancelling = log.filter(log["cancels"]).select(told)
    rest = log.filter(pc.invert(log["cancels"])).drop_columns(["cancels"]).combine_chunks()
    if once:
        cancelling = cancelling.group_by(told).aggregate([])
    return rest, cancelling.sort_by([(name, "ascending") for name in told]).combine_chunks()


def _order(log: pa.Table, codes: np.ndarray) -> np.ndarray:
    """The rows by query, moment, candidate, action, rating, and what else an example shows of them."""
    minor = [name for name in ("rating", "action") if name in log.column_names]
    keys = [_numbers(log, name) for name in (*minor, "candidate", "timestamp")]
    order = np.lexsort([*keys, codes])
    same = np.ones(max(len(order) - 1, 0), bool)
    for key in (*keys, codes):
        ranked = key[order]
        same &= ranked[1:] == ranked[:-1]
    told = {*minor, "query", "candidate", "timestamp", "file", "row"}
    others = [name for name in log.column_names if name not in told]
    if not same.any() or not others:
        return order
    # Few rows: what a run of equal ones differs in decides, written out.
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    for start, stop in zip(starts, np.append(starts[1:], len(order)), strict=True):
        if stop - start > 1:
            run = order[start:stop]
            shown = [repr(row) for row in log.select(others).take(pa.array(run)).to_pylist()]
            order[start:stop] = run[sorted(range(len(run)), key=shown.__getitem__)]
    return order


def _superseded(log: pa.Table, codes: np.ndarray) -> np.ndarray:
    """[n] bool: rows whose successor has the same query, moment, candidate and action."""
    keys = [codes, *(_numbers(log, name) for name in ("timestamp", "candidate"))]
    keys += [_numbers(log, "action")] if "action" in log.column_names else []
    superseded = np.zeros(len(codes), bool)
    if len(codes) > 1:
        superseded[:-1] = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    return superseded


def _numbers(log: pa.Table, name: str) -> np.ndarray:
    return log[name].to_numpy()


def shuffled(rows: np.ndarray, *seed: int) -> Iterator[np.ndarray]:
    """Rows in a random order that is the same for the same rows and seed, a chunk at a time.

    Neighbours in a file land in one batch; a query's own rows side by side would be each other's
    negatives.
    """
    order = np.random.default_rng(seed).permutation(rows)
    for start in range(0, len(order), ENCODED_ROWS):
        yield order[start : start + ENCODED_ROWS]
