"""Language models: a transformer from scratch, and all it takes to distil one into another."""

from .batches import SequenceBatches, shift_and_mask
from .generate import generate, nucleus
from .lora import add_lora, load_lora, merge_lora, save_lora, unmerge_lora
from .tokenizer import Tokenizer
from .transformer import Classifier, Config, Transformer, keep_layers
from .weights import load, load_gguf, load_safetensors, save, smollm2

__all__ = [
    "Classifier",
    "Config",
    "SequenceBatches",
    "Tokenizer",
    "Transformer",
    "add_lora",
    "generate",
    "keep_layers",
    "load",
    "load_gguf",
    "load_lora",
    "load_safetensors",
    "merge_lora",
    "nucleus",
    "save",
    "save_lora",
    "shift_and_mask",
    "smollm2",
    "unmerge_lora",
]
