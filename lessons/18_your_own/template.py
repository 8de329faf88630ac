"""A student of your own: copy this file, and replace what is under YOURS. It runs as it is.

    python template.py pictures/      a folder of pictures, one folder a class: pictures/CAT/1.png
    python template.py reviews.csv    sentences: a CSV whose columns are called text and label

Two ways to learn are compared, labels alone and the teacher's soft targets: the same student, the
same steps, the same seeds, a learning rate chosen on held-out data for each. The test part is read
once, at the end. Into --out go the better student as an ONNX file, all numbers as JSON, and a page
to be finished by hand. Needs pip install 'tinykd[lab,compress]'.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tinykd import (
    Batches,
    ConvNet,
    HardLabels,
    KnownLogits,
    SoftTargets,
    Trainer,
    accuracy,
    compress,
    cosine,
    paired_verdict,
    predict,
)
from tinykd.challenge import WordConvNet, known_words, short_names, word_numbers

SEEDS, RATES, PARTS = range(5), (3e-3, 1e-2), (0.6, 0.2, 0.2)  # train, held out, test
SIDE, PICTURES = 28, (".png", ".jpg", ".jpeg", ".bmp", ".gif")  # pixels, after resizing
MARGIN = 0.005  # the smallest gain that would matter, said beforehand

# ------------------------------------------------------------------------------------------ YOURS


def my_teacher(inputs: Tensor, labels: Tensor, classes: int, epochs: int) -> nn.Module:
    """Any module that gives logits (N, classes): load your own here. This one is trained now."""
    torch.manual_seed(0)
    return train(net(inputs, classes, wide=True), inputs, labels, None, 3e-3, epochs, 0)


def my_student(inputs: Tensor, classes: int) -> nn.Module:
    """A small one, new and untrained each time."""
    return net(inputs, classes, wide=False)


def net(inputs: Tensor, classes: int, wide: bool) -> nn.Module:
    """A net for pictures (N, 1, H, W), or for numbers of words (N, T)."""
    if inputs.dtype == torch.int64:
        return WordConvNet(int(inputs.max()) + 1, 32 if wide else 8, classes)
    channels = (32, 64, 64) if wide else (8, 12, 16)
    return nn.Sequential(nn.AvgPool2d(2), ConvNet(inputs.shape[1], *channels, classes))


def read(path: Path, order: np.random.Generator) -> tuple[list[Tensor], list[Tensor], list[str]]:
    """Inputs and labels of the three parts, and the names of the classes."""
    if path.is_dir():
        from PIL import Image  # comes with matplotlib

        files = sorted(file for file in path.glob("*/*") if file.suffix.lower() in PICTURES)
        said = [file.parent.name for file in files]
        gray = [np.asarray(Image.open(f).convert("L").resize((SIDE, SIDE))) for f in files]
        found: list = [torch.tensor(picture)[None] / 255 for picture in gray]
    else:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        found, said = [row["text"] for row in rows], [row["label"] for row in rows]
    names = sorted(set(said))
    if len(names) < 2 or len(said) < 50:
        raise SystemExit(f"{path}: {len(said)} samples of {len(names)} classes; 50 of 2 at least")
    ends = np.cumsum([round(share * len(said)) for share in PARTS[:2]])
    parts = np.split(order.permutation(len(said)), ends)
    labels = [torch.tensor([names.index(said[n]) for n in part]) for part in parts]
    chosen = [[found[n] for n in part] for part in parts]
    if path.is_dir():
        return [torch.stack(part) for part in chosen], labels, names
    known = known_words(chosen[0])  # of the training part alone
    return [word_numbers(part, known) for part in chosen], labels, names


# ----------------------------------------------------------------------------------- THE COMPARISON


def train(
    model: nn.Module, inputs: Tensor, labels: Tensor, told: Tensor | None, rate: float,
    epochs: int, seed: int,
) -> nn.Module:  # fmt: skip
    """The model, trained on labels, or on what a teacher has `told` of the same inputs."""
    Trainer(
        model,
        HardLabels() if told is None else 1.0 * SoftTargets(T=4),
        None if told is None else KnownLogits(told),
        lambda parameters: torch.optim.Adam(parameters, rate),
        schedule=cosine(1, 0),
        progress=False,
    ).fit(Batches(inputs, labels, size=32, seed=seed), epochs=epochs)
    return model.cpu().eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("my_own"))
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    (x, held_x, test_x), (y, held_y, test_y), names = read(given.data, np.random.default_rng(0))
    teacher = my_teacher(x, y, len(names), given.epochs)
    print(f"teacher: {accuracy(predict(teacher, held_x), held_y):.1%} of held-out inputs right")
    arms = {"labels": None, "soft targets": predict(teacher, x)}
    tested: dict[str, list[float]] = {}
    chosen: dict[str, float] = {}
    best, kept = -1.0, teacher
    for arm, told in arms.items():
        runs = {}
        for rate in RATES:  # both arms may try the same number of rates
            for seed in SEEDS:
                torch.manual_seed(seed)
                student = my_student(x, len(names))
                runs[rate, seed] = train(student, x, y, told, rate, given.epochs, seed)
        right = {key: accuracy(predict(one, held_x), held_y) for key, one in runs.items()}
        chosen[arm] = max(RATES, key=lambda rate: sum(right[rate, seed] for seed in SEEDS))
        mine = [runs[chosen[arm], seed] for seed in SEEDS]
        tested[arm] = [accuracy(predict(one, test_x), test_y) for one in mine]
        for seed, one in zip(SEEDS, mine, strict=True):
            if right[chosen[arm], seed] > best:
                best, kept = right[chosen[arm], seed], one
        shares = ", ".join(f"{share:.1%}" for share in tested[arm])
        print(f"{arm}, rate {chosen[arm]}: {shares} of {len(test_y)} test inputs right")
    mean, half, verdict = paired_verdict(tested["soft targets"], tested["labels"], MARGIN)
    gain = f"{100 * mean:.2f} ± {100 * half:.2f} points, {verdict}"
    print(f"soft targets - labels, paired over {len(SEEDS)} seeds: {gain}")
    file = compress.to_onnx(kept, x[:2], given.out / "student.onnx")
    print(f"{file}: {short_names(file):,} bytes; below, kB count the long names too")
    table = compress.report({"teacher": teacher, "student": kept}, (test_x, test_y), rounds=50)
    print(table.table())
    numbers = {
        "classes": names,
        "rates": chosen,
        "test": tested,
        "gain": [mean - half, mean + half],
    }
    (given.out / "numbers.json").write_text(json.dumps(numbers | {"verdict": verdict}, indent=1))
    page = f"# Is the teacher worth it?\n\nI expected: ...\n\nSoft targets - labels: {gain}.\n\n"
    page += f"Same student, steps and seeds; the rate chosen on held-out data.\n\n{table.table()}\n"
    (given.out / "report.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
