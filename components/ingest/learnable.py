"""What the trainers need of the data: they refuse what lacks it, and so does `westwork validate`."""

from __future__ import annotations

from components.ingest.declaration import Declaration


def nothing_in(split: str, declaration: Declaration, *, positives_only: bool) -> str:
    """Return what to say of a split without an interaction to learn from, or to validate with.

    Args:
        split: The split.
        declaration: Names the files.
        positives_only: Whether only positive interactions count.
    """
    log = declaration.interactions
    wanted = "positive interaction" if positives_only else "interaction"
    files = ", ".join(source.files for source in log.sources)
    lower = ", or a lower 'rating.positive_from'" if positives_only and log.rating else ""
    return (
        f"the {split} split has no {wanted} of those in {files}: nothing can be learnt or validated. "
        f"Expected at least one; give more data, a larger split{lower}."
    )


def no_positions(column: str, key: str) -> str:
    """Return what to say where a correction for positions finds none in the train split.

    Args:
        column: ``interactions.position``.
        key: Of the correction.
    """
    return (
        f"{key}: no interaction of the train split has a value in column {column!r} (interactions.position). "
        f"Expected some; correct the column, or remove {key}."
    )


def no_propensities(column: str) -> str:
    """Return what to say where no interaction of the train split has a propensity.

    Args:
        column: ``interactions.propensity``.
    """
    return (
        "ranking.inverse_propensity: no interaction of the train split has a value in column "
        f"{column!r} (interactions.propensity). Expected some; correct the column, or remove "
        "ranking.inverse_propensity."
    )
