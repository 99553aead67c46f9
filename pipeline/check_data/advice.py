"""What the facts say about a domain: what stops a run, what to doubt, what could be better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.event_order import what_is_lost
from components.ingest.files.moment_units import UNIT_QUESTION
from components.ingest.files.tables import all_left_out
from components.ingest.files.time_format import TWO_DIGIT_YEARS
from components.ingest.files.time_formats import advice_on_times
from components.ingest.partition import DUPLICATE
from components.ingest.split import SPLITS
from pipeline.check_data.log_reading import UNKNOWN_CANDIDATE
from pipeline.check_data.report import Finding, HistoryFacts, LogFacts, SplitFacts
from pipeline.domain import Domain

_FEW_POSITIVES = 500
_FEW_CANDIDATES = 10
_MOSTLY = 0.5
_NOTABLE = 0.05
_MUCH_COLD = 0.3
_TOO_ALIKE = 0.99
_SECONDS_PER_DAY = 86_400
_ALIKE = {
    "blanks around": "Set clean: {<the column>: {trim: true}} on both tables.",
    "upper and lower case": "Set clean: {<the column>: {case: lower}} on both tables.",
    "leading zeros": "Set clean: {<the column>: {leading_zeros: drop}} on both tables.",
}
"""What to do where ids of two tables differ in this."""


def about_log(
    domain: Domain, log: LogFacts, candidates: int, unknown: Counter[str], ids: pa.Array
) -> Iterator[Finding]:
    """On rows that cannot be used, and on what they should join.

    Args:
        domain: What is declared.
        log: What was found.
        candidates: Size of the catalogue, without stubs.
        unknown: Candidate ids that the catalogue lacks, and how often.
        ids: [m] strings, the catalogue.
    """
    if not log.rows:
        yield _error(
            "interactions",
            "found no rows below the header; expected interactions. Fill the files, or correct 'files'.",
        )
        return
    allowed = domain.max_bad_fraction
    asked_for = log.rows - log.left_out
    share = log.bad / max(asked_for, 1)
    if log.bad > allowed * asked_for:
        ways = ["correct the rows"]
        if any(UNIT_QUESTION in reason for reason in log.bad_by_reason):
            ways.insert(0, "set interactions.timestamp.unit")
        if UNKNOWN_CANDIDATE in log.bad_by_reason:
            ways.append("add the candidates to the catalogue, or give them stubs (unknown_candidates: stub)")
        if DUPLICATE in log.bad_by_reason:
            ways.append("drop duplicates instead (duplicates: drop)")
        if share < _MOSTLY:
            ways.append(f"leave such rows out with max_bad_fraction: {_rounded_up(share):g}")
        yield _error(
            "max_bad_fraction",
            f"{log.bad:,} of {asked_for:,} interactions cannot be used ({share:.2%}); at most {allowed:.2%} "
            f"are allowed. Do one of: {'; '.join(ways)}.",
        )
    alike = _alike(unknown, ids)
    if alike:
        found, meant, how = alike
        yield _warning(
            "interactions.candidate_id",
            f"id {found!r} is not in the catalogue, but {meant!r} is: "
            f"the two tables write ids differently ({how}). {_ALIKE.get(how, 'Write them alike.')}",
        )
    if log.left_out == log.rows:
        yield _error("where", all_left_out("interactions", log.rows))
    if not log.usable and log.before_since:
        yield _error(
            "interactions.since",
            f"all {log.before_since:,} rows that could be used are before "
            f"{domain.interactions.since}. Expected some after it. Correct 'since', or the "
            "timestamp's unit.",
        )
    if log.usable:
        yield from _about_usable(domain, log, candidates)


def about_times(domain: Domain, wrong: Sequence[pa.Array]) -> Iterator[Finding]:
    """On times that cannot be read, and on two digits for a year.

    Args:
        domain: What is declared.
        wrong: What cells of the timestamp's column hold that is no time.
    """
    when = domain.interactions.timestamp
    if not when.has_time:
        return
    advice = advice_on_times(pa.chunked_array(wrong, pa.string()), "interactions.timestamp")
    if advice:
        yield _warning("interactions.timestamp", f"{advice}.")
    if when.format and "%y" in when.format:
        yield _suggestion("interactions.timestamp", f"format {when.format!r}: {TWO_DIGIT_YEARS}.")


def _about_usable(domain: Domain, log: LogFacts, candidates: int) -> Iterator[Finding]:
    stubs = domain.interactions.unknown_candidates == "stub"
    if stubs and log.in_catalogue is not None and log.in_catalogue < 1 - _NOTABLE:
        yield _warning(
            "interactions.unknown_candidates",
            f"{1 - log.in_catalogue:.0%} of the interactions "
            "are with stubs, which have no features. Complete the catalogue if you can.",
        )
    if log.in_queries is not None and log.in_queries < 1 - _NOTABLE:
        yield _warning(
            "queries",
            f"{1 - log.in_queries:.0%} of the interactions are of queries without a row "
            "in the queries table: their attributes are missing. Is it the same id?",
        )
    if candidates and candidates <= _FEW_CANDIDATES:
        yield _warning(
            "candidates",
            f"there {'is' if candidates == 1 else 'are'} only {candidates:,}: a list of "
            f"{_FEW_CANDIDATES} holds them all, so there is nothing to choose.",
        )
    if log.candidates_met < _MOSTLY * candidates:
        yield _suggestion(
            "candidates",
            f"{candidates - log.candidates_met:,} of {candidates:,} candidates have "
            "no interaction: only their features can speak for them.",
        )
    when = domain.interactions.timestamp
    if not when.has_time:
        yield _warning("interactions.timestamp", f"{what_is_lost(when.order, domain.split.kind)}.")
    elif log.last is not None and log.last > datetime.now(UTC).timestamp() + _SECONDS_PER_DAY:
        yield _warning(
            "interactions.timestamp",
            f"the latest interaction is of {_day(log.last)}, in the "
            "future. Correct the unit or the rows; 'latest' makes such rows bad.",
        )


def about_splits(domain: Domain, splits: dict[str, SplitFacts]) -> Iterator[Finding]:
    """On splits that are empty, small, cold, or all alike."""
    kind = domain.split.kind
    empty = [name for name in SPLITS if name not in splits]
    if empty:
        counts = ", ".join(f"{name} {facts.interactions:,}" for name, facts in splits.items())
        remedy = {
            "time": "Give more interactions or larger shares, and look whether the timestamps are right: a "
            "second is never divided",
            "leave_last_out": "Expected queries with at least three positive interactions",
            "column": "Correct the column, or the values of each split",
        }[kind]
        yield _error("split", f"{' and '.join(empty)} would be empty (found {counts}). {remedy}.")
    for name, facts in splits.items():
        if not facts.positives and name == "test":
            yield _warning("split", f"{name} has no positive interaction, so nothing can be measured on it.")
        elif name != "train" and 0 < facts.positives < _FEW_POSITIVES:
            yield _suggestion(
                "split",
                f"{name} has {facts.positives:,} positive interactions, so its metrics "
                f"will be noisy; {_FEW_POSITIVES:,} or more tell models apart.",
            )
        if name != "train" and domain.interactions.has_negatives and facts.positives == facts.interactions:
            yield _warning(
                "split",
                f"every interaction of {name} is positive, so that the ranker's AUC cannot be measured on it "
                "(a floor of it, as the default one, is not reached in eval). Give more data, or split "
                "otherwise.",
            )
        if (facts.cold_candidates or 0) > _MUCH_COLD:
            yield _warning(
                "split",
                f"{facts.cold_candidates:.0%} of {name}'s positives are with candidates "
                "that never occur in train: only their features can find them.",
            )
        if facts.cold_queries == 1:
            yield _warning(
                "split",
                f"all of {name}'s positives are of queries that never occur in train: their ids say nothing "
                "to the models, which know them by history, context and attributes alone. Is "
                f"{domain.interactions.query_id!r} who comes back? If so, split later, or by leave_last_out.",
            )
    yield from _about_labels(domain, splits)


def _about_labels(domain: Domain, splits: dict[str, SplitFacts]) -> Iterator[Finding]:
    total = sum(facts.interactions for facts in splits.values())
    positive = sum(facts.positives for facts in splits.values()) / max(total, 1)
    log = domain.interactions
    if log.has_negatives and total and not 1 - _TOO_ALIKE < positive < _TOO_ALIKE:
        key = "rating.positive_from" if log.rating else "actions.weights"
        yield _warning(
            f"interactions.{key}",
            f"makes {positive:.1%} of the interactions positive: the ranker "
            "has next to nothing to tell apart. Move the line.",
        )
    for action in log.actions.weights if log.actions else ():
        if splits and not any(facts.actions.get(action) for facts in splits.values()):
            yield _warning(
                "interactions.actions",
                f"no interaction has action {action!r}. Correct its spelling, or leave it out.",
            )
    later = [facts for name, facts in splits.items() if name != "train"]
    again = sum(facts.repeats for facts in later) / max(sum(facts.interactions for facts in later), 1)
    if again > 2 * _NOTABLE and not domain.evaluation.repeats:
        yield _suggestion(
            "evaluation.repeats",
            f"{again:.0%} of the later interactions are with a candidate "
            "the query had chosen before, which lists would leave out. If such a return counts, "
            "set evaluation.repeats and assemble.rank_history to true.",
        )


def about_history(history: HistoryFacts) -> Iterator[Finding]:
    """On histories that are cut short, or that a coarse clock empties."""
    if history.empty == 1:
        yield _warning(
            "history",
            "is empty for every interaction: no query has a positive one at an earlier moment, so nothing is "
            "known of anybody's taste. Look whether interactions.query_id is who comes back, and whether the "
            "timestamps tell a query's interactions apart.",
        )
    if history.truncated > _MOSTLY:
        yield _suggestion(
            "history.length",
            f"{history.length} is too short for {history.truncated:.0%} of the "
            "interactions, whose earlier past is cut off. A longer one may know more.",
        )
    if history.same_moment > _MOSTLY:
        yield _suggestion(
            "interactions.timestamp",
            f"{history.same_moment:.0%} of the interactions share their "
            "second with another of the same query (a clock of days, or baskets): these are not "
            "in each other's history.",
        )


def about_titles(domain: Domain, catalogue: pa.Table | None) -> Iterator[Finding]:
    """On what people know candidates by."""
    title = domain.candidates.title
    if title is None:
        yield _suggestion(
            "candidates.title",
            "is not declared, so answers and the report show ids. Name the "
            "column people know a candidate by, if there is one.",
        )
    elif catalogue is not None and catalogue[title].null_count:
        yield _warning(
            "candidates.title",
            f"{catalogue[title].null_count:,} of {catalogue.num_rows:,} "
            f"candidates have nothing in column {title!r}.",
        )


def _alike(unknown: Counter[str], ids: pa.Array) -> tuple[str, str, str] | None:
    """An id found, the catalogue's that it seems to mean, and how they differ; None without any."""
    found = [value for value, _ in unknown.most_common(1_000) if value]
    ways: dict[str, Callable[[pa.Array], pa.Array]] = {
        "blanks around": pc.utf8_trim_whitespace,
        "upper and lower case": pc.utf8_lower,
        "leading zeros": lambda text: pc.utf8_ltrim(text, characters="0"),
    }
    for how, normal in ways.items() if found else ():
        places = pc.index_in(normal(pa.array(found)), value_set=normal(ids)).to_pylist()
        for value, place in zip(found, places, strict=True):
            if place is not None:
                return value, ids[place].as_py(), how
    return None


def _rounded_up(share: float) -> float:
    """The next number of two digits."""
    text = f"{share * 1.05:.1e}"
    return max(float(text), share)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _error(about: str, message: str) -> Finding:
    return Finding(level="error", about=about, message=message)


def _warning(about: str, message: str) -> Finding:
    return Finding(level="warning", about=about, message=message)


def _suggestion(about: str, message: str) -> Finding:
    return Finding(level="suggestion", about=about, message=message)
