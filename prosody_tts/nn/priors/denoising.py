"""Diffusion and flow matching: vectors of a whole sentence, drawn by taking noise away in a few steps."""

from __future__ import annotations

import torch
from torch import Tensor

from prosody_tts.nn.means import ratio
from prosody_tts.nn.priors.contract import Known, Prior, drawn, normal
from prosody_tts.nn.priors.denoiser import Denoiser
from prosody_tts.nn.priors.paths import Path, Straight, Variance, solve
from prosody_tts.nn.reference import Posterior

#: Noise levels at which a training step hears each sentence: its context is made once, and the loss is steadier (ours).
LEVELS = 4
#: Share of the sentences of which training gives some units (ours).
GIVEN = 0.3


class DenoisingPrior(Prior):
    """Draws the vectors of all units together, given context and any units that are known.

    Training gives a random part of the units of some sentences as they are, so that a draw can be given any: the others
    are then drawn by what was learned of them, wherever they stand. Temperature scales the noise a draw begins with,
    which is all that is random in it; 0 begins at the noise's centre. ``steps`` is how many steps a draw has.

    Where stage one gives Gaussians, training hears draws of them. Dimensions that do not exist are noise, which no loss
    asks for.
    """

    def __init__(self, denoiser: Denoiser, path: Path) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.path = path

    def loss(
        self, context: Tensor, posterior: Posterior, mask: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        vectors = torch.cat([drawn(posterior, generator) for _ in range(LEVELS)])
        rows, there = len(mask), mask[:, :, None].expand_as(posterior.mean)
        if posterior.exists is not None:
            there = there & posterior.exists
        context, mask, there = (x.repeat(LEVELS, *(1,) * (x.ndim - 1)) for x in (context, mask, there))
        known = self._given(vectors, mask, there)
        # The levels of a sentence are drawn from as many parts of their distribution.
        part = torch.arange(LEVELS, device=vectors.device).repeat_interleave(rows)
        uniform = torch.rand(len(vectors), generator=generator, device=vectors.device)
        levels = self.path.levels((part + uniform) / LEVELS).to(vectors.dtype)

        def network(noisy: Tensor, level: Tensor) -> Tensor:
            return self.denoiser(noisy, level, context, mask, known)  # type: ignore[no-any-return]

        error = self.path.error(network, vectors, normal(vectors, generator), levels)
        wanted = there & ~known.where[:, :, None]
        return ratio(torch.where(wanted, error, 0.0).sum(), wanted.sum())

    def _given(self, vectors: Tensor, mask: Tensor, there: Tensor) -> Known:
        """In training, units that are given; of each chosen sentence a share of its own."""
        nothing = Known(vectors * there, torch.zeros_like(mask))
        if not self.training:
            return nothing
        share = torch.rand(len(mask), 1, device=mask.device)
        chosen = torch.rand(len(mask), 1, device=mask.device) < GIVEN
        return Known(nothing.values, mask & chosen & (torch.rand(mask.shape, device=mask.device) < share))

    def sample(
        self,
        context: Tensor,
        mask: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        known: Known | None = None,
    ) -> Tensor:
        noise = temperature * normal(context.new_empty(*mask.shape, self.denoiser.latent), generator)
        given = Known(torch.zeros_like(noise), torch.zeros_like(mask)) if known is None else known

        def network(noisy: Tensor, level: Tensor) -> Tensor:
            return self.denoiser(noisy, level, context, mask, given)  # type: ignore[no-any-return]

        return given.put(solve(self.path, network, noise, self.steps)) * mask[:, :, None]


class DiffusionPrior(DenoisingPrior):
    """Diffusion with EDM's preconditioning and sampler (Karras et al., arXiv 2206.00364)."""

    def __init__(self, context: int, latent: int, recurrent: int, denoiser_layers: int) -> None:
        super().__init__(Denoiser(context, latent, recurrent, denoiser_layers), Variance())


class FlowMatchingPrior(DenoisingPrior):
    """Conditional flow matching on straight lines (Lipman et al., arXiv 2210.02747)."""

    def __init__(self, context: int, latent: int, recurrent: int, denoiser_layers: int) -> None:
        super().__init__(Denoiser(context, latent, recurrent, denoiser_layers), Straight())
