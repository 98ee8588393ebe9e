"""Ways from noise to vectors: what a network is asked for on the way, and where the way leads from a place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

#: ``(scaled noisy vectors [B, U, D], what tells the level [B]) -> [B, U, D]``.
Network = Callable[[Tensor, Tensor], Tensor]


class Path(Protocol):
    """From noise at the first level of ``grid`` to vectors at the last; levels [B] are as the path counts them."""

    def levels(self, uniform: Tensor) -> Tensor:
        """The levels of training, from uniform numbers [B] between 0 and 1."""
        ...

    def grid(self, steps: int) -> Tensor:
        """Levels [steps + 1] of a draw, from noise alone to none."""
        ...

    def start(self, noise: Tensor) -> Tensor:
        """Where a draw begins, from standard normal noise [B, U, D]."""
        ...

    def error(self, network: Network, vectors: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """Squared errors [B, U, D] of the network on vectors with noise of the levels."""
        ...

    def middle(self, here: Tensor, there: Tensor) -> Tensor:
        """The level half-way between two."""
        ...

    def asked(self, network: Network, x: Tensor, level: Tensor) -> Tensor:
        """What the network says of x [B, U, D] at a level, []: all that ``move`` needs."""
        ...

    def move(self, x: Tensor, said: Tensor, here: Tensor, there: Tensor) -> Tensor:
        """x moved from one level to another by what the network said."""
        ...


def solve(path: Path, network: Network, noise: Tensor, steps: int) -> Tensor:
    """Follow a path to its end by the midpoint method: [B, U, D]; the network is asked twice a step.

    Where levels are of noise it is DPM-Solver-2 (Lu et al., arXiv 2206.00927, algorithm 1), whose steps may be long: a
    step of Heun's method across most of the noise divides the network's error by the little noise that is left.
    """
    x, grid = path.start(noise), path.grid(steps).to(noise)
    for step in range(steps):
        here, there = grid[step], grid[step + 1]
        middle = path.middle(here, there)
        between = path.move(x, path.asked(network, x, here), here, middle)
        x = path.move(x, path.asked(network, between, middle), here, there)
    return x


@dataclass(frozen=True)
class Variance:
    """Noise is added to vectors of unit variance, with the preconditioning of EDM (Karras et al., arXiv 2206.00364).

    A level is the standard deviation of the noise. Training draws its logarithm from a normal distribution (table 1;
    centred where the noise of vectors decides what they become, higher than of images); draws take the levels of
    equation 5.

    Attributes:
        centre: mean of the logarithm in training.
        spread: its standard deviation.
        least: smallest level of a draw before none.
        most: level at which a draw begins.
        bend: rho of equation 5.
    """

    centre: float = -0.4
    spread: float = 1.2
    least: float = 0.02
    most: float = 10.0
    bend: float = 7.0

    def levels(self, uniform: Tensor) -> Tensor:
        normal = math.sqrt(2) * torch.erfinv((2 * uniform - 1).clamp(-0.9999, 0.9999))
        return (self.centre + self.spread * normal).exp()

    def grid(self, steps: int) -> Tensor:
        ends = self.most ** (1 / self.bend), self.least ** (1 / self.bend)
        return torch.cat([torch.linspace(*ends, steps) ** self.bend, torch.zeros(1)])

    def start(self, noise: Tensor) -> Tensor:
        return self.most * noise

    def error(self, network: Network, vectors: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        level = levels[:, None, None]
        noisy = vectors + level * noise
        # The network's own target, of unit variance: the weight of equation 8 is then one.
        wanted = (vectors - self._skip(level) * noisy) / self._out(level)
        return (self._asked(network, noisy, levels) - wanted).square()

    def middle(self, here: Tensor, there: Tensor) -> Tensor:
        return (0.5 * (here ** (1 / self.bend) + there ** (1 / self.bend))) ** self.bend

    def asked(self, network: Network, x: Tensor, level: Tensor) -> Tensor:
        """The vectors without noise, as far as the network can tell."""
        return self._skip(level) * x + self._out(level) * self._asked(network, x, level.expand(len(x)))

    def move(self, x: Tensor, said: Tensor, here: Tensor, there: Tensor) -> Tensor:
        return said + there / here * (x - said)

    @staticmethod
    def _asked(network: Network, noisy: Tensor, levels: Tensor) -> Tensor:
        return network(noisy / (1 + levels[:, None, None].square()).sqrt(), levels.log() / 4)

    @staticmethod
    def _skip(level: Tensor) -> Tensor:
        return 1 / (1 + level.square())

    @staticmethod
    def _out(level: Tensor) -> Tensor:
        return level / (1 + level.square()).sqrt()


@dataclass(frozen=True)
class Straight:
    """Flow matching on straight lines from noise to vectors (Lipman et al., arXiv 2210.02747; Liu et al., 2209.03003).

    A level is the share of the way. The network says the velocity, which is the vector less the noise; x is scaled to
    unit variance for it. Training draws levels by the sigmoid of a normal distribution, as the middle of the way is the
    hardest (Esser et al., arXiv 2403.03206, equation 19).

    Attributes:
        spread: standard deviation of the logit of training's levels.
    """

    spread: float = 1.4

    def levels(self, uniform: Tensor) -> Tensor:
        normal = math.sqrt(2) * torch.erfinv((2 * uniform - 1).clamp(-0.9999, 0.9999))
        return torch.sigmoid(self.spread * normal)

    def grid(self, steps: int) -> Tensor:
        return torch.linspace(0, 1, steps + 1)

    def start(self, noise: Tensor) -> Tensor:
        return noise

    def error(self, network: Network, vectors: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        level = levels[:, None, None]
        noisy = (1 - level) * noise + level * vectors
        return (self._asked(network, noisy, levels) - (vectors - noise)).square()

    def middle(self, here: Tensor, there: Tensor) -> Tensor:
        return 0.5 * (here + there)

    def asked(self, network: Network, x: Tensor, level: Tensor) -> Tensor:
        """The velocity."""
        return self._asked(network, x, level.expand(len(x)))

    def move(self, x: Tensor, said: Tensor, here: Tensor, there: Tensor) -> Tensor:
        return x + (there - here) * said

    @staticmethod
    def _asked(network: Network, noisy: Tensor, levels: Tensor) -> Tensor:
        level = levels[:, None, None]
        return network(noisy / ((1 - level).square() + level.square()).sqrt(), 4 * levels)
