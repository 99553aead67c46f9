"""Kinds of text that a domain file says about text files: encodings, delimiters, separators."""

from __future__ import annotations

import codecs
from typing import Annotated, Final

from pydantic import AfterValidator

_NO_FILES: Final = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})
"""Python's codecs from text to bytes that no file of a table is written in."""
_IN_NUMBERS: Final = frozenset("+-.0123456789eE")


def _encoding(name: str) -> str:
    """Return Python's name of a text encoding."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        raise ValueError(f"no encoding is called {name!r}; expected one such as utf-8 or latin-1") from None
    # Python has compressions, base64 and the like among its codecs; typeshed does not know how to tell.
    is_text = getattr(codec, "_is_text_encoding", True)
    if not is_text or codec.name.replace("-", "_") in _NO_FILES:
        kind = " (for a compressed file, set 'compression')" if codec.name in ("bz2", "zlib") else ""
        raise ValueError(f"{name!r} is no encoding of text; expected one such as utf-8 or latin-1{kind}")
    return codec.name


def _delimiter(text: str) -> str:
    if len(text) != 1:
        raise ValueError(f'expected one character, such as ",", ";" or "\\t" (a tab), not {len(text)}')
    if not text.isascii() or text.isalnum() or text in '\r\n\0".-+':
        raise ValueError(
            'expected a character of ASCII that no cell is made of, such as "," or "\\t" (a tab): no letter '
            "or digit, no quote, line end, sign or point"
        )
    return text


def _separator(text: str) -> str:
    if not text:
        raise ValueError('expected at least one character, such as "|"')
    return text


def _number_separator(text: str) -> str:
    if _IN_NUMBERS.intersection(_separator(text)):
        raise ValueError(
            'expected what no number is written with, such as " " or ",": no digit, sign, point or e'
        )
    return text


Encoding = Annotated[str, AfterValidator(_encoding)]
"""An encoding of text files, by Python's name."""
Delimiter = Annotated[str, AfterValidator(_delimiter)]
"""What stands between the cells of a row."""
Separator = Annotated[str, AfterValidator(_separator)]
"""What stands between the values of a cell."""
NumberSeparator = Annotated[str, AfterValidator(_number_separator)]
"""What stands between the numbers of a cell."""
