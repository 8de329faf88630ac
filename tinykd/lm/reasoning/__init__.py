"""Reasoning: problems with answers to verify, sampled solutions, and how many of them are right."""

from ...metrics import wilson
from .answers import extract_answer, verify, verify_latex
from .problems import Problem, arithmetic, load_word_problems
from .samples import evaluate_reasoning, rejection_sample, sample
from .scores import cons_at_k, pass_at_k

__all__ = [
    "Problem",
    "arithmetic",
    "cons_at_k",
    "evaluate_reasoning",
    "extract_answer",
    "load_word_problems",
    "pass_at_k",
    "rejection_sample",
    "sample",
    "verify",
    "verify_latex",
    "wilson",
]
