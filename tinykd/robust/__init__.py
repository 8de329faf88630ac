"""Attacks on a classifier, and training against them."""

from .adversarial import Adversarial
from .attacks import fgsm, into_ball, margin, pgd, random_search, withstands

__all__ = ["Adversarial", "fgsm", "into_ball", "margin", "pgd", "random_search", "withstands"]
