"""What a student wrote, made safe to look at: no control, bidi or invisible characters."""

import re
import unicodedata

MOST_TEXT, MOST_NAME = 500, 200  # characters
ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and cursor moves
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # window titles and links
    r"|\x1b[@-Z\\-_]"
)
JOINERS = "\u200c\u200d"


def plain(text: str, most: int = MOST_TEXT) -> str:
    """`text` on one line of at most `most` characters, all of them allowed in XML 1.0.

    Escape sequences of terminals, control, bidi and invisible characters, lone surrogates and
    noncharacters go; runs of white space become one space.
    """
    words = ANSI.sub("", text[: 20 * most]).split()
    return cut("".join(_shown(" ".join(words), "")), most)


def plain_name(text: str) -> str:
    """As `plain`, for names: what would go becomes U+FFFD, so that no name can pass for another."""
    return cut("".join(_shown(text[: 2 * MOST_NAME], "\ufffd")), MOST_NAME) or "\ufffd"


def _shown(text: str, instead: str) -> list[str]:
    kept: list[str] = []
    for char in text:
        code = ord(char)
        # Persian and emoji need joiners; after a Latin letter they are only there to hide.
        joins = char in JOINERS and kept and kept[-1] > "\x7f"
        bad = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and not joins
        bad = bad or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
        kept.append(instead if bad else char)
        if not kept[-1]:
            kept.pop()
    return kept


def cut(text: str, most: int) -> str:
    """At most `most` characters of `text`; an ellipsis says that there were more."""
    return text if len(text) <= most else text[: most - 1] + "…"
