"""The challenges of the last lesson: the best student whose file has at most so many bytes.

Opening and running files needs the extra `compress` (pip install 'tinykd[compress]').
"""

from . import judging, memos
from .digits import distorted, pooled_convnet
from .judging import hand_in
from .onnx_answers import answers
from .onnx_file import Refused, inspect
from .sentences import Balance, Int8Vectors, WordConvNet, known_words, misspelt, word_numbers
from .short_names import short_names

__all__ = [
    "Balance",
    "Int8Vectors",
    "Refused",
    "WordConvNet",
    "answers",
    "distorted",
    "hand_in",
    "inspect",
    "judging",
    "known_words",
    "memos",
    "misspelt",
    "pooled_convnet",
    "short_names",
    "word_numbers",
]
