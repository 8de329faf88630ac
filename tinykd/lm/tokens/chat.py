"""Chat templates: conversations as the text, and the ids, that a model was trained on.

A template is a small program in Jinja that comes with the model (a GGUF file or a Hub folder); here
it sees the same variables and functions as in the package transformers, and runs in a sandbox.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

# Put around what users wrote where it looks like a control token. Private use: they mean nothing.
START, END, PART = MARKS = "\U000f0000", "\U000f0001", "\U000f0002"


def render(template: str, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
    """The conversation as text. variables: what the template may ask for beside the messages.

    Keys of a message that are None count as missing. Raises ValueError for a conversation without
    messages, for one that the template refuses (in its words), and for a template with an error.
    """
    import jinja2

    if not messages or not all(isinstance(message, Mapping) for message in messages):
        raise ValueError(f"messages must be dicts with a role and a content, got {messages!r:.200}")
    given = [{k: v for k, v in message.items() if v is not None} for message in messages]
    try:
        return _compiled(template).render(messages=given, **variables)
    except jinja2.TemplateError as error:
        raise ValueError(f"the chat template says: {error}") from error


def marked(value: Any, control: Iterable[str]) -> Any:
    """A copy in which every control token inside a string has marks around it, at any depth.

    The beginning of one at the end of a string is marked too: a template could join it with what
    comes next. Raises ValueError for strings that hold the marks themselves.
    """
    words = sorted(control, key=len, reverse=True)
    starts = sorted({w[:n] for w in words for n in range(1, len(w))}, key=len, reverse=True)
    whole = re.compile("|".join(map(re.escape, words)) or "(?!)")
    begun = re.compile(f"(?=(?:{'|'.join(map(re.escape, starts)) or '(?!)'})\\s*\\Z)")

    def copy(value: Any) -> Any:
        if isinstance(value, str):
            if any(mark in value for mark in MARKS):
                raise ValueError(f"the character {MARKS} of private use is needed here: {value!r}")
            text = whole.sub(f"{START}\\g<0>{END}", value)
            return begun.sub(PART, text, count=1)
        if isinstance(value, Mapping):
            return {key: copy(item) for key, item in value.items()}
        return [copy(item) for item in value] if isinstance(value, list | tuple) else value

    return copy(value)


def without_marks(text: str) -> str:
    """The text as it would be without `marked`."""
    return re.sub(f"[{''.join(MARKS)}]", "", text)


def encode_marked(
    text: str,
    control: Iterable[str],
    encode: Callable[[str], list[int]],
    spell: Callable[[str], list[int]],
) -> list[int]:
    """Ids of a rendered text, in which control tokens with marks are spelled as any other text.

    encode: ids of a text, control tokens included. spell: the same without any.
    """
    loose = (f"{PART}?".join(map(re.escape, w)) for w in sorted(control, key=len, reverse=True))
    words = "|".join(loose) or "(?!)"
    # Marks that lost their token (a template may cut texts at one) keep both sides apart.
    pieces = re.split(f"{START}({words}){END}|{PART}({words})|[{START}{END}]", text)
    if len(pieces) == 1:
        return encode(without_marks(text))
    newline, ids = encode("\n"), []
    for n, piece in enumerate(pieces):  # text, token or None, token or None, text, ...
        if piece := without_marks(piece or ""):
            read = spell if n % 3 else encode
            # Behind a newline, or SentencePiece would put a space before it.
            found = read("\n" + piece) if n else newline + read(piece)
            ids += found[len(newline) :] if found[: len(newline)] == newline else read(piece)
    return ids


@functools.lru_cache(maxsize=8)
def _compiled(template: str) -> Any:
    """The template as a program, with the functions that transformers gives it."""
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %} ... {% endgeneration %} marks what the assistant says."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def tojson(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **how)  # Jinja's own escapes HTML

    def raise_exception(message: str) -> None:
        raise ValueError(f"the chat template refuses this conversation: {message}")

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)
