"""Data sets, batches of them, and what is done to a batch on its way."""

from .augment import disturb, jitter, mixed, mixup
from .batches import Batches
from .cues import Noise, pasted, thicker, thinner
from .described import all_sentences, attributes, bag_of_words, sentence, shadows
from .generator import ClassGaussians
from .locate import data_file
from .mnist import load_mnist
from .mnist1d import load_mnist1d
from .sentences import SentenceBatches, load_sentences, three_classes
from .source import Source
from .strokes import strokes
from .timed import Timed

__all__ = [
    "Batches",
    "ClassGaussians",
    "Noise",
    "SentenceBatches",
    "Source",
    "Timed",
    "all_sentences",
    "attributes",
    "bag_of_words",
    "data_file",
    "disturb",
    "jitter",
    "load_mnist",
    "load_mnist1d",
    "load_sentences",
    "mixed",
    "mixup",
    "pasted",
    "sentence",
    "shadows",
    "strokes",
    "thicker",
    "thinner",
    "three_classes",
]
