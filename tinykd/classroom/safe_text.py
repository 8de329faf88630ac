"""What a student wrote, made safe to look at: no control, bidi or invisible characters."""

import re
import unicodedata

MAX_TEXT, MAX_NAME = 500, 200  # characters
ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and cursor moves
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # window titles and links
    r"|\x1b[@-Z\\-_]"
)
JOINERS = "\u200c\u200d"


def safe_text(text: str, max_length: int = MAX_TEXT) -> str:
    """`text` on one line of at most `max_length` characters, all of them allowed in XML 1.0.

    Escape sequences of terminals, control, bidi and invisible characters, lone surrogates and
    noncharacters go; runs of white space become one space.
    """
    words = ANSI.sub("", text[: 20 * max_length]).split()
    return shorten(_replace_unsafe(" ".join(words), ""), max_length)


def safe_name(text: str) -> str:
    """As `safe_text`, but unsafe characters become U+FFFD, so no name can pass for another."""
    return shorten(_replace_unsafe(text[: 2 * MAX_NAME], "\ufffd"), MAX_NAME) or "\ufffd"


def shorten(text: str, max_length: int) -> str:
    """At most `max_length` characters of `text`; an ellipsis says that there were more."""
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def _replace_unsafe(text: str, replacement: str) -> str:
    safe: list[str] = []
    for char in text:
        code = ord(char)
        # Persian and emoji need joiners; after a Latin letter they are only there to hide.
        joins = char in JOINERS and safe and safe[-1] > "\x7f"
        unsafe = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and not joins
        unsafe = unsafe or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
        if not unsafe:
            safe.append(char)
        elif replacement:
            safe.append(replacement)
    return "".join(safe)
