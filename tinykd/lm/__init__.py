"""Language models: a transformer from scratch, and all it takes to distil one into another.

the model           config, layers, transformer, cache, lora, tokens/, weights/
texts               batches of given ones; generate and speculative: its own
losses              topk: the likeliest tokens and a tail; spans: other tokens; chunked,
                    lazy_logits: a large vocabulary; matching: what happens inside
teachers/           kept on disk, from a server, with other tokens, one a prompt, one that sees
                    more; topk_teacher and served are older places of two of them
on-policy           onpolicy, advantage
reasoning/          problems, sampled solutions, verified answers, scores
"""

from .advantage import SampledReverseKL, advantages, k1, k2, k3
from .batches import SequenceBatches, shift_and_mask
from .chunked import Chunked, Head, Headless, LazyLogits, chunked
from .generate import generate, nucleus
from .layers import Config
from .lora import add_lora, load_lora, merge_lora, save_lora, unmerge_lora
from .matching import AttentionScores, HiddenStates
from .onpolicy import MiniLLM, OnPolicy
from .reasoning import (
    Problem,
    arithmetic,
    cons_at_k,
    evaluate_reasoning,
    extract_answer,
    load_word_problems,
    pass_at_k,
    rejection_sample,
    sample,
    verify,
    verify_latex,
    wilson,
)
from .spans import ULD, Spans, span_kl, uld
from .speculative import speculate, total_variation
from .teachers import (
    ByPrompt,
    OtherTokenizer,
    Privileged,
    TopKShards,
    TopKTeacher,
    finish_shards,
    keep_served,
    read_served,
    write_shard,
)
from .tokens import Tokenizer
from .topk import TopK, top_k, topk_kl
from .transformer import Classifier, Transformer, keep_layers
from .weights import load, load_gguf, load_safetensors, save, smollm2

__all__ = [
    "ULD",
    "AttentionScores",
    "ByPrompt",
    "Chunked",
    "Classifier",
    "Config",
    "Head",
    "Headless",
    "HiddenStates",
    "LazyLogits",
    "MiniLLM",
    "OnPolicy",
    "OtherTokenizer",
    "Privileged",
    "Problem",
    "SampledReverseKL",
    "SequenceBatches",
    "Spans",
    "Tokenizer",
    "TopK",
    "TopKShards",
    "TopKTeacher",
    "Transformer",
    "add_lora",
    "advantages",
    "arithmetic",
    "chunked",
    "cons_at_k",
    "evaluate_reasoning",
    "extract_answer",
    "finish_shards",
    "generate",
    "k1",
    "k2",
    "k3",
    "keep_layers",
    "keep_served",
    "load",
    "load_gguf",
    "load_lora",
    "load_safetensors",
    "load_word_problems",
    "merge_lora",
    "nucleus",
    "pass_at_k",
    "read_served",
    "rejection_sample",
    "sample",
    "save",
    "save_lora",
    "shift_and_mask",
    "smollm2",
    "span_kl",
    "speculate",
    "top_k",
    "topk_kl",
    "total_variation",
    "uld",
    "unmerge_lora",
    "verify",
    "verify_latex",
    "wilson",
    "write_shard",
]
