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
# Letters and marks that show nothing, or only a space
FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
VARIANTS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


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
        unsafe = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") or char in FILLERS
        if char in JOINERS or VARIANTS.match(char):
            unsafe = not safe or not _changes(char, safe[-1])
        unsafe = unsafe or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
        if not unsafe:
            safe.append(char)
        elif replacement:
            safe.append(replacement)
    if safe and safe[-1] in JOINERS:  # nothing to join
        safe[-1] = replacement
    return "".join(safe)


def _changes(char: str, before: str) -> bool:
    """Can a joiner or a choice of variant be seen after `before`? Else it is there to hide."""
    if char in JOINERS:  # Persian, the scripts of India and emoji need them
        return before >= "\u0600" and before not in JOINERS
    if char <= "\ufe0f":  # as emoji or as text
        return unicodedata.category(before).startswith("S")
    return before >= "\u3400"  # variants of Chinese characters, in names too
