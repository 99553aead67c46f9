"""A proposal as a domain file: YAML, each choice beside what speaks for it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import yaml

from components.ingest.declaration import Table
from pipeline.propose.kinds import FeatureChoice
from pipeline.propose.profile import TableProfile
from pipeline.propose.proposal import Proposal

_WIDTH = 104


def domain_text(proposal: Proposal) -> str:
    """The content of ``domain.yaml``."""
    lines = [
        f"# {proposal.title}: proposed by `westwork init`. Beside each choice stands what speaks for it;",
        '# "unsure" marks what had better be looked at. docs/domain.md explains every key.',
        f"title: {_flow(proposal.title)}",
        "",
        *_interactions(proposal),
        "",
        *_candidates(proposal),
        "",
        *_queries(proposal),
        *_rest(proposal),
    ]
    return "\n".join(lines) + "\n"


def _interactions(proposal: Proposal) -> list[str]:
    roles, facts = proposal.roles, proposal.facts
    lines = ["interactions:", "  sources:", *_sources(proposal)]
    if any(log.given.has_spans for log in roles.logs):
        lines += _comment(2, "spans: 30 would read only the newest 30 of the spans.")
    query = f"{roles.evidence['interactions.query_id']}; {facts.rows:,} rows"
    item = roles.evidence.get("interactions.candidate_id", "")
    lines += [
        *_comment(2, query, proposal.doubts("interactions.query_id")),
        f"  query_id: {_flow(roles.query.declared)}",
        *_comment(
            2,
            roles.catalogue.evidence if roles.catalogue else item,
            proposal.doubts("interactions.candidate_id"),
        ),
        f"  candidate_id: {_flow(roles.candidate.declared)}",
        *_comment(2, _moments_evidence(proposal), proposal.doubts("interactions.timestamp")),
        f"  timestamp: {_flow(_timestamp(proposal))}",
        *_cancellations(proposal),
        *_judgement(proposal),
        *_shown(proposal),
        *_context(proposal),
        *_comment(
            2,
            f"{facts.duplicates:,} of {facts.rows:,} rows repeat who, what and when of another; keep would "
            "keep them."
            if facts.duplicates
            else "No row repeats who, what and when of another.",
        ),
        "  duplicates: drop",
        *_comment(
            2,
            f"{facts.unknown:,} of {facts.rows:,} rows have a candidate that the catalogue lacks."
            if roles.catalogue
            else "Every candidate of the log is in the catalogue that is made of it.",
            proposal.doubts("interactions.unknown_candidates"),
        ),
        f"  unknown_candidates: {'stub' if proposal.keeps_unknown_candidates else 'dead_letter'}",
    ]
    return lines


def _sources(proposal: Proposal) -> list[str]:
    lines = []
    declared = _declared(proposal)
    for at, log in enumerate(proposal.roles.logs):
        used = declared | log.edits.columns
        names = {column.declared: column.name for column in log.columns if column.declared in used}
        keys = _table_keys(log, names)
        if proposal.judgement.source_actions:
            keys.append(("action", proposal.judgement.source_actions[at]))
        rows = f"{log.sample.total:,} rows." if log.sample.whole else f"Looked at {log.sample.note}."
        lines += _comment(4, " ".join([rows, *_reasons(log)]), log.given.dialect.unsure)
        lines += [
            f"    {'- ' if first else '  '}{key}: {_flow(value)}"
            for first, (key, value) in zip([True] + [False] * len(keys), keys, strict=False)
        ]
    return lines


def _declared(proposal: Proposal) -> set[str]:
    """The log's columns that the domain names, as declared."""
    roles, judgement = proposal.roles, proposal.judgement
    used = [roles.query, roles.candidate, roles.timestamp, roles.order_column]
    used += [judgement.rating, judgement.action_column, proposal.position, proposal.propensity]
    used += [choice.column for choice in (*proposal.context, *proposal.offered)]
    if roles.catalogue is None:
        used += [proposal.candidate_title]
        used += [choice.column for choice in proposal.candidate_features if choice.kind]
    return {column.declared for column in used if column} | set(proposal.filters.cancellations)


def _reasons(table: TableProfile) -> list[str]:
    """What speaks for the keys that change a table's rows, a sentence each."""
    return [f"{why}." for why in (table.given.dialect.why, *table.edits.why.values()) if why]


def _table_keys(table: TableProfile, names: dict[str, str]) -> list[tuple[str, Any]]:
    """The keys of a table that its files' suffix does not tell, and those that change its rows."""
    given = table.given
    keys: list[tuple[str, Any]] = [("files", given.pattern)]
    told = Table(files=given.pattern)
    if told.resolved_format != given.format:
        keys.append(("format", given.format))
    if given.format != "parquet":
        if any(told.compression_of(file) != given.compression for file in given.files):
            keys.append(("compression", given.compression))
        if given.format == "csv" and given.dialect.delimiter != told.delimiter:
            keys.append(("delimiter", given.dialect.delimiter))
        if given.dialect.encoding != told.encoding:
            keys.append(("encoding", given.dialect.encoding))
        keys += given.dialect.keys.items()
    renamed = {declared: name for declared, name in names.items() if declared != name}
    if renamed:
        keys.append(("columns", renamed))
    return keys + table.edits.keys()


def _timestamp(proposal: Proposal) -> dict[str, Any]:
    timestamp = proposal.roles.timestamp
    if proposal.order == "column":
        assert proposal.roles.order_column is not None
        return {"column": proposal.roles.order_column.declared, "order": "column"}
    if proposal.order == "rows" or timestamp is None:
        return {"order": "rows"}
    assert timestamp.moments is not None
    return {"column": timestamp.declared, **timestamp.moments.keys}


def _moments_evidence(proposal: Proposal) -> str:
    timestamp = proposal.roles.timestamp
    if timestamp is None or timestamp.moments is None:
        return "No column is a time"
    moments = timestamp.moments
    how = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
    read = (
        "As days since 1900, as Excel counts them"
        if moments.unit == "excel_days"
        else f"As {how[moments.unit]} since 1970"
        if moments.unit
        else "As dates"
        if moments.days_only
        else "As times"
    )
    decided = f": {moments.evidence}" if moments.evidence and not moments.unsure else ""
    return f"{read}, {timestamp.name} runs {moments.shown()}{decided}"


def _cancellations(proposal: Proposal) -> list[str]:
    filters = proposal.filters
    if not filters.cancellations:
        return []
    return [*_comment(2, filters.why), f"  cancellations: {_flow(filters.cancellations)}"]


def _judgement(proposal: Proposal) -> list[str]:
    judgement = proposal.judgement
    if judgement.rating:
        minimum, maximum, positive_from = judgement.bounds
        rating = {
            "column": judgement.rating.declared,
            "minimum": _plain(minimum),
            "maximum": _plain(maximum),
            "positive_from": _plain(positive_from),
        }
        return [*_comment(2, judgement.why, judgement.unsure), f"  rating: {_flow(rating)}"]
    if judgement.weights:
        lines = [*_comment(2, judgement.why, judgement.unsure), "  actions:"]
        if judgement.action_column:
            lines.append(f"    column: {_flow(judgement.action_column.declared)}")
        weights = {action: _plain(weight) for action, weight in judgement.weights.items()}
        return [*lines, f"    weights: {_flow(weights)}"]
    return _comment(2, judgement.why, judgement.unsure)


def _shown(proposal: Proposal) -> list[str]:
    lines = []
    for key, column in (("position", proposal.position), ("propensity", proposal.propensity)):
        if column:
            evidence = f"From {column.numbers.min():g} to {column.numbers.max():g}"
            lines += _comment(2, evidence, proposal.doubts(f"interactions.{key}"))
            lines.append(f"  {key}: {_flow(column.declared)}")
    return lines


def _context(proposal: Proposal) -> list[str]:
    lines = [
        *_comment(2, "Known when a request is made.", proposal.doubts("interactions.context")),
        "  context:" if proposal.context else "  context: {}",
    ]
    lines += [_feature(choice, 4) for choice in proposal.context]
    if not proposal.context and proposal.offered:
        lines[-1] = "  # context:"
    lines += [_feature(choice, 4).replace("    ", "    # ", 1) for choice in proposal.offered]
    return lines


def _candidates(proposal: Proposal) -> list[str]:
    title = proposal.candidate_title
    lines = _catalogue(proposal)
    if title:
        lines += _comment(2, "What people know a candidate by.", proposal.doubts("candidates.title"))
        lines.append(f"  title: {_flow(title.declared)}")
    return lines + _features(proposal.candidate_features)


def _catalogue(proposal: Proposal) -> list[str]:
    """Where the catalogue is and what its id is called."""
    catalogue, title = proposal.roles.catalogue, proposal.candidate_title
    if catalogue is None:
        candidate = proposal.roles.candidate
        return [
            *_comment(
                0,
                f"The catalogue is made of the log: {candidate.distinct:,} different {candidate.name}, "
                "each with "
                "its latest values.",
                proposal.doubts("candidates"),
            ),
            "candidates:",
            "  from: interactions",
            f"  id: {_flow(candidate.declared)}",
        ]
    features = [choice for choice in proposal.candidate_features if choice.kind]
    columns = [catalogue.key, *([title] if title else []), *(choice.column for choice in features)]
    table = catalogue.table
    columns += [column for column in table.columns if column.declared in table.edits.columns]
    names = {column.declared: column.name for column in columns}
    keys = _table_keys(table, names)
    if catalogue.repeated:
        keys.append(("duplicates", "last"))
    rows = (
        f"The catalogue: {catalogue.rows:,} rows; {catalogue.coverage:.0%} of them are in "
        f"{'the log' if proposal.facts.whole else 'what was looked at of the log'}."
    )
    doubts = "; ".join(
        filter(None, (proposal.doubts("candidates"), proposal.doubts("candidates.duplicates")))
    )
    return [
        *_comment(0, " ".join([rows, *_reasons(table)]), doubts),
        "candidates:",
        *(f"  {key}: {_flow(value)}" for key, value in keys),
        f"  id: {_flow(catalogue.key.declared)}",
    ]


def _queries(proposal: Proposal) -> list[str]:
    queries = proposal.roles.queries
    if queries is None:
        return [*_comment(0, "No table of users was given: a `queries:` section would declare it."), ""]
    features = [choice.column for choice in proposal.query_features if choice.kind]
    names = {column.declared: column.name for column in (queries.key, *features)}
    keys = _table_keys(queries.table, names)
    if queries.repeated:
        keys.append(("duplicates", "last"))
    return [
        *_comment(
            0, " ".join([f"{queries.evidence}.", *_reasons(queries.table)]), proposal.doubts("queries")
        ),
        "queries:",
        *(f"  {key}: {_flow(value)}" for key, value in keys),
        f"  id: {_flow(queries.key.declared)}",
        *_features(proposal.query_features),
        "",
    ]


def _features(choices: Iterable[FeatureChoice]) -> list[str]:
    choices = list(choices)
    used = [choice for choice in choices if choice.kind]
    lines = ["  features:" if used else "  features: {}"]
    for choice in used:
        lines += _comment(4, choice.why, choice.unsure)
        lines.append(_feature(choice, 4))
    left_out = [f"{choice.column.name} {choice.why}" for choice in choices if not choice.kind]
    return lines + (_comment(4, f"Left out: {'; '.join(left_out)}") if left_out else [])


def _feature(choice: FeatureChoice, indent: int) -> str:
    return f"{' ' * indent}{_flow(choice.column.declared)}: {_flow(choice.keys)}"


def _rest(proposal: Proposal) -> list[str]:
    facts = proposal.facts
    median, long = facts.history
    seen = "" if facts.whole else " in the sample, which cuts them short"
    lines = [
        *_comment(0, f"Half have up to {median:,} interactions, nine tenths up to {long:,}{seen}."),
        f"history: {{length: {facts.history_length}}}",
        "",
        *_comment(0, proposal.split[1], proposal.doubts("split")),
        f"split: {_flow(proposal.split[0])}",
        "",
        *_comment(0, _bad_evidence(proposal)),
        f"max_bad_fraction: {proposal.max_bad_fraction:g}",
    ]
    if proposal.roles.is_visit:
        lines += [
            "",
            *_comment(
                0,
                f"A {proposal.roles.query.name} is over when it is over: what is learnt of one by its id "
                "helps no "
                "other. The history within it says what to recommend.",
            ),
            "retrieval: {query_id: false}",
        ]
    if facts.repeats_are_common:
        lines += [
            "",
            *_comment(
                0,
                "Measure lists that may hold what somebody had before, and rank that along.",
                proposal.doubts("evaluation.repeats"),
            ),
            "evaluation: {repeats: true}",
            "assemble: {rank_history: true}",
        ]
    return lines


def _bad_evidence(proposal: Proposal) -> str:
    facts = proposal.facts
    found = list(facts.bad_reasons)
    if facts.unknown and not proposal.keeps_unknown_candidates:
        found.append(f"{facts.unknown:,} rows with a candidate that the catalogue lacks")
    where = "" if facts.whole else f" among the {facts.rows:,} looked at"
    if not found:
        return f"Bad rows: none{where}."
    return f"Bad rows: {'; '.join(found)}{where}. Over twice their share the run stops."


def _comment(indent: int, text: str, unsure: str = "") -> list[str]:
    """Comment lines: the evidence, then what is doubtful."""
    lines = []
    for part in (text, f"unsure: {unsure}" if unsure else ""):
        # Values from the files may hold anything, a line break among it, which would end the comment.
        plain = " ".join(part.split())
        lines += textwrap.wrap(
            plain, _WIDTH, initial_indent=f"{' ' * indent}# ", subsequent_indent=f"{' ' * indent}# ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return lines


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) else number
