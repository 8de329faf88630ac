"""Makes word_problems.jsonl.gz from the generators of reasoning-gym's `gsm_symbolic`.

    pip install reasoning-gym==0.1.25
    python datasets/word_problems/make_word_problems.py

Each generator is one template of GSM-Symbolic (Mirzadeh et al. 2024, arXiv 2410.05229): a grade
school problem in which names and numbers vary, with its worked solution. Taken are the 26 templates
with the shortest worked solutions (in characters, mean of 30), so that a 135M model can learn them
in an hour on a laptop; every fourth of them is held out as a whole. The order of lines is fixed,
and the same package gives the same bytes.
"""

import gzip
import json
import re
import statistics
from pathlib import Path
from random import Random

import reasoning_gym
from reasoning_gym.arithmetic.gsm_symbolic.gsm_symbolic import tasks_ok

TEMPLATES = 26
FEWEST_ANSWERS = 12  # different answers in 30 draws: fewer, and guessing pays
TRAIN, HELD_OUT_NUMBERS, HELD_OUT_TEMPLATES = 300, 20, 30  # problems a template
OUT = Path(__file__).with_name("word_problems.jsonl.gz")


def draw(generators, template, count, seed):
    """`count` different problems of one template; the answer ends its solution, after ####."""
    dice, problems = Random(seed), {}
    for _ in range(50 * count):
        made = generators[template](dice, 1.0)
        solution = made["metadata"]["answer_cot"].strip()
        solution = re.sub(r"\s*####.*", "", solution, flags=re.DOTALL)
        problems.setdefault(
            made["question"].strip(),
            {
                "template": template,
                "question": made["question"].strip(),
                "solution": f"{solution}\n#### {made['answer']}",
                "answer": str(made["answer"]),
            },
        )
        if len(problems) == count:
            break
    return list(problems.values())


def main():
    generators = reasoning_gym.create_dataset("gsm_symbolic", seed=0, size=1).generators
    length = {}
    for template in tasks_ok:
        sample = draw(generators, template, 30, template)
        if len({p["answer"] for p in sample}) >= FEWEST_ANSWERS:
            length[template] = statistics.fmean(len(p["solution"]) for p in sample)
    chosen = sorted(length, key=length.get)[:TEMPLATES]
    lines = []
    for n, template in enumerate(chosen):
        if n % 4 == 3:
            problems = draw(generators, template, HELD_OUT_TEMPLATES, 10_000 + template)
            lines += [{"split": "held_out_templates", **p} for p in problems]
            continue
        problems = draw(generators, template, TRAIN + HELD_OUT_NUMBERS, 10_000 + template)
        lines += [
            {"split": "held_out_numbers" if k < HELD_OUT_NUMBERS else "train", **p}
            for k, p in enumerate(problems)
        ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with OUT.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.encode())
    print(
        f"{len(lines)} problems of {len(chosen)} templates {chosen}, {OUT.stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    main()
