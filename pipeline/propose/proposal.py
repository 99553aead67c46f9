"""Everything that is proposed for a set of tables, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.propose import words
from pipeline.propose.chosen import Chosen
from pipeline.propose.dependence import agreement
from pipeline.propose.judgement import Judgement, find_judgement, split_column
from pipeline.propose.kinds import FeatureChoice, choose_feature, find_title
from pipeline.propose.log_facts import LogFacts, look_at_log
from pipeline.propose.profile import ColumnProfile, TableProfile, profile_column
from pipeline.propose.roles import Roles, find_roles
from pipeline.propose.row_filters import RowFilters, find_filters
from pipeline.propose.who_what import FOLLOWS, is_named_visit

_MOST_MISSING_CANDIDATES = 0.01
_COARSE_MOMENTS = 20
_LEAST_PAST = 0.05
"""With a smaller share of rows that have an earlier one of their query, there is no history to speak of."""
_FEW_POSITIVES = 10
"""With fewer positive rows, a split measures next to nothing."""
_LEAST_KNOWN = 0.1
"""With a smaller share of later positive rows by anybody who is in train, a split measures strangers only."""


@dataclass(frozen=True)
class Proposal:
    """A domain, ready to be written down.

    Attributes:
        title: What people call the data set.
        roles: Which table is what.
        judgement: What makes an interaction positive.
        facts: What was measured on the log.
        context: The log's columns taken for known when a request is made; the timestamp's first.
        offered: The log's other columns that could be context.
        candidate_title: The catalogue's column people know a candidate by.
        candidate_features: What becomes of the catalogue's columns; those left out have no kind.
        query_features: What becomes of the columns of the table of users.
        filters: Rows of the log that are no interactions.
        split: The keys of the split, and why.
        order: How the timestamp's column orders a query's interactions: ``time``, ``column`` or ``rows``.
        split_column: A column of the log that names splits.
        position: A column of the log that says where a candidate was shown.
        propensity: One that says how probably it was.
        unsure: Key of the domain file and what is doubtful about it, in the file's order.
    """

    title: str
    roles: Roles
    judgement: Judgement
    facts: LogFacts
    context: tuple[FeatureChoice, ...]
    offered: tuple[FeatureChoice, ...]
    candidate_title: ColumnProfile | None
    candidate_features: tuple[FeatureChoice, ...]
    query_features: tuple[FeatureChoice, ...]
    split_column: ColumnProfile | None
    position: ColumnProfile | None
    propensity: ColumnProfile | None
    filters: RowFilters
    order: str
    split: tuple[dict[str, Any], str]
    unsure: tuple[tuple[str, str], ...]

    @property
    def keeps_unknown_candidates(self) -> bool:
        """Whether so many rows have a candidate the catalogue lacks that they had better stay."""
        return self.facts.unknown_share > _MOST_MISSING_CANDIDATES

    @property
    def max_bad_fraction(self) -> float:
        """Room for the bad rows that were found."""
        return self.facts.max_bad_fraction(unknown_refused=not self.keeps_unknown_candidates)

    def doubts(self, key: str) -> str:
        """What is doubtful about a key of the domain file; empty where nothing is."""
        return "; ".join(text for place, text in self.unsure if place == key)


def propose(tables: Sequence[TableProfile], title: str, chosen: Chosen | None = None) -> Proposal:
    """Decide on everything a domain file says.

    Raises:
        UserError: If no table is an event log, or ``chosen`` names what there is not.
    """
    roles = find_roles(tables, chosen)
    keys = [column for column in (roles.query, roles.candidate, roles.timestamp) if column]
    keys += [roles.order_column] if roles.order_column else []
    judgement = find_judgement(roles.logs, keys)
    filters = find_filters(roles, judgement)
    roles = filters.roles
    splits = split_column(roles.log.columns)
    candidate_features = _of_candidates(roles, [*keys, judgement.rating, judgement.action_column, splits])
    taken = [*keys, judgement.rating, judgement.action_column, splits]
    if roles.catalogue is None:
        taken += [choice.column for choice in candidate_features]
    position, propensity = _shown(roles, [column for column in taken if column])
    taken += [position, propensity]
    facts = look_at_log(roles, judgement, filters.kept)
    order = _order(roles, facts)
    split = find_split(facts, order, roles.is_visit)
    context, offered = _context(roles, [column.name for column in taken if column], order)
    people = roles.queries
    candidate_title, title_doubt = find_title(
        [c.column for c in candidate_features if c.kind not in ("embedding", "multivalent")]
    )
    names = {column.declared for column in taken if column} | {choice.column.declared for choice in context}
    attributes = [c for c in people.table.columns if c is not people.key] if people else []
    query_features = _features(
        [_renamed(column, names) for column in attributes], people.table if people else roles.log
    )
    proposal = Proposal(
        title, roles, judgement, facts, context, offered, candidate_title, candidate_features,
        query_features, splits, position, propensity, filters, order, split, (),
    )  # fmt: skip
    return replace(proposal, unsure=tuple(_doubts(proposal, title_doubt)))


def _of_candidates(roles: Roles, taken: Sequence[ColumnProfile | None]) -> tuple[FeatureChoice, ...]:
    """What becomes of the catalogue's columns; without one, of the log's that follow from the item."""
    if roles.catalogue:
        columns = [column for column in roles.catalogue.table.columns if column is not roles.catalogue.key]
        return _features(columns, roles.catalogue.table)
    names = {column.name for column in taken if column}
    about = [
        column
        for column in _shared(roles)
        if column.name not in names
        and column.distinct > 1
        and not words.QUANTITIES.intersection(column.words)
        and agreement(roles.candidate.text, column.text) >= FOLLOWS
    ]
    latest = _latest_rows(roles.candidate.text)
    items = [profile_column(c.name, c.declared, c.cells.take(latest)) for c in about if c.cells is not None]
    return tuple(choose_feature(column, len(latest)) for column in items)


def _latest_rows(ids: pa.Array) -> pa.Array:
    """Of each id the number of the last row that has it."""
    rows = pa.table({"id": ids, "row": pa.array(range(len(ids)))}).filter(pc.is_valid(ids))
    return rows.group_by("id").aggregate([("row", "max")])["row_max"].combine_chunks()


def _order(roles: Roles, facts: LogFacts) -> str:
    """What orders a query's interactions."""
    if roles.timestamp is None:
        return "rows"
    if roles.order_column:
        return "column"
    # All rows of an order, or of a day, at one moment: nothing would ever be earlier.
    return "rows" if facts.history[1] > 1 and facts.with_past < _LEAST_PAST else "time"


def find_split(facts: LogFacts, order: str, is_visit: bool) -> tuple[dict[str, Any], str]:
    """The split, and why: by time where that leaves something to measure with.

    Args:
        facts: Of the log.
        order: What orders a query's interactions.
        is_visit: Whether a query is a visit, which nobody expects to come back.
    """
    if order == "rows" or order == "column":
        return {"kind": "leave_last_out"}, (
            "Of each query, the last interactions are held out: without a moment that all share there is no "
            "past and future of everybody. A model has then seen what others did later."
        )
    train, evaluated, tested = facts.cuts
    if not is_visit and facts.known < _LEAST_KNOWN and facts.last_positives >= _FEW_POSITIVES:
        return {"kind": "leave_last_out"}, (
            f"Split by time, only {facts.known:.0%} of what is measured would be of users who are in train: "
            "each is active for a short while. Of each, the last interactions are held out instead. A model "
            "has then seen what others did later."
        )
    if min(evaluated, tested) >= 1 and train >= 1:
        share = 0.1 if min(evaluated, tested) >= _FEW_POSITIVES else 0.2
        return {"kind": "time", "eval": share, "test": share}, (
            "The oldest interactions train, later ones decide about the model, the latest are reported."
        )
    return {"kind": "leave_last_out"}, (
        "A split by time would leave a split without anything liked: so few moments, or so few rows, are "
        "there. Of each query, the last interactions are held out instead."
    )


def _shown(roles: Roles, taken: Sequence[ColumnProfile]) -> tuple[ColumnProfile | None, ColumnProfile | None]:
    """The columns of the place where candidates were shown, and of how probably, by name and values."""
    able = [column for column in _shared(roles) if column not in taken and len(column.numbers)]
    places = [c for c in able if words.POSITIONS.intersection(c.words) and c.shape == "integer"]
    chances = [c for c in able if words.PROPENSITIES.intersection(c.words) and c.shape != "moment"]
    return (
        next((column for column in places if column.numbers.min() >= 1), None),
        next((c for c in chances if c.numbers.min() > 0 and c.numbers.max() <= 1), None),
    )


def _shared(roles: Roles) -> list[ColumnProfile]:
    """The main log's columns that all tables of the log have."""
    shared = set.intersection(*({column.declared for column in log.columns} for log in roles.logs))
    return [column for column in roles.log.columns if column.declared in shared]


def _context(
    roles: Roles, taken: Sequence[str], order: str
) -> tuple[tuple[FeatureChoice, ...], tuple[FeatureChoice, ...]]:
    rest = [
        choice
        for column in _shared(roles)
        if column.name not in taken and column.shape != "nested" and not is_named_visit(column)
        if (choice := choose_feature(column, roles.log.sample.total)).kind
    ]
    known = [choice for choice in rest if words.CONTEXT.intersection(choice.column.words)]
    known = [choice for choice in known if choice.column.distinct > 1]
    return (*_when(roles, order), *known), tuple(choice for choice in rest if choice not in known)


def _when(roles: Roles, order: str) -> tuple[FeatureChoice, ...]:
    """The time of a request as context, where rows say theirs."""
    if order != "time" or roles.timestamp is None or roles.timestamp.moments is None:
        return ()
    parts = ["day_of_week"] if roles.timestamp.moments.days_only else ["hour_of_day", "day_of_week"]
    return (FeatureChoice(roles.timestamp, {"kind": "timestamp", "parts": parts}, ""),)


def _renamed(column: ColumnProfile, names: set[str]) -> ColumnProfile:
    """The column under a name that no column of the log has."""
    name = column.declared
    taken = name.lower() in {other.lower() for other in names}
    return replace(column, declared=f"query_{name}") if taken else column


def _features(columns: Sequence[ColumnProfile], table: TableProfile) -> tuple[FeatureChoice, ...]:
    return tuple(choose_feature(column, table.sample.total) for column in columns)


def _doubts(proposal: Proposal, title_doubt: str) -> list[tuple[str, str]]:
    """All that is doubtful, by the domain file's key."""
    roles, facts, judgement = proposal.roles, proposal.facts, proposal.judgement
    found: list[tuple[str, str]] = []
    for log in roles.logs:
        _add(found, "interactions.sources", log.given.dialect.unsure)
    for key in ("query_id", "candidate_id", "timestamp"):
        _add(found, f"interactions.{key}", roles.unsure.get(f"interactions.{key}"))
    moments = roles.timestamp.moments if roles.timestamp else None
    _add(found, "interactions.timestamp", _order_doubt(proposal))
    if moments:
        _add(found, "interactions.timestamp", moments.unsure)
    if moments and not moments.has_offset and not moments.days_only:
        _add(
            found,
            "interactions.timestamp",
            "the times say no offset and are taken for UTC; if they are local, add timezone: such as "
            "Europe/Berlin",
        )
    place = "rating" if judgement.rating else "actions"
    _add(found, f"interactions.{place}", judgement.unsure)
    if proposal.position:
        _add(
            found,
            "interactions.position",
            "by the name, the place in the list where it was shown. It is used where ranking.position, "
            "ranking.inverse_propensity or retrieval.debias ask for it",
        )
    if proposal.propensity:
        _add(
            found,
            "interactions.propensity",
            "by the name, the probability with which it was shown. It is used where "
            "ranking.inverse_propensity asks for it",
        )
    if len(proposal.context) > 1:
        names = ", ".join(choice.column.declared for choice in proposal.context[1:])
        _add(found, "interactions.context", f"{names}: by the name, known when a request is made")
    if proposal.offered:
        names = ", ".join(choice.column.declared for choice in proposal.offered)
        _add(
            found,
            "interactions.context",
            f"not used: {names}. What a request knows beforehand may be uncommented, here and in "
            "interactions.pbtxt; what comes with the interaction itself would tell the answer",
        )
    if proposal.keeps_unknown_candidates:
        _add(
            found,
            "interactions.unknown_candidates",
            f"{facts.unknown_share:.1%} of the rows have a {roles.candidate.name} that the catalogue lacks; "
            "stub keeps them, dead_letter would refuse them",
        )
    _add(found, "candidates", roles.unsure.get("candidates"))
    if roles.catalogue:
        _add(found, "candidates", roles.catalogue.table.given.dialect.unsure)
    else:
        _add(
            found,
            "candidates",
            "no table of items was given, so the log's own columns make the catalogue; one with a row "
            "for each "
            f"{roles.candidate.name} (name, category, price) would let new items be recommended",
        )
    if roles.catalogue and roles.catalogue.repeated:
        _add(
            found,
            "candidates.duplicates",
            f"{roles.catalogue.repeated:,} rows of {roles.catalogue.table.given.label} repeat an id: the "
            "last "
            "one is taken",
        )
    _add(found, "candidates.title", title_doubt)
    for choice in proposal.candidate_features:
        _add(found, f"candidates.features.{choice.column.declared}", choice.unsure)
    _add(found, "queries", roles.unsure.get("queries"))
    if roles.queries:
        _add(found, "queries", roles.queries.table.given.dialect.unsure)
    for choice in proposal.query_features:
        _add(found, f"queries.features.{choice.column.declared}", choice.unsure)
    if moments and moments.distinct < _COARSE_MOMENTS and proposal.split[0]["kind"] == "time":
        _add(
            found, "split", f"only {moments.distinct} different times: the cuts are coarse; or leave_last_out"
        )
    if proposal.split_column:
        _add(found, "split", f"column {proposal.split_column.name} names splits: kind: column could use it")
    if facts.repeats_are_common:
        _add(
            found,
            "evaluation.repeats",
            f"{facts.repeats:.0%} of the rows meet the same again, so that recommending it again may "
            "count as right; false if only news are wanted",
        )
    return found


def _order_doubt(proposal: Proposal) -> str:
    """What is lost where moments do not order the interactions."""
    roles = proposal.roles
    if roles.timestamp is None:
        return (
            "no column is a time, so the order of the rows is taken for the order of events. Lost: ages "
            "in the "
            "history, hours and days as context, a split by time. If the rows are in no order, histories "
            "mean "
            "little"
        )
    if proposal.order == "column":
        assert roles.order_column is not None
        return (
            f"{roles.order_column.name} orders the rows of a {roles.query.name}, where "
            f"{roles.timestamp.name} only "
            "says the day. Lost: ages in the history and a split by time"
        )
    if proposal.order == "rows":
        return (
            f"the rows of a {roles.query.name} share one {roles.timestamp.name}, so that none would have "
            "a history: "
            "the order of the rows is taken instead. Lost: ages in the history and a split by time"
        )
    return ""


def _add(found: list[tuple[str, str]], key: str, doubt: str | None) -> None:
    if doubt:
        found.append((key, doubt))
