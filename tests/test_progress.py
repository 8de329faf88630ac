"""The bar: seen in a training of short epochs too, one line whatever runs inside, then gone."""

import contextlib
import io
import re
import time

import nbformat
import pytest
import torch

from tinykd import MLP, HardLabels, Trainer
from tinykd.progress import bar

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
