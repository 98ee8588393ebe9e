"""Priors: how prosody vectors are predicted from context, one contract and one registry.

Contract, for context [B, U, C], vectors [B, U, D] and mask [B, U]:
``loss(context, posterior, mask) -> scalar``;
``sample(context, mask, temperature, generator) -> [B, U, D]``, where a temperature of 0 is the mean.
The loss leaves out what ``posterior.exists`` says is not there; a sample's values there mean nothing.
"""

from __future__ import annotations

from prosody_tts.nn.priors.autoregressive import AutoregressivePrior
from prosody_tts.nn.priors.gaussian import GaussianPrior

PRIORS: dict[str, type[GaussianPrior] | type[AutoregressivePrior]] = {
    "gaussian": GaussianPrior,
    "autoregressive": AutoregressivePrior,
}
__all__ = ["PRIORS", "AutoregressivePrior", "GaussianPrior"]
