"""Names of Westwork's signatures' inputs and outputs (docs/model.md), of a model's files and versions."""

HISTORY = "history"
HISTORY_AGE = "history_age"
HISTORY_ACTION = "history_action"
K = "k"
EXCLUDE = "exclude"
DIVERSITY = "diversity"
FILTER = "filter_"
"""What the inputs that filter begin with; a candidate feature's name follows."""
CANDIDATE_IDS = "candidate_ids"
SCORES = "scores"
EMBEDDING = "embedding"
LINE_BREAKS = {"\n": "\u240a", "\r": "\u240d"}
"""What stands for a line break in a vocabulary, which holds a value a line."""
MISSING_MOMENT = -(2**63)
"""A moment (int64 seconds since 1970 UTC) that is not known: 0 is one, in 1970."""

EXTRA = "assets.extra"
"""Folder in a version's, for files that are none of the SavedModel; TensorFlow Serving looks there, too."""
DESCRIPTION_FILE = "model.json"
"""Name of the file in it that says what the model was made from."""

GREATEST_VERSION = 2**63 - 1
"""TensorFlow Serving's protocol has 64 bits, with a sign, for a version."""


def is_version(name: str) -> bool:
    """Whether a folder of this name is a version: a whole number that the protocol can say.

    TensorFlow Serving passes over other folders, too.
    """
    return name.isascii() and name.isdecimal() and int(name) <= GREATEST_VERSION
