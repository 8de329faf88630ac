"""Answers: find the number at the end of a worked solution, whole or not at all, and verify it."""

import importlib
import re
from typing import Any

# 5,000 and .5 and 12; never the front or the rear of a longer number, which fullmatch sees to.
DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
SCALE = r"(?:hundred|thousand|million|billion|trillion|dozen)s?\b"
LETTER = r"[b-hj-zB-HJ-Z](?![A-Za-z])"  # a variable, not the words "a" and "I"

# What is written in one go: a number with all that sticks to it. "10^{-6}", "$1,200.50" and "7s"
# are one such thing each; "39-8=31" is three. A minus is a sign only where nothing stands before it
# that one could subtract from.
WRITTEN = re.compile(
    r"(?:(?<![\w.)\]}])-)?(?:[\w.,:/^\\{}()\[\]%$€£'°√π±½¼¾⅓⅔²³⁰¹⁴-⁹⁻₀-₉]|(?<=[\^{(,$])-|(?<=\d[eE])[-+])+",
    re.ASCII,
)
NUMBER = re.compile(  # 5x is a product, 5k five thousand; 7s and 5km/h have a unit
    rf"(-?)(?:[A-Z]{{0,3}}[$€£])?(-?)({DIGITS})(?:(?![xyzinkKMB](?![A-Za-z]))[A-Za-z/°²³]+)?",
    re.ASCII,
)
ONE_NUMBER = re.compile(  # "x = 1,200.50 dollars", "\\$5", "5\\%": all that is allowed around it
    rf"\$?(?:[A-Za-z]+ ?[=:] ?)?(-?) ?\\?[$€£]?(-?)({DIGITS})"
    rf"(?: ?\\?[%°]| ?\\?\$)?(?: (?!{SCALE}|{LETTER})[A-Za-z/.²³]+)*[.$]?",
    re.ASCII,
)
# The number goes on behind what was read: 5 million, 2 \pi, 2 + x; and in an answer also 3 or 4.
GOES_ON = re.compile(
    rf" *(?:{SCALE}|\\(?:[dt]?frac|sqrt|pi|times|cdot|div|over)"
    rf"|(?:[-+/^×÷·]|\\pm) *(?:[\d(\\√π]|{LETTER})|\* *[\d(])"
)
ANOTHER = re.compile(r" *(?::|[,;] *[A-Za-z] *=|(?:[,;±]|or\b|to\b|and\b)? *-?[$€£]?\.?\d)")

# Other ways to write the same, and what belongs together is moved together: (pattern, replacement).
SPELLINGS = [
    (re.compile(pattern, re.ASCII), replacement)
    for pattern, replacement in [
        (r"\\!", ""),
        (r"[\u2212\ufe63\uff0d]", "-"),  # minus signs
        (r"(?<=\d)\s*\u2013\s*(?=\d)", "_"),  # a range, 3–5, is not one number
        (r"\u2013", "-"),
        (r"\\(?:text|mathrm|textbf|mathbf|mbox)\{([^{}]*)\}", r" \1 "),
        (r"(?<=\d)(?:\{,\}|\\,|\\ |[\u00a0\u2009\u202f])(?=\d)", ","),  # thousands in LaTeX and SI
        (r"(?<=\d) (?=\d{3}(?!\d))", "_"),  # 1 000: a thousand, or a one and a nought?
        (r"(?<=[\d)])\*\*(?=\d)", "^"),
        (r"([\d)}]) *([/^:]) *(?=[\d({\\-])", r"\1\2"),
        (r"(?<! ) *(?:±|\\pm) *", "±"),
        (r"(\\(?:[dt]?frac|sqrt)) +", r"\1"),
        (r"(\\[dt]?frac\d) +(?=\d)", r"\1"),
        (r"(?<=[A-Za-z])([:,.])(?=\d)|(?<=\d)([.])(?=[A-Za-z])", r"\1\2 "),  # "Answer:12", "12.So"
        (r"= *- +(?=[\d.$])", "= -"),
    ]
]
TUPLE = re.compile(r"(?:[(\[]|\\?\{)[^()\[\]\n]{0,60},[^()\[\]\n]{0,60}(?:[)\]]|\\?\})")
MARKER = re.compile(
    r"####(?![ \t#*]{0,9}(?i:step|part|case|phase|stage|section|question|problem|method|option)\b)"
    r"|\\(?:boxed|fbox|framebox)\b"
)


def extract_answer(text: str) -> str | None:
    """The final answer of a worked solution, in one spelling: "1,200.50 dollars" gives "1200.5".

    The first number after the last "####" (the marker of GSM8K: Cobbe et al. 2021, arXiv
    2110.14168, whose own script takes the first one); or the one number in the last \\boxed{...}
    (MATH: Hendrycks et al. 2021, arXiv 2103.03874), whichever comes later; without either, the last
    number of the text. None where there is no number: a marker with nothing behind it is an answer
    that was not given, not a reason to take another number. "#### Step 2" is a heading, no marker.

    The number is read whole or not at all: None for 3/4, 10^6, 1e5, 2 \\pi, 3x, (1, 2), 5 million,
    3–5, 1 000 and, behind a marker, for 2+3 and "3 or 4". A unit is left out, and %, $ and ° are
    units: "5%" gives "5". Of a sum or a product without a marker the last number counts (a chain of
    arithmetic that was cut off). LaTeX that is more than a number: `verify_latex`.
    """
    start, found = _last_marker(text)
    if found == "####":
        return _first_number(text[start:])
    if found:
        content = _in_braces(text[start:])
        return None if content is None else _one_number(content)
    text = _plain(text)
    written = [each for each in WRITTEN.finditer(text) if re.search("[0-9]", each[0])]
    return _number(text, written[-1]) if written else None


def verify(text: str, answer: str) -> bool:
    """Does the solution `text` end in `answer`? Both are read by `extract_answer`, and exactly.

    Raises ValueError if `answer` is not one number.
    """
    return extract_answer(text) == truth_of(answer)


def truth_of(answer: str) -> str:
    """`answer`, one number or a worked solution with a marker, as `extract_answer` spells it.

    Raises ValueError for anything else: 3/4, "5 or 6", "nothing".
    """
    found = extract_answer(answer) if _last_marker(answer)[1] else _one_number(answer)
    if found is None:
        raise ValueError(
            f"the answer {answer!r:.200} is not one number, such as '1,200.50 dollars'; fractions "
            "and formulas can be compared by verify_latex"
        )
    return found


def verify_latex(text: str, answer: str) -> bool:
    """Does the solution `text` end in `answer`, a LaTeX formula such as \\frac{1}{2} or (1, 2)?

    By the package math-verify (the extra `tinykd[math]`): 0.5 and 1/2 are the same, and floats are
    compared to 6 decimals. Looks at the last \\boxed{...} or the line behind the last "####" and,
    without either, wherever math-verify finds an answer. What takes it over 5 s counts as wrong.

    Raises ImportError without the package, ValueError for an `answer` that it cannot read and, from
    the package itself, outside of the main thread.
    """
    try:
        library: Any = importlib.import_module("math_verify")
    except ImportError as error:
        raise ImportError(
            "verify_latex needs the package math-verify: pip install 'tinykd[math]'"
        ) from error
    truth, given = (_latex(each) for each in (answer, text))
    if given is None:
        return False
    if truth == answer:  # without a marker it is a formula, from end to end
        truth = rf"\boxed{{{answer.strip().strip('$')}}}"
    parsed = library.parse(truth, fallback_mode="no_fallback") if truth else []
    if not parsed:
        raise ValueError(f"math-verify cannot read the answer {answer!r:.200}")
    return library.verify(parsed, library.parse(given, fallback_mode="no_fallback"))


def _latex(text: str) -> str | None:
    """What a marker points at, in a box; the text itself where there is none; None: empty."""
    start, found = _last_marker(text)
    if not found:
        return text
    rest = text[start:]
    content = rest.strip().partition("\n")[0] if found == "####" else _in_braces(rest)
    return rf"\boxed{{{content.strip('$')}}}" if content else None


def _last_marker(text: str) -> tuple[int, str]:
    """Where the text behind the last marker begins, and the marker; "" where there is none."""
    found = next(reversed(list(MARKER.finditer(text))), None)
    return (found.end(), found[0]) if found else (0, "")


def _in_braces(text: str) -> str | None:
    """What stands in the braces at the start, braces inside it included; None: they do not close.

    TeX takes a single token without braces: \\boxed 5.
    """
    text = text.lstrip()
    if not text.startswith("{"):
        return (text.split() or [""])[0].rstrip("$.,")
    depth = 0
    for n, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if depth == 0:
            return text[1:n]
    return None


def _plain(text: str) -> str:
    """The text with its numbers in plain spelling, and no spaces inside of (1, 2) and 3 / 4."""
    for pattern, replacement in SPELLINGS:
        text = pattern.sub(replacement, text)
    words = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
    return TUPLE.sub(lambda m: m[0] if words.search(m[0]) else re.sub(r"\s", "", m[0]), text)


def _first_number(text: str) -> str | None:
    """The first number of the text behind "####", unless more of an answer follows."""
    text = _plain(re.sub(r"^\s*-\s+(?=[\d.$])", "-", text))
    found = next((x for x in WRITTEN.finditer(text) if re.search("[0-9]", x[0])), None)
    if found is None or ANOTHER.match(text, found.start() + len(found[0].rstrip(":,;"))):
        return None
    return _number(text, found)


def _number(text: str, written: re.Match[str]) -> str | None:
    """What is written there as a number, if it is one and does not go on."""
    found = NUMBER.fullmatch(written[0].lstrip("([{$\\':").rstrip(".,:;)]}$\\%'°"))
    return None if found is None or GOES_ON.match(text, written.end()) else _spelled(found)


def _one_number(text: str) -> str | None:
    """The number that the whole text is, but for a unit and the like."""
    found = ONE_NUMBER.fullmatch(" ".join(_plain(text).split()))
    return None if found is None else _spelled(found)


def _spelled(found: re.Match[str]) -> str:
    sign, other, digits = found.groups()
    whole, _, part = digits.replace(",", "").partition(".")
    number = (whole.lstrip("0") or "0") + ("." + part).rstrip("0").rstrip(".")
    return f"-{number}" if (sign or other) and number != "0" else number
