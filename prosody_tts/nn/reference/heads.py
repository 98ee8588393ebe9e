"""From a unit's state to its posterior: a point, or a Gaussian."""

from __future__ import annotations

from torch import Tensor, nn

from prosody_tts.nn.reference.contract import Head, Posterior


class DeterministicHead(Head):
    """A point a unit (CAMP, section 2.2)."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__(width, latent)
        self.mean = nn.Linear(width, latent)

    def forward(self, states: Tensor) -> Posterior:
        return Posterior(self.mean(states), None)


class VariationalHead(Head):
    """A diagonal Gaussian a unit: two linear layers (Kathaka, section 3.1, by way of arXiv 1812.04342)."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__(width, latent)
        self.mean = nn.Linear(width, latent)
        self.log_scale = nn.Linear(width, latent)
        # A small first scale lets the decoder listen to the vector before the KL term quietens it.
        nn.init.zeros_(self.log_scale.weight)
        nn.init.constant_(self.log_scale.bias, -1.0)

    def forward(self, states: Tensor) -> Posterior:
        return Posterior(self.mean(states), self.log_scale(states).clamp(-7, 3).exp())
