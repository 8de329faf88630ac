"""The bar: seen in a training of short epochs too, one line whatever runs inside, then gone."""

import contextlib
import io
import math
import os
import re
import signal
import sys
import threading
import time
from types import SimpleNamespace

import nbformat
import pytest
import torch

import tinykd.progress
from tinykd import MLP, HardLabels, Trainer
from tinykd.progress import Interrupted, Interruptible, bar, show_words, wrapped

pytest.importorskip("tqdm")
BATCH = (torch.randn(4, 2), torch.randint(3, (4,)))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def screen():
    """Standard output as a terminal (pytest puts its own in between a fixture and the test)."""
    return contextlib.redirect_stdout(Terminal())


def shown(written):
    """What is left on the screen, line by line, spaces aside."""
    lines = []
    for line in written.getvalue().split("\n"):
        seen = ""
        for piece in line.split("\r"):
            seen = piece + seen[len(piece) :]
        lines.append(seen.rstrip())
    return [line for line in lines if line]


def test_epochs_shorter_than_a_second_are_seen():
    trainer = Trainer(MLP(2, 3), HardLabels(), callbacks=[lambda t: time.sleep(0.03)])
    with screen() as seen:
        trainer.fit([BATCH], validate=[BATCH], epochs=50)
    labels = set(re.findall(r"epoch \d+/50", seen.getvalue()))
    assert len(labels) >= 2, seen.getvalue()
    assert "/50 [" in seen.getvalue()  # one bar over all of them
    assert shown(seen) == []


def test_what_a_validation_prints_has_a_line_of_its_own():
    def validate(model):
        time.sleep(0.4)
        print("half way")
        return 1.0

    trainer = Trainer(MLP(2, 3), HardLabels(), callbacks=[lambda t: time.sleep(0.4)])
    with screen() as seen:
        trainer.fit([BATCH], validate=validate, epochs=3)
    assert "epoch " in seen.getvalue()
    assert shown(seen) == ["half way"] * 3


def test_a_bar_within_a_bar_takes_the_same_line():
    with screen() as seen, bar("outer", 2) as outer:
        for _ in range(2):
            time.sleep(1.05)
            outer(1)
            outer.wipe()
            with bar("inner", 2) as inner:
                for _ in range(2):
                    time.sleep(0.6)
                    inner(1)
    assert "outer" in seen.getvalue()
    assert "inner" in seen.getvalue()
    assert not {"\n", "\x1b"} & set(seen.getvalue())
    assert shown(seen) == []


def test_a_stopped_training_leaves_no_bar():
    def stop(trainer):
        time.sleep(0.7)
        if trainer.step == 3:
            raise RuntimeError("full")

    with screen() as seen, pytest.raises(RuntimeError):
        Trainer(MLP(2, 3), HardLabels(), callbacks=[stop]).fit([BATCH] * 5)
    assert "epoch 1/1" in seen.getvalue()
    assert shown(seen) == []


def test_a_built_lesson_stores_what_a_reader_sees():
    author = pytest.importorskip("tinykd.classroom.author.notebooks")

    def stream(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    figure = nbformat.v4.new_output("display_data", {"text/plain": "a figure"})
    outputs = [
        *(stream("first\n"), stream("50%|#  |"), stream("\r100%|###|"), stream("\r         \rsec")),
        *(stream("oops", "stderr"), stream("ond\n"), figure, stream("\r10%|"), stream("\r    \r")),
    ]
    found = author.as_shown(outputs)
    assert [o.get("text", "figure") for o in found] == ["first\nsecond\n", "figure"]


def test_a_bar_in_a_file_is_seldom_and_begins_where_the_work_does(monkeypatch):
    """A log of a night is no place for five lines a second; a notebook is a place for a bar."""
    for seen in (contextlib.redirect_stdout(io.StringIO()), screen()):
        with seen as text, bar("night", 10, done=4) as one:
            line = one._line
            one(1, "loss 0.5", "day")
            assert (line.n, line.postfix, line.desc) == (5, "loss 0.5", "day: ")
        quick = isinstance(text, Terminal) or "IPython" in sys.modules
        assert (line.mininterval, line.delay) == ((0.2, 1) if quick else (30, 30))
    monkeypatch.setitem(sys.modules, "IPython", None)
    with contextlib.redirect_stdout(io.StringIO()), bar("night", 10) as one:
        assert one._line.mininterval == 0.2
    with bar("nobody looks", 10, visible=False) as one:
        one(1)
        one.wipe()


# ------------------------------------------------------------------------------------- words


@pytest.fixture
def notebook(monkeypatch):
    """What a made-up notebook is shown."""
    shown, shell = [], SimpleNamespace(kernel=True)
    ipython = SimpleNamespace(get_ipython=lambda: shell)
    display = SimpleNamespace(publish_display_data=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


def test_words_are_shown_as_text_whatever_is_in_them(notebook):
    assert show_words("softmax: <b>no</b>\n1 < 2 & 3")
    (page,) = notebook
    assert "<b>softmax: &lt;b&gt;no&lt;/b&gt;</b>" in page["text/html"]
    assert "1 &lt; 2 &amp; 3</div>" in page["text/html"]
    assert page["text/plain"] == "softmax: <b>no</b>\n1 < 2 & 3"


def test_a_terminal_shows_no_html(notebook, monkeypatch):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    assert not show_words("words")
    monkeypatch.delitem(sys.modules, "IPython")
    assert not show_words("words")
    assert notebook == []


def test_an_error_in_words_has_no_traceback(monkeypatch):
    error = Interrupted("stopped after step 3. To go on: resume=True\nand more")
    monkeypatch.setattr(tinykd.progress, "show_words", lambda text: False)
    assert error._render_traceback_() == wrapped(str(error))
    error = Interrupted("stopped after step 3. To go on: resume=True\nand more")
    monkeypatch.setattr(tinykd.progress, "show_words", lambda text: True)
    assert error._render_traceback_() == ["stopped after step 3."]


def test_lines_are_broken_between_words():
    name = "x" * 100
    lines = wrapped(f"{'word ' * 40}\n{name}\nlast")
    assert [line.split() for line in lines[-2:]] == [[name], ["last"]]
    assert max(map(len, lines[:-2])) <= 88
    assert " ".join(" ".join(lines[:-2]).split()) == " ".join(["word"] * 40)


# ------------------------------------------------------------------------------------ Ctrl-C


def press(number=signal.SIGINT):
    os.kill(os.getpid(), number)


@pytest.fixture
def handlers():
    """Python's own for Ctrl-C, whatever started the tests has done, and ours for SIGTERM."""
    seen = []
    before = [
        signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.signal(signal.SIGTERM, lambda *_: seen.append("terminated")),
    ]
    yield seen
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


def test_the_second_ctrl_c_does_not_wait(handlers):
    with Interruptible() as asked:
        assert not asked.asked
        press()
        assert asked.asked
        with pytest.raises(KeyboardInterrupt):
            press()
        press(signal.SIGTERM)  # nobody asked for that one
    assert handlers == ["terminated"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_being_written_gets_written(handlers):
    with Interruptible((signal.SIGINT, signal.SIGTERM), defers=math.inf) as asked:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            press(number)
        asked.defers = 0
        with pytest.raises(KeyboardInterrupt):
            press()
    assert handlers == []
    press(signal.SIGTERM)
    assert handlers == ["terminated"]


def test_a_thread_has_no_signals_to_wait_for(handlers):
    found = []

    def work():
        with Interruptible() as asked:
            found.append(asked.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
