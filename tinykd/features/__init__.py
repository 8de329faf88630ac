"""What layers hold: losses on activations, terms of them, and how alike two layers are."""

from .losses import (
    attention_map,
    attention_transfer,
    contrastive,
    hint,
    jacobian,
    neuron_selectivity,
    relational_angles,
    relational_distances,
    similarity_preserving,
)
from .representations import cka, linear_probe
from .terms import Hint, Jacobian, input_gradient

__all__ = [
    "Hint",
    "Jacobian",
    "attention_map",
    "attention_transfer",
    "cka",
    "contrastive",
    "hint",
    "input_gradient",
    "jacobian",
    "linear_probe",
    "neuron_selectivity",
    "relational_angles",
    "relational_distances",
    "similarity_preserving",
]
