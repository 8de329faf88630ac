"""Text to numbers and back: tokenizers, the files they come in, and chat templates."""

from .files import read_gguf
from .tokenizer import Tokenizer

__all__ = ["Tokenizer", "read_gguf"]
