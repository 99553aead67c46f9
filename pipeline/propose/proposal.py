"""Everything that is proposed for a set of tables, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.assemble.signature_names import is_reserved
from components.ingest.declaration import DERIVED
from pipeline.propose import words
from pipeline.propose.judgement import Judgement, find_judgement, split_column
from pipeline.propose.kinds import FeatureChoice, choose_feature, find_title
from pipeline.propose.log_facts import LogFacts, look_at_log
from pipeline.propose.profile import ColumnProfile, TableProfile
from pipeline.propose.roles import Roles, find_roles

_MOST_MISSING_CANDIDATES = 0.01
_COARSE_MOMENTS = 20


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


def propose(tables: Sequence[TableProfile], title: str) -> Proposal:
    """Decides on everything a domain file says.

    Raises:
        UserError: If no table is an event log, or none a catalogue.
    """
    roles = find_roles(tables)
    keys = [roles.query, roles.candidate, roles.timestamp]
    judgement = find_judgement(roles.logs, keys)
    splits = split_column(roles.log.columns)
    taken = [*keys, judgement.rating, judgement.action_column, splits]
    position, propensity = _shown(roles, [column for column in taken if column])
    taken += [position, propensity]
    context, offered = _context(roles, [column for column in taken if column])
    catalogue, people = roles.catalogue, roles.queries
    columns = [column for column in catalogue.table.columns if column is not catalogue.key]
    candidate_features = _features(columns, catalogue.table)
    candidate_title, title_doubt = find_title(
        [c.column for c in candidate_features if c.kind not in ("embedding", "multivalent")]
    )
    names = {column.declared for column in taken if column} | {choice.column.declared for choice in context}
    attributes = [c for c in people.table.columns if c is not people.key] if people else []
    query_features = _features(
        [_renamed(column, names) for column in attributes], people.table if people else roles.log
    )
    facts = look_at_log(roles, judgement)
    proposal = Proposal(
        title, roles, judgement, facts, context, offered, candidate_title, candidate_features,
        query_features, splits, position, propensity, (),
    )  # fmt: skip
    return replace(proposal, unsure=tuple(_doubts(proposal, title_doubt)))


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
    """The main log's columns that all tables of the log have, under names that can be declared."""
    shared = set.intersection(*({column.declared for column in log.columns} for log in roles.logs))
    return [
        column
        for column in roles.log.columns
        if column.declared in shared and column.declared not in DERIVED and not is_reserved(column.declared)
    ]


def _context(
    roles: Roles, taken: Sequence[ColumnProfile]
) -> tuple[tuple[FeatureChoice, ...], tuple[FeatureChoice, ...]]:
    moments = roles.timestamp.moments
    assert moments is not None
    parts = ["day_of_week"] if moments.days_only else ["hour_of_day", "day_of_week"]
    when = FeatureChoice(roles.timestamp, {"kind": "timestamp", "parts": parts}, "")
    rest = [
        choice
        for column in _shared(roles)
        if column not in taken
        if (choice := choose_feature(column, roles.log.sample.total)).kind
    ]
    known = [choice for choice in rest if words.CONTEXT.intersection(choice.column.words)]
    known = [choice for choice in known if choice.column.distinct > 1]
    return (when, *known), tuple(choice for choice in rest if choice not in known)


def _renamed(column: ColumnProfile, names: set[str]) -> ColumnProfile:
    """The column under a name that no column of the log, nothing ingestion adds and no input has."""
    name = column.declared
    taken = name in names or name in DERIVED or is_reserved(name)
    return replace(column, declared=f"query_{name}") if taken else column


def _features(columns: Sequence[ColumnProfile], table: TableProfile) -> tuple[FeatureChoice, ...]:
    return tuple(choose_feature(column, table.sample.total) for column in columns)


def _doubts(proposal: Proposal, title_doubt: str) -> list[tuple[str, str]]:
    """All that is doubtful, by the domain file's key."""
    roles, facts, judgement = proposal.roles, proposal.facts, proposal.judgement
    found: list[tuple[str, str]] = []
    for log in roles.logs:
        _add(found, "interactions.sources", log.given.dialect.unsure)
    _add(found, "interactions.query_id", roles.unsure.get("interactions.query_id"))
    _add(found, "interactions.timestamp", roles.unsure.get("interactions.timestamp"))
    moments = roles.timestamp.moments
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
    _add(found, "candidates", roles.catalogue.table.given.dialect.unsure)
    _add(found, "candidates.title", title_doubt)
    for choice in proposal.candidate_features:
        _add(found, f"candidates.features.{choice.column.declared}", choice.unsure)
    _add(found, "queries", roles.unsure.get("queries"))
    if roles.queries:
        _add(found, "queries", roles.queries.table.given.dialect.unsure)
    for choice in proposal.query_features:
        _add(found, f"queries.features.{choice.column.declared}", choice.unsure)
    if moments and moments.distinct < _COARSE_MOMENTS:
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


def _add(found: list[tuple[str, str]], key: str, doubt: str | None) -> None:
    if doubt:
        found.append((key, doubt))
