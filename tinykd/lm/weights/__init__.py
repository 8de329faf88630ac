"""Weights from elsewhere (GGUF, the Hub's safetensors) and our own files (safetensors).

Llama 1 to 3, Qwen2 and Qwen3 are read, whole: every tensor and every setting of a file is used, or
known to have no say in what the model computes, or the file is refused by its name.
"""

from .gguf import load_gguf, smollm2, smollm2_file
from .hub import load_safetensors
from .own import load, save

__all__ = ["load", "load_gguf", "load_safetensors", "save", "smollm2", "smollm2_file"]
