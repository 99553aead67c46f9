"""A proposal as a domain file: YAML, each choice beside what speaks for it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import yaml

from components.ingest.declaration import Table
from pipeline.propose.given import GivenTable
from pipeline.propose.kinds import FeatureChoice
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
    moments = roles.timestamp.moments
    assert moments is not None
    lines = ["interactions:", "  sources:", *_sources(proposal)]
    if any(log.given.has_spans for log in roles.logs):
        lines += _comment(2, "spans: 30 would read only the newest 30 of the spans.")
    query = f"{roles.query.distinct:,} different values in {facts.rows:,} rows"
    if roles.queries:
        query += f"; {roles.queries.evidence}"
    lines += [
        *_comment(2, query, proposal.doubts("interactions.query_id")),
        f"  query_id: {_flow(roles.query.declared)}",
        *_comment(2, roles.catalogue.evidence),
        f"  candidate_id: {_flow(roles.candidate.declared)}",
        *_comment(2, _moments_evidence(proposal), proposal.doubts("interactions.timestamp")),
        f"  timestamp: {_flow(_timestamp(proposal))}",
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
            f"{facts.unknown:,} of {facts.rows:,} rows have a candidate that the catalogue lacks.",
            proposal.doubts("interactions.unknown_candidates"),
        ),
        f"  unknown_candidates: {'stub' if proposal.keeps_unknown_candidates else 'dead_letter'}",
    ]
    return lines


def _sources(proposal: Proposal) -> list[str]:
    lines = []
    used = [proposal.roles.query, proposal.roles.candidate]
    judgement = proposal.judgement
    others = (judgement.rating, judgement.action_column, proposal.position, proposal.propensity)
    used += [column for column in others if column]
    used += [choice.column for choice in (*proposal.context, *proposal.offered)]
    declared = {column.declared for column in used}
    for at, log in enumerate(proposal.roles.logs):
        names = {column.declared: column.name for column in log.columns if column.declared in declared}
        keys = _table_keys(log.given, names)
        if proposal.judgement.source_actions:
            keys.append(("action", proposal.judgement.source_actions[at]))
        rows = f"{log.sample.total:,} rows." if log.sample.whole else f"Looked at {log.sample.note}."
        lines += _comment(4, rows, log.given.dialect.unsure)
        lines += [
            f"    {'- ' if first else '  '}{key}: {_flow(value)}"
            for first, (key, value) in zip([True] + [False] * len(keys), keys, strict=False)
        ]
    return lines


def _table_keys(given: GivenTable, names: dict[str, str]) -> list[tuple[str, Any]]:
    """The keys of a table that its files' suffix does not tell."""
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
    renamed = {declared: name for declared, name in names.items() if declared != name}
    if renamed:
        keys.append(("columns", renamed))
    return keys


def _timestamp(proposal: Proposal) -> dict[str, Any]:
    moments = proposal.roles.timestamp.moments
    assert moments is not None
    keys: dict[str, Any] = {"column": proposal.roles.timestamp.declared}
    if moments.unit:
        keys["unit"] = moments.unit
    elif not moments.has_offset:
        keys["timezone"] = "UTC"
    return keys


def _moments_evidence(proposal: Proposal) -> str:
    moments = proposal.roles.timestamp.moments
    assert moments is not None
    how = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
    read = (
        f"As {how[moments.unit]} since 1970"
        if moments.unit
        else "As dates"
        if moments.days_only
        else "As times"
    )
    return f"{read} it runs {moments.shown()}"


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
        "  context:",
    ]
    lines += [_feature(choice, 4) for choice in proposal.context]
    lines += [_feature(choice, 4).replace("    ", "    # ", 1) for choice in proposal.offered]
    return lines


def _candidates(proposal: Proposal) -> list[str]:
    catalogue, title = proposal.roles.catalogue, proposal.candidate_title
    features = [choice for choice in proposal.candidate_features if choice.kind]
    columns = [catalogue.key, *([title] if title else []), *(choice.column for choice in features)]
    names = {column.declared: column.name for column in columns}
    table = catalogue.table
    lines = [
        *_comment(
            0,
            f"The catalogue: {catalogue.rows:,} rows; {catalogue.coverage:.0%} of them are in "
            f"{'the log' if proposal.facts.whole else 'what was looked at of the log'}.",
            proposal.doubts("candidates"),
        ),
        "candidates:",
        *(f"  {key}: {_flow(value)}" for key, value in _table_keys(table.given, names)),
        f"  id: {_flow(catalogue.key.declared)}",
    ]
    if title:
        lines += _comment(2, "What people know a candidate by.", proposal.doubts("candidates.title"))
        lines.append(f"  title: {_flow(title.declared)}")
    return lines + _features(proposal.candidate_features)


def _queries(proposal: Proposal) -> list[str]:
    queries = proposal.roles.queries
    if queries is None:
        return [*_comment(0, "No table of users was given: a `queries:` section would declare it."), ""]
    features = [choice.column for choice in proposal.query_features if choice.kind]
    names = {column.declared: column.name for column in (queries.key, *features)}
    return [
        *_comment(0, f"{queries.evidence}.", proposal.doubts("queries")),
        "queries:",
        *(f"  {key}: {_flow(value)}" for key, value in _table_keys(queries.table.given, names)),
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
        *_comment(
            0,
            "The oldest interactions train, later ones decide about the model, the latest are reported.",
            proposal.doubts("split"),
        ),
        "split: {kind: time, eval: 0.1, test: 0.1}",
        "",
        *_comment(0, _bad_evidence(proposal)),
        f"max_bad_fraction: {proposal.max_bad_fraction:g}",
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
