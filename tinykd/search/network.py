"""A policy-value network, the loss of its value, and batches of what a search said."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import batch as batches
from ..data.source import Source, as_index, cut
from ..models import frozen
from ..models.call import device_of
from ..objective import Objective, Term
from ..outputs import Outputs
from ..schedules import cosine
from ..softmax import at_least_float32, softmax
from ..training import Trainer
from .dots_and_boxes import DotsAndBoxes
from .games import Played
from .mcts import Evaluate


class PolicyValueNet(nn.Module):
    """One body and two heads: logits of the moves, and v in boxes for the player to move.

    Called like any model it gives the logits (B, edges), -inf for edges that are drawn: masked
    classes. Its layer "value" gives v (B,), and terms find it by that name. Inputs: (B, edges), 1.0
    where an edge is drawn; beside them the body sees how many edges each box has, 0 to 4, one-hot.
    units: of the hidden layers.
    """

    box_edges: Tensor

    def __init__(self, game: DotsAndBoxes, *units: int) -> None:
        super().__init__()
        self.register_buffer("box_edges", torch.from_numpy(game.box_edges), persistent=False)
        sizes, layers = [game.edges + 5 * game.boxes, *units], list[nn.Module]()
        for a, b in zip(sizes[:-1], units, strict=True):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.body, self.policy = nn.Sequential(*layers), nn.Linear(sizes[-1], game.edges)
        self.value = nn.Sequential(nn.Linear(sizes[-1], 1), nn.Flatten(0))

    def forward(self, drawn: Tensor) -> Tensor:
        """Logits of the moves, (B, edges)."""
        return self.both(drawn)[0]

    def both(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, edges) and v (B,)."""
        counts = drawn[:, self.box_edges].sum(-1).long()  # (B, boxes)
        seen = self.body(torch.cat([drawn, F.one_hot(counts, 5).flatten(1).to(drawn)], 1))
        return self.policy(seen).masked_fill(drawn > 0.5, -torch.inf), self.value(seen)


class Value(Term):
    """Squared error of the value: (v - z)**2, with z = batch["outcome"] (B,); in boxes squared.

    One of the two terms of AlphaGo Zero's loss; the other, -sum pi log p, is SoftLabels().
    layer: the student's layer that gives v (B,). Raises ValueError if the shapes differ.
    """

    def __init__(self, layer: str = "value") -> None:
        super().__init__()
        self.layer = layer
        self.student_layers = (layer,)

    def per_position(self, out: Outputs) -> Tensor:
        """The squared error at every position of the board, (B,)."""
        v, z = at_least_float32(out.student_layers[self.layer]), out.batch["outcome"]
        if v.shape != z.shape:
            raise ValueError(f"shapes differ: v {tuple(v.shape)}, outcome {tuple(z.shape)}")
        where = self.valid(out.batch)  # 0 * NaN is NaN
        return (batches.blank(v, where) - batches.blank(z, where)) ** 2

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Whoever has an outcome and is not masked."""
        return batches.valid({key: batch[key] for key in ("outcome", "mask") if key in batch})


class BoardBatches(Source):
    """Batches of positions and what is to be learned of them.

    policy: shares (N, edges), soft targets; or moves (N,), hard ones. outcome: (N,), in boxes, for
    who is to move. Yields {"inputs": (b, edges), "labels": shares (b, edges) or moves (b,),
    "outcome": (b,), "index": (b,)}. Raises ValueError for unlike lengths, or none.
    """

    def __init__(
        self, game: DotsAndBoxes, positions: Any, policy: Any, outcome: Any, size: int = 100,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(seed)
        lengths = len(positions), len(policy), len(outcome)
        if len(set(lengths)) > 1 or not lengths[0]:
            raise ValueError(f"as many positions, policies and outcomes: there are {lengths}")
        policy = torch.as_tensor(np.asarray(policy))
        self.rows = {
            "inputs": torch.from_numpy(game.drawn(positions)).float(),
            "labels": policy.float() if policy.is_floating_point() else policy.long(),
            "outcome": torch.as_tensor(np.asarray(outcome), dtype=torch.float32),
        }
        self.size = size

    def settings(self) -> dict[str, Any]:
        """Seed and sizes."""
        return super().settings() | {"samples": len(self.rows["inputs"]), "size": self.size}

    def groups(self, rng: np.random.Generator) -> list[np.ndarray]:
        """A permutation cut into batches."""
        return cut(rng.permutation(len(self.rows["inputs"])), self.size)

    def batch(self, index: np.ndarray) -> dict[str, Any]:
        """The positions with these numbers."""
        rows = as_index(index)
        return {key: table[rows] for key, table in self.rows.items()} | {"index": rows}


def asked(game: DotsAndBoxes, net: PolicyValueNet) -> Evaluate:
    """A network as the evaluation of a search: P, the softmax of its logits, and its v."""

    def evaluate(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with frozen(net):
            drawn = torch.from_numpy(game.drawn(positions)).float().to(device_of(net))
            logits, v = net.both(drawn)
            return softmax(logits).cpu().numpy(), v.cpu().numpy()

    return evaluate


def learn(
    game: DotsAndBoxes, played: Played, policy: Any, objective: Term | Objective, seed: int,
    units: tuple[int, ...] = (128, 128), epochs: int = 20, rate: float = 3e-3,
) -> PolicyValueNet:  # fmt: skip
    """A new network, trained on what was played: Adam, batches of 100, the rate along a cosine.

    policy: what it is told of the moves, shares (N, edges) or moves (N,).
    """
    torch.manual_seed(seed)
    net = PolicyValueNet(game, *units)
    batches_ = BoardBatches(game, played.positions, policy, played.outcome, seed=seed)
    Trainer(
        net,
        objective,
        optimizer=lambda parameters: torch.optim.Adam(parameters, rate),
        schedule=cosine(1, 0),
        device="cpu",
        progress=False,
    ).fit(batches_, epochs=epochs)
    return net
