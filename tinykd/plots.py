"""The few pictures every lesson draws, in colours that colour-blind readers can tell apart.

matplotlib is imported when a picture is drawn, so the engine does not depend on it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .progress import in_notebook

# Okabe and Ito 2008, "Color Universal Design": black last, it is for reference lines.
COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"]


def history(records: Sequence[Mapping[str, float]], keys: Iterable[str] | None = None) -> Any:
    """Curves of a training history (`Trainer.fit` returns one) against epochs; returns the axes.

    keys: what to draw; left out, every loss and term, with accuracies on a second axis.
    Raises ValueError for an empty history or a key that no record has.
    """
    if not records:
        raise ValueError("the history is empty: nothing was trained")
    fixed = ("epoch", "step", "lr", "seconds")
    names = list(keys) if keys else [key for key in records[0] if key not in fixed]
    unknown = [name for name in names if name not in records[0]]
    if unknown:
        raise ValueError(f"no {unknown} in the history; it has {list(records[0])}")
    axes = _axes((6, 3.5))
    right = axes.twinx() if any("accuracy" in name for name in names) else axes
    epochs = [record["epoch"] for record in records]
    for i, name in enumerate(names):
        side = right if "accuracy" in name else axes
        style = "--" if name.startswith("val") else "-"
        values = [record[name] for record in records]
        side.plot(epochs, values, style, marker=".", color=COLORS[i % 7], label=name)
    axes.set(xlabel="epoch", ylabel="loss")
    if right is not axes:
        right.set_ylabel("accuracy")
    axes.figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return axes


def digits(images: Any, titles: Sequence[str] | None = None, columns: int = 10) -> Any:
    """Grey images (N, H, W) in [0, 1], in a grid with a title each; returns the figure.

    Raises ValueError for another shape, or no image.
    """
    import matplotlib.pyplot as plt

    images = np.asarray(images)
    if images.ndim != 3 or not len(images):
        raise ValueError(f"digits draws images of shape (N, H, W), got {images.shape}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height = 1.1 if titles is None else 1.4
    size = (1.1 * columns, height * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for i, axes in enumerate(grid.flat):
        axes.axis("off")
        if i < len(images):
            axes.imshow(images[i], cmap="gray_r", vmin=0, vmax=1)
            if titles is not None:
                axes.set_title(titles[i], fontsize=9)
    figure.tight_layout()
    return figure


def bars(
    groups: Mapping[str, Sequence[float]], ylabel: str = "", reference: float | None = None
) -> Any:
    """A bar per group: the mean over seeds, its 95% interval, and every seed as a dot.

    groups: name -> values over seeds. reference: a dashed line, such as the paper's number.
    Returns the axes.
    """
    from .metrics import mean_interval

    axes = _axes((1.2 + 1.1 * len(groups), 3.5))
    for i, values in enumerate(groups.values()):
        mean, half = mean_interval(list(values))
        axes.bar(i, mean, color=COLORS[i % 7], alpha=0.75, width=0.7)
        if np.isfinite(half):
            axes.errorbar(i, mean, half, color="black", capsize=4)
        spread = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else [0.0]
        axes.plot(i + np.asarray(spread), values, "o", color="black", markersize=3)
        label = f"{mean:.3g}" if abs(mean) < 1000 else f"{mean:,.0f}"
        axes.annotate(label, (i, 0), (0, 4), textcoords="offset points", ha="center")
    if reference is not None:
        axes.axhline(reference, color="black", linestyle="--", linewidth=1)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylabel(ylabel)
    return axes


def _axes(size: tuple[float, float]) -> Any:
    import matplotlib.pyplot as plt

    axes = plt.subplots(figsize=size, layout="constrained")[1]
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def show(alt: str) -> None:
    """Show the open figures as plt.show() does, each with the words `alt` for screen readers.

    One sentence that says what is to be seen. Outside a notebook this is plt.show().
    """
    import base64
    import html
    import io

    import matplotlib.pyplot as plt

    if not in_notebook():
        return plt.show()
    from IPython.display import publish_display_data

    for number in plt.get_fignums():
        image = io.BytesIO()
        plt.figure(number).savefig(image, format="png", bbox_inches="tight")
        png = base64.b64encode(image.getvalue()).decode()
        page = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{png}">'
        publish_display_data({"text/plain": alt, "text/html": page})
    plt.close("all")
