"""Pictures: what is drawn is what was given, read off matplotlib's own objects."""

import math

import numpy as np
import pytest

from tinykd import plots
from tinykd.metrics import mean_interval

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

RECORDS = [
    {"epoch": 1, "step": 4, "lr": 0.1, "seconds": 2.0, "loss": 3.0, "val_loss": 2.5,
     "val_accuracy": 0.4},
    {"epoch": 2, "step": 8, "lr": 0.1, "seconds": 2.0, "loss": 2.0, "val_loss": 2.25,
     "val_accuracy": 0.6},
]  # fmt: skip


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def curves(axes):
    """The curves of an axes: name -> (x, y, style)."""
    return {
        line.get_label(): (*map(list, line.get_data()), line.get_linestyle()) for line in axes.lines
    }


def test_a_history_is_its_losses_and_on_the_right_its_accuracies():
    axes = plots.history(RECORDS)
    assert curves(axes) == {
        "loss": ([1, 2], [3.0, 2.0], "-"),
        "val_loss": ([1, 2], [2.5, 2.25], "--"),
    }
    (right,) = [one for one in axes.figure.axes if one is not axes]
    assert curves(right) == {"val_accuracy": ([1, 2], [0.4, 0.6], "--")}
    assert (axes.get_xlabel(), axes.get_ylabel(), right.get_ylabel()) == (
        *("epoch", "loss"),
        "accuracy",
    )
    (legend,) = axes.figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {"loss", "val_loss", "val_accuracy"}
    colours = {line.get_color() for one in (axes, right) for line in one.lines}
    assert len(colours) == 3
    assert colours <= set(plots.COLORS[:7])


def test_only_the_keys_that_are_asked_for():
    axes = plots.history(RECORDS, ["val_loss", "lr"])
    assert list(curves(axes)) == ["val_loss", "lr"]
    assert len(axes.figure.axes) == 1


def test_histories_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="the history is empty"):
        plots.history([])
    with pytest.raises(ValueError, match=r"no \['accuracy'\] in the history; it has \['epoch'"):
        plots.history(RECORDS, ["loss", "accuracy"])


def test_digits_stand_in_their_order_dark_on_white():
    images = np.random.default_rng(0).random((5, 4, 3))
    figure = plots.digits(images, titles=list("abcde"), columns=3)
    grid = figure.axes
    assert len(grid) == 6  # two rows of three, the last one empty
    for image, title, axes in zip(images, "abcde", grid, strict=False):
        (drawn,) = axes.images
        assert np.array_equal(drawn.get_array(), image)
        assert drawn.get_clim() == (0, 1)  # every image on one scale
        assert drawn.get_cmap().name == "gray_r"
        assert axes.get_title() == title
    assert not grid[5].images
    assert len(plots.digits(images).axes) == 5  # no more columns than images


@pytest.mark.parametrize("shape", [(4, 3), (2, 1, 4, 3), (0, 4, 3)])
def test_what_is_no_row_of_images_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(N, H, W\), got"):
        plots.digits(np.zeros(shape))


def test_bars_are_means_with_intervals_and_every_seed():
    groups = {"a": [1.0, 2.0, 4.0], "b": [2000.0]}
    axes = plots.bars(groups, "errors", reference=3.0)
    mean, half = mean_interval(groups["a"])
    assert [bar.get_height() for bar in axes.patches] == [pytest.approx(mean), 2000.0]
    (interval,) = [one for one in axes.containers if hasattr(one, "has_yerr")]  # one seed has none
    ((low, high),) = [segment[:, 1] for segment in interval[2][0].get_segments()]
    assert (low, high) == (pytest.approx(mean - half), pytest.approx(mean + half))
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in dots] == list(groups.values())
    for n, line in enumerate(dots):
        assert np.mean(line.get_xdata()) == pytest.approx(n)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "b"]
    assert [text.get_text() for text in axes.texts] == ["2.33", "2,000"]
    assert axes.get_ylabel() == "errors"
    (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert set(dashed.get_ydata()) == {3.0}
    assert math.isinf(mean_interval(groups["b"])[1])


def test_a_picture_in_a_notebook_has_words_for_a_screen_reader(monkeypatch):
    display = pytest.importorskip("IPython.display")
    published = []
    monkeypatch.setattr(display, "publish_display_data", published.append)
    monkeypatch.setattr(plots, "in_notebook", lambda: True)
    plots.history(RECORDS)
    plots.bars({"a": [1.0]})
    plots.show("a < b, falling")
    assert [data["text/plain"] for data in published] == ["a < b, falling"] * 2
    for data in published:
        assert data["text/html"].startswith(
            '<img alt="a &lt; b, falling" src="data:image/png;base64'
        )
    assert plt.get_fignums() == []


def test_outside_of_a_notebook_it_is_matplotlibs_show(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    plots.history(RECORDS)
    plots.show("words")
    assert shown == [[1]]
