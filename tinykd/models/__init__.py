"""Models small enough to read, and how to ask any model."""

from .call import forward, frozen, predict
from .convnet import ConvNet, ResNet
from .mlp import MLP, max_norm
from .mobilenet import MobileNet

__all__ = [
    "MLP",
    "ConvNet",
    "MobileNet",
    "ResNet",
    "forward",
    "frozen",
    "max_norm",
    "predict",
]
