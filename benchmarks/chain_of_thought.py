"""The DeepSeek-R1-distill recipe on a real 135M LLM: verified chains of thought, plain SFT, no RL.

    TINYKD_SCALE=full python benchmarks/chain_of_thought.py
    TINYKD_SCALE=full python benchmarks/chain_of_thought.py --unverified 0 1 2    the control

1. Teacher: SmolLM2-135M-Instruct, every weight fine-tuned on worked solutions of word problems.
2. Transfer set: the teacher's own samples on training problems, kept where the answer verifies.
3. Students, the same number of training tokens for each: "chains" (LoRA on SmolLM2, the transfer
   set), "answers" (the same adapter, the answers of the same problems alone), "chains, half" (every
   weight of SmolLM2 with every other block removed, the transfer set).
4. pass@1, cons@16 and tokens per answer of all of them and of SmolLM2 as it comes, on held-out
   numbers (templates seen, numbers not) and on held-out templates.

The control (`--unverified`, minutes instead of hours) asks what verification itself is worth, on
the calculator problems of the lesson's first part: a student of the teacher's verified chains and
one of all its chains that came to an end, the same problems, samples, starting weights and number
of tokens read. Both are measured at two temperatures, problem by problem. It writes
datasets/results/chain_of_thought_unverified.json.

Every result is added to datasets/results/chain_of_thought.json at once; a killed or interrupted
script goes on where it stopped (checkpoints lie in --work). No choice was made by looking at the
held-out problems. Without TINYKD_SCALE=full it does a run of a minute with a model of one block,
which checks the script and says nothing about reasoning.
"""

import argparse
import copy
import gzip
import json
import platform
import time
from dataclasses import asdict
from pathlib import Path

import torch

import tinykd
from tinykd import HardLabels, Trainer
from tinykd.files import atomic
from tinykd.lm import (
    SequenceBatches,
    Transformer,
    add_lora,
    keep_layers,
    load,
    merge_lora,
    save,
    save_lora,
    smollm2,
)
from tinykd.lm.reasoning import evaluate_reasoning, rejection_sample, sample
from tinykd.lm.reasoning.problems import Problem, load_word_problems

RESULTS = Path(__file__).resolve().parents[1] / "datasets" / "results"
FULL = {
    "templates": 9,  # of the 20 in the file: those with the shortest solutions
    "held_out_templates": 3,
    "train": 220,  # problems a template
    "held_out": {"held_out_numbers": 7, "held_out_templates": 20},  # problems a template
    "teacher": {"epochs": 2, "lr": 3e-4},
    "transfer": {
        "problems": 60,
        "n": 4,
        "per_problem": 2,
        "temperature": 0.8,
        "top_p": 0.95,
        "max_new": 200,
    },
    "student_tokens": 240_000,
    "chains": {"lr": 1e-3},
    "answers": {"lr": 1e-3},
    "chains, half": {"lr": 5e-4},
    "batch_tokens": 1024,
    "rank": 8,
    "evaluate": {"n": 16, "temperature": 0.6, "top_p": 0.95, "max_new": 200},
}
TINY = {
    **FULL,
    "templates": 2,
    "held_out_templates": 1,
    "train": 4,
    "held_out": {"held_out_numbers": 1, "held_out_templates": 1},
    "transfer": FULL["transfer"] | {"problems": 2, "n": 2, "max_new": 20},
    "student_tokens": 500,
    "evaluate": {"n": 2, "temperature": 0.6, "top_p": 0.95, "max_new": 8},
}
SAMPLING = torch.bfloat16 if tinykd.best_precision() == "bf16" else torch.float32


def prompt(problem: Problem) -> str:
    """The question as one turn of SmolLM2's chat, without its standing system message."""
    return f"<|im_start|>user\n{problem.question}<|im_end|>\n<|im_start|>assistant\n"


class Lab:
    """Settings, problems, results so far, and where half-done runs lie."""

    def __init__(self, out: Path, work: Path, full: bool) -> None:
        self.set = FULL if full else TINY
        self.out, self.work, self.full = out, work, full
        self.file = out / "chain_of_thought.json"
        self.base, self.tokenizer = smollm2()
        if not full:
            self.base = keep_layers(self.base, [0])
        train, new = load_word_problems("train"), load_word_problems("held_out_templates")
        seen = list(dict.fromkeys(p.template for p in train))[: self.set["templates"]]
        unseen = list(dict.fromkeys(p.template for p in new))[: self.set["held_out_templates"]]
        each = self.set["held_out"]
        self.train_problems = _of_each(train, seen, self.set["train"])
        self.held_out = {
            "held_out_numbers": _of_each(
                load_word_problems("held_out_numbers"), seen, each["held_out_numbers"]
            ),
            "held_out_templates": _of_each(new, unseen, each["held_out_templates"]),
        }

    @property
    def results(self) -> dict:
        """What is known so far."""
        return json.loads(self.file.read_text()) if self.file.exists() else {"runs": []}

    def write(self, results: dict) -> None:
        """Keep results, all or nothing."""
        results = {**results, "settings": self.set}
        with atomic(self.file) as part:
            part.write_text(json.dumps(results, indent=1) + "\n")

    def example(self, problem: Problem, answer: str) -> tuple[list[int], list[int]]:
        """Prompt and answer as ids; the answer ends in the token that ends a turn."""
        encode = self.tokenizer.encode
        return encode(prompt(problem)), [*encode(answer), self.tokenizer.eos]

    def fit(self, model: Transformer, examples: list, name: str, lr: float, seed=0, epochs=1):
        """SFT: cross-entropy on the answers. Returns tokens read and seconds, over all restarts."""
        batches = SequenceBatches(examples, tokens=self.set["batch_tokens"], seed=seed)
        slug = name.replace(", ", "-") + f"-{seed}"
        trainer = Trainer(
            model,
            HardLabels(),
            optimizer=lambda ps: torch.optim.AdamW(ps, lr, weight_decay=0.01, fused=True),
            schedule=tinykd.warm_up(tinykd.cosine(1, 0.05), 0.05),
            precision=tinykd.best_precision(),
            clip=1.0,
            checkpoint=self.work / f"{slug}.ckpt",
            checkpoint_every=100,
        )
        history = trainer.fit(batches, epochs=epochs, resume=True)
        trainer.checkpoint.unlink()
        tokens = epochs * sum(len(question) + len(answer) for question, answer in examples)
        return {"tokens": tokens, "seconds": round(sum(r["seconds"] for r in history), 1)}

    def measure(self, model: Transformer, n: int | None = None, **about) -> None:
        """Evaluate on both held-out sets, n samples a problem, and add the run to the results."""
        fast = copy.deepcopy(model).to(SAMPLING)
        run = dict(about)
        for name, problems in self.held_out.items():
            start = time.perf_counter()
            how = {"prompt": prompt, "batch_size": 128, **self.set["evaluate"]}
            drawn = sample(fast, self.tokenizer, problems, **how | ({"n": n} if n else {}))
            scores = evaluate_reasoning(drawn)
            run[name] = {key: [round(x, 4) for x in value] for key, value in scores.items()}
            run[name] |= {
                "problems": len(problems),
                "right": drawn.right.sum(1).tolist(),
                "finished": round(float(drawn.finished.mean()), 4),
                "sampling_tokens_per_second": round(
                    float(drawn.tokens.sum()) / (time.perf_counter() - start), 1
                ),
                "example": [problems[0].question, drawn.texts[0][0]],
            }
        results = self.results
        results["runs"].append(run)
        self.write(results)
        print(json.dumps({k: v for k, v in run.items() if k != "example"}), flush=True)

    def done(self, method: str, seed: int = 0) -> bool:
        """Is this run among the results?"""
        return any((r["method"], r["seed"]) == (method, seed) for r in self.results["runs"])


def teacher_of(lab: Lab) -> Transformer:
    """SmolLM2 fine-tuned on worked solutions; trained once, then read from --work."""
    path, cost = lab.work / "teacher.safetensors", lab.work / "teacher.json"
    if not cost.exists():
        model = copy.deepcopy(lab.base)
        examples = [lab.example(p, p.solution) for p in lab.train_problems]
        spent = lab.fit(model, examples, "teacher", **lab.set["teacher"])
        save(model, path, torch.bfloat16)
        cost.write_text(json.dumps(spent))
    teacher = load(path)
    if not lab.done("teacher"):
        about = json.loads(cost.read_text()) | {"parameters": _size(teacher)}
        lab.measure(teacher, method="teacher", seed=0, **about)
    return teacher


def transfer_set(lab: Lab) -> list[dict]:
    """The teacher's verified solutions, one line each; sampled once, then read from --out."""
    path = lab.out / "chain_of_thought_samples.jsonl.gz"
    if path.exists():
        return [json.loads(line) for line in gzip.open(path, "rt", encoding="utf-8")]
    how = dict(lab.set["transfer"])
    each = how.pop("problems")
    problems = _of_each(lab.train_problems, [p.template for p in lab.train_problems], each)
    teacher = teacher_of(lab).to(SAMPLING)
    examples, counts = rejection_sample(
        teacher, lab.tokenizer, problems, prompt=prompt, batch_size=128, **how
    )
    lab.write(lab.results | {"transfer": counts})
    by_prompt = {tuple(lab.tokenizer.encode(prompt(p))): p for p in problems}
    lines = []
    for question, answer in examples:
        problem = by_prompt[tuple(question)]
        lines.append(asdict(problem) | {"solution": lab.tokenizer.decode(answer)})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with atomic(path) as part, part.open("wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as out:
        out.write(text.encode())
    return lines


def student(lab: Lab, method: str, seed: int, lines: list[dict]) -> None:
    """Train and measure one student on `student_tokens` tokens of the transfer set."""
    if lab.done(method, seed):
        return
    torch.manual_seed(seed)
    problems = [Problem(**line) for line in lines]
    if method == "answers":
        problems = list({p.question: p for p in problems}.values())
        examples = [lab.example(p, f"#### {p.answer}") for p in problems]
    else:
        examples = [lab.example(p, p.solution) for p in problems]
    examples = _budget(examples, lab.set["student_tokens"], seed)
    model = copy.deepcopy(lab.base)
    if method == "chains, half":
        model = keep_layers(model, range(0, lab.base.config.layers, 2))
    else:
        add_lora(model, lab.set["rank"], 2.0 * lab.set["rank"])
    cost = lab.fit(model, examples, method, seed=seed, **lab.set[method])
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    about = {"method": method, "seed": seed, **cost, "trained": trained, "parameters": _size(model)}
    if method == "chains" and seed == 0:
        save_lora(model, lab.out / "chain_of_thought_lora.safetensors", torch.bfloat16)
    lab.measure(model if method == "chains, half" else merge_lora(model), **about)


CONTROL = {
    "tokens": 1_800_000,  # what lesson 14's students read, at their learning rate
    "rate": 3e-3,
    "held_out": 200,  # problems
    "n": 16,
    "measured at": {
        "T = 0.6": {"temperature": 0.6, "top_p": 0.95},
        "T = 1.5": {"temperature": 1.5},
    },
}
TINY_CONTROL = {**CONTROL, "tokens": 5_000, "held_out": 10, "n": 2}


def unverified(out: Path, seeds: list[int], full: bool) -> None:
    """What verification is worth: students of verified and of all chains, paired by seed."""
    import arithmetic_teacher as calculator

    settings, path = (CONTROL if full else TINY_CONTROL), out / "chain_of_thought_unverified.json"

    def stored() -> list[dict]:
        return json.loads(path.read_text())["runs"] if path.exists() else []

    problems, held_out = calculator.lesson_problems()
    problems, held_out = problems[: None if full else 50], held_out[: settings["held_out"]]
    for seed in seeds:
        done = {run["chains"] for run in stored() if run["seed"] == seed}
        if done == {"verified", "unverified"}:
            continue
        drawn = sample(
            load(calculator.TEACHER),
            calculator.TOKENIZER,
            problems,
            2,
            temperature=calculator.HOT,
            seed=seed,
            **calculator.SAMPLING,
        )
        for chains, keep in (("verified", drawn.right), ("unverified", drawn.finished)):
            if chains in done:
                continue
            pairs = [
                (problem.question, text)
                for problem, texts, kept in zip(problems, drawn.texts, keep, strict=True)
                for text in dict.fromkeys(t for t, ok in zip(texts, kept, strict=True) if ok)
            ]
            torch.manual_seed(seed)
            model = Transformer(calculator.SHAPES["student"])
            seconds, read = calculator.train(
                model,
                calculator.rows(pairs),
                HardLabels(),
                settings["tokens"],
                settings["rate"],
                seed,
            )
            run = {"chains": chains, "seed": seed, "examples": len(pairs), "tokens": read}
            run["processor seconds"] = round(seconds, 1)
            for name, how in settings["measured at"].items():
                scored = sample(
                    model,
                    calculator.TOKENIZER,
                    held_out,
                    settings["n"],
                    **calculator.SAMPLING,
                    **how,
                )
                run[name] = {
                    "pass@1": round(float(scored.right.mean()), 4),
                    "finished": round(float(scored.finished.mean()), 4),
                    "right": scored.right.sum(1).tolist(),
                }
            brief = {k: v for k, v in run.items() if k not in settings["measured at"]}
            scores = {name: run[name]["pass@1"] for name in settings["measured at"]}
            print(brief, scores, flush=True)
            results = {  # read anew: other seeds may run side by side
                "runs": sorted([*stored(), run], key=lambda one: (one["seed"], one["examples"])),
                "settings": settings,
                "machine": platform.processor() or platform.machine(),
            }
            with atomic(path) as part:
                part.write_text(json.dumps(results, indent=1) + "\n")


def _budget(examples: list, tokens: int, seed: int) -> list:
    """Examples over and over, in a new order each time, until `tokens` are read."""
    dice, chosen, read = torch.Generator().manual_seed(seed), [], 0
    while True:
        for i in torch.randperm(len(examples), generator=dice).tolist():
            if read >= tokens:
                return chosen
            chosen.append(examples[i])
            read += len(examples[i][0]) + len(examples[i][1])


def _of_each(problems: list[Problem], templates: list, count: int) -> list[Problem]:
    """The first `count` problems of each of these templates."""
    return [
        p
        for template in dict.fromkeys(templates)
        for p in [p for p in problems if p.template == template][:count]
    ]


def _size(model: Transformer) -> int:
    return sum(p.numel() for p in model.parameters())


def main() -> None:
    """Do what is not done yet, or the control."""
    full = tinykd.scale() == "full"
    parser = argparse.ArgumentParser(description="Chains of thought into SmolLM2-135M")
    parser.add_argument("--out", type=Path, default=RESULTS if full else Path("build/chains"))
    parser.add_argument("--work", type=Path, default=Path("build/chains"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--unverified", type=int, nargs="+", help="the control alone: its seeds")
    args = parser.parse_args()
    for folder in (args.out, args.work):
        folder.mkdir(parents=True, exist_ok=True)
    if args.unverified:
        return unverified(args.out, args.unverified, full)
    lab = Lab(args.out, args.work, full)
    teacher_of(lab)
    lines = transfer_set(lab)
    if not lines and not full:  # one block solves nothing, and the rest wants checking too
        lines = [asdict(problem) for problem in lab.train_problems]
    if not lines:
        raise SystemExit("the teacher solved nothing: no transfer set, so no students")
    for seed in range(args.seeds):
        for method in ("chains", "answers", "chains, half"):
            student(lab, method, seed, lines)
    if not lab.done("SmolLM2"):
        about = {"method": "SmolLM2", "seed": 0, "tokens": 0, "seconds": 0}
        # One sample a problem: few of them end by themselves, and each costs max_new tokens.
        lab.measure(lab.base, 1, **about, parameters=_size(lab.base))
    lab.write(lab.results | {"machine": platform.processor() or platform.machine()})


if __name__ == "__main__":
    main()
