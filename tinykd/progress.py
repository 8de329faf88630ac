"""A bar for the reader, and a Ctrl-C that waits for the end of the step."""

import contextlib
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any


class Bar:
    """A progress bar on stdout, from its second second on; nothing where it is not visible."""

    def __init__(self, line: Any = None) -> None:
        self._line = line  # tqdm's

    def __call__(self, n: int, note: str = "", label: str = "") -> None:
        """`n` more are done; `note` stands behind the bar, `label` before it."""
        if self._line is None:
            return
        self._line.set_postfix_str(note, refresh=False)
        if label:
            self._line.set_description(label, refresh=False)
        self._line.update(n)

    def wipe(self) -> None:
        """Clear the line for what is going to be printed; the next step shows the bar again."""
        if self._line is not None and self._line.last_print_t > self._line.start_t:
            self._line.clear()


@contextlib.contextmanager
def bar(label: str, total: int | None, done: int = 0, visible: bool = True) -> Iterator[Bar]:
    """A progress bar over `total` steps, `done` of them before; it wipes itself out at the end."""
    if not visible:  # and no lock: forked processes share tqdm's, and one may be killed in it
        yield Bar()
        return
    from tqdm import tqdm  # here, so that `import tinykd` stays numpy and torch

    watched = sys.stdout.isatty() or "IPython" in sys.modules
    pace = {"mininterval": 0.2, "delay": 1} if watched else {"mininterval": 30, "delay": 30}
    # position: a bar within another, of a validation that samples, takes the same line.
    place = {"leave": False, "file": sys.stdout, "position": 0}
    with tqdm(total=total, initial=done, desc=label, **place, **pace) as line:
        yield Bar(line)


class InWords:
    """Mixed into an exception: IPython shows its words alone, without a traceback."""

    _shown: bool | None = None

    def _render_traceback_(self) -> list[str]:
        if self._shown is None:  # IPython asks twice
            self._shown = show_words(str(self))
        if self._shown:  # the first sentence, in the red of an error
            return wrapped(str(self).partition("\n")[0].partition(". ")[0].rstrip(".") + ".")
        return wrapped(str(self))


class Interrupted(InWords, KeyboardInterrupt):
    """Ctrl-C, answered at the end of a step."""


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, which can show HTML; IPython in a terminal cannot."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def show_words(text: str) -> bool:
    """Show `text` so that a narrow window breaks it between words, its first line in bold; True
    where that worked.
    """
    if not in_notebook():
        return False
    import html

    from IPython.display import publish_display_data

    first, *rest = text.splitlines()
    lines = "".join(f"<div style='margin-left:2em'>{html.escape(line)}</div>" for line in rest)
    page = f"<div style='max-width:88ch'><b>{html.escape(first)}</b>{lines}</div>"
    publish_display_data({"text/plain": "\n".join(wrapped(text)), "text/html": page})
    return True


def wrapped(text: str) -> list[str]:
    """Lines of at most 88 characters: JupyterLab would break longer ones inside a word."""
    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, 88, subsequent_indent="    ", break_long_words=False)
    ]


class Interruptible:
    """Between enter and exit a signal only sets `asked`, for the work to end at a good moment.

    The first `defers` signals do that, a further one raises KeyboardInterrupt at once: by default
    the second Ctrl-C. `defers` may be changed at any time: 0 interrupts at the first one, math.inf
    never. Outside the main thread Python delivers no signals, and nothing is changed.
    """

    def __init__(self, signals: Sequence[int] = (signal.SIGINT,), defers: float = 1):
        self.signals, self.defers, self._count = signals, defers, 0

    @property
    def asked(self) -> bool:
        """Whether there was a signal."""
        return self._count > 0

    def __enter__(self) -> "Interruptible":
        main = threading.current_thread() is threading.main_thread()
        numbers = self.signals if main else ()
        self._before: dict[int, Any] = {
            number: signal.signal(number, self._note) for number in numbers
        }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count > self.defers:
            raise KeyboardInterrupt
