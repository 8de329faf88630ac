"""llama.cpp as a rival of `benchmarks/language_model.py`: sampling many sequences at once.

    .venv-peers/bin/pip install llama-cpp-python==0.3.36      compiles llama.cpp: ten minutes
    .venv-peers/bin/python benchmarks/llama_cpp_rival.py      whether it runs on this processor

It decodes as its own `examples/batched` and `examples/parallel` do: all sequences in one batch,
each with a sequence id, a prompt with several samples read once and its cache shared. Drawn by its
`dist` sampler at T = 1 from all tokens, as ours are.
"""

import ctypes
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp as lib

ALONE, AT_ONCE = 1, 512  # sequences per token of a batch; tokens of prompts read together


class LlamaCpp:
    """A GGUF file, read by llama.cpp, with room for `rows` sequences of `room` tokens each."""

    def __init__(self, path: Path, rows: int, room: int, threads: int) -> None:
        self._log = lib.llama_log_callback(lambda *_: None)  # kept, or it is called when collected
        lib.llama_log_set(self._log, None)
        self.model = lib.llama_model_load_from_file(
            str(path).encode(), lib.llama_model_default_params()
        )
        options = lib.llama_context_default_params()
        options.n_ctx, options.n_seq_max = rows * room, rows
        options.n_batch = options.n_ubatch = max(rows, AT_ONCE)
        options.n_threads = options.n_threads_batch = threads
        options.no_perf, options.kv_unified = True, False
        self.context = lib.llama_init_from_model(self.model, options)
        if not self.context:
            raise RuntimeError(f"llama.cpp makes no context of {rows} x {room} tokens for {path}")
        self.memory = lib.llama_get_memory(self.context)
        self.batch = lib.llama_batch_init(max(rows, AT_ONCE), 0, ALONE)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        samples: int,
        max_new: int,
        eos: int,
        seed: int | None = 0,
    ) -> list[list[int]]:
        """`samples` answers to each prompt, one after the other, `eos` their end; as ours.

        seed: of the first answer, the next ones count on; None takes the likeliest token.
        """
        lib.llama_memory_clear(self.memory, True)
        answers: list[list[int]] = [[] for _ in range(len(prompts) * samples)]
        draws = [
            lib.llama_sampler_init_greedy()
            if seed is None
            else lib.llama_sampler_init_dist(seed + i)
            for i in range(len(answers))
        ]
        waiting: dict[int, int] = {}  # sequence -> the token that was drawn for it
        for n, prompt in enumerate(prompts):
            first = n * samples
            for start in range(0, len(prompt), AT_ONCE):
                part = prompt[start : start + AT_ONCE]
                last = start + len(part) == len(prompt)
                self._decode([(t, start + i, first) for i, t in enumerate(part)], last)
            for row in range(first, first + samples):
                if row > first:
                    lib.llama_memory_seq_cp(self.memory, first, row, -1, -1)
                waiting[row] = lib.llama_sampler_sample(draws[row], self.context, -1)
        for step in range(max_new):
            for row, token in list(waiting.items()):
                answers[row].append(token)
                if token == eos:
                    del waiting[row]
            if not waiting or step + 1 == max_new:
                break
            lengths = {row: len(prompts[row // samples]) + step for row in waiting}
            self._decode([(token, lengths[row], row) for row, token in waiting.items()], None)
            waiting = {
                row: lib.llama_sampler_sample(draws[row], self.context, i)
                for i, row in enumerate(waiting)
            }
        for draw in draws:
            lib.llama_sampler_free(draw)
        return answers

    def _decode(self, entries: list[tuple[int, int, int]], last: bool | None) -> None:
        """Read (token, position, sequence); logits of all (None), of the last one, or of none."""
        batch: Any = self.batch
        batch.n_tokens = len(entries)
        for i, (token, position, row) in enumerate(entries):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = ALONE, row
            batch.logits[i] = last is None or (last and i == len(entries) - 1)
        if status := lib.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode gives {status} for {len(entries)} tokens")


def as_bf16(source: Path, target: Path) -> None:
    """The same weights, once more in bf16: what ours and transformers compute in."""
    options = lib.llama_model_quantize_default_params()
    options.ftype, options.allow_requantize = lib.LLAMA_FTYPE_MOSTLY_BF16, True
    status = lib.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(options)
    )
    if status:
        raise RuntimeError(f"llama_model_quantize gives {status} for {source}")


def runs(path: Path) -> bool:
    """Whether it reads and samples `path` here; asked of a process of its own.

    Compiled for what the compiler sees, it dies of instructions that a virtual machine does not
    let through (the integer tiles of AMX, for 4-bit files).
    """
    command = [sys.executable, __file__, str(path)]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    from tinykd.lm.weights import smollm2_file

    file = Path(sys.argv[1]) if len(sys.argv) > 1 else smollm2_file()
    LlamaCpp(file, rows=2, room=64, threads=1).generate([[1, 2, 3] * 12], 2, 4, eos=2)
