"""A proposal's two schemas (TensorFlow Metadata, text format): which values of the columns are right."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from google.protobuf import text_encoding

from pipeline.propose.kinds import FeatureChoice
from pipeline.propose.proposal import Proposal

_TYPES = {
    "vocabulary": "BYTES",
    "hash": "BYTES",
    "text": "BYTES",
    "multivalent": "BYTES",
    "numeric": "FLOAT",
    "embedding": "FLOAT",
    "timestamp": "INT",
}
_LEAST_PRESENCE = 0.05


class _Domain(NamedTuple):
    name: str
    values: tuple[str, ...]


def interactions_schema_text(proposal: Proposal) -> str:
    """The content of ``interactions.pbtxt``."""
    roles = proposal.roles
    domains: list[_Domain] = []
    blocks = [
        "# Which values of the columns are right. Ids, times, ratings, actions and histories follow from",
        "# domain.yaml and need no feature here.",
    ]
    for shown, kind in ((proposal.position, "INT"), (proposal.propensity, "FLOAT")):
        if shown:
            blocks.append(_block(shown.declared, kind, *_optional(1 - shown.missing_share)))
    for choice in proposal.context[1 if proposal.order == "time" else 0 :]:
        blocks.append(_feature(choice, 1.0, roles.log.sample.whole, domains))
    if proposal.offered:
        blocks.append("# Uncomment what is uncommented in domain.yaml.")
        blocks += [_commented(_feature(choice, 1.0, False, domains)) for choice in proposal.offered]
    if roles.queries:
        blocks.append("# What is known of the user; one without a row in the table of users has none of it.")
        for choice in _used(proposal.query_features):
            blocks.append(_feature(choice, roles.queries.rate, roles.queries.table.sample.whole, domains))
    blocks += map(_domain_block, domains)
    return "\n".join(blocks) + "\n"


def candidates_schema_text(proposal: Proposal) -> str:
    """The content of ``candidates.pbtxt``."""
    roles, title = proposal.roles, proposal.candidate_title
    whole = (roles.catalogue.table if roles.catalogue else roles.log).sample.whole
    domains: list[_Domain] = []
    used = _used(proposal.candidate_features)
    blocks = [
        "# Which values of the catalogue's columns are right. The id follows from domain.yaml.",
    ]
    if title and title not in [choice.column for choice in used]:
        blocks.append(_block(title.declared, "BYTES", *_optional(1 - title.missing_share)))
    blocks += [_feature(choice, 1.0, whole, domains) for choice in used]
    return "\n".join([*blocks, *map(_domain_block, domains)]) + "\n"


def _used(choices: Iterable[FeatureChoice]) -> list[FeatureChoice]:
    return [choice for choice in choices if choice.kind]


def _feature(choice: FeatureChoice, share: float, whole: bool, domains: list[_Domain]) -> str:
    """One feature.

    Args:
        choice: The feature.
        share: Share of the examples whose row of the table is there.
        whole: Whether all rows were looked at, so that no values but those seen are expected.
        domains: Lists of values; gets one more where the feature has few.
    """
    column, lines = choice.column, []
    if choice.values and whole:
        domains.append(_Domain(column.declared, choice.values))
        lines.append(f"domain: {_quoted(column.declared)}")
    if choice.kind == "numeric" and column.numbers.min() >= 0:
        lines.append("float_domain { min: 0.0 }")
    present = share * (1 - column.missing_share)
    if choice.kind == "multivalent":
        lines += [*_optional(present)[:-1], "value_count { min: 0 }"]
    elif choice.kind == "embedding":
        lines += [*_optional(present)[:-1], f"value_count {{ min: 0 max: {choice.keys['dim']} }}"]
    else:
        lines += _optional(present)
    return _block(column.declared, _TYPES[choice.kind], *lines)


def _optional(present: float) -> list[str]:
    """At most one value; in half as many examples as were seen with one, for a split may differ."""
    least = math.floor(50 * present) / 100
    presence = [f"presence {{ min_fraction: {least} }}"] if least >= _LEAST_PRESENCE else []
    return [*presence, "value_count { min: 0 max: 1 }"]


def _block(name: str, kind: str, *lines: str) -> str:
    inner = "\n".join(f"  {line}" for line in (f"name: {_quoted(name)}", f"type: {kind}", *lines))
    return f"feature {{\n{inner}\n}}"


def _domain_block(domain: _Domain) -> str:
    inner = "\n".join(f"  value: {_quoted(value)}" for value in domain.values)
    return f"string_domain {{\n  name: {_quoted(domain.name)}\n{inner}\n}}"


def _commented(block: str) -> str:
    return "\n".join(f"# {line}" for line in block.splitlines())


def _quoted(text: str) -> str:
    """A string in protocol buffers' text format."""
    # The quotes are double: an apostrophe needs no escape.
    escaped = text_encoding.CEscape(text.encode(), as_utf8=True).replace("\\'", "'")
    return f'"{escaped}"'
