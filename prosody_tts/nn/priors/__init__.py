"""Priors: how prosody vectors are predicted from context, one contract (``contract.Prior``) and one registry.

For context [B, U, C], vectors [B, U, D] and mask [B, U] every prior has

``loss(context, posterior, mask, generator) -> scalar``;
``sample(context, mask, temperature, generator, known) -> [B, U, D]``, where a temperature of 0 draws nothing;
``log_likelihood(context, vectors, mask, exists) -> [B]`` nats in the normalised scale, where ``likelihood`` says so.

The loss leaves out what ``posterior.exists`` says is not there; a sample's values there mean nothing. All model the
*sequence* of a sentence's units but ``gaussian`` of rank 0 (Kathaka's), whose units are independent given the text.
``fixes`` says which units hear those that are ``known``, and ``watched`` by what the best epoch is known.

prior             likelihood             known units shape                    best epoch by
gaussian          exact                  none at rank 0, else all (exact)     error at temperature 0
autoregressive    exact of its draws     the units after them                 error at temperature 0
flow              exact                  the units after them                 loss
diffusion         none                   all (learned)                        loss
flow_matching     none                   all (learned)                        loss
tokens            of the nearest codes   the units after them                 loss
"""

from __future__ import annotations

from prosody_tts.nn.priors.autoregressive import AutoregressivePrior
from prosody_tts.nn.priors.contract import Known, Prior
from prosody_tts.nn.priors.denoising import DiffusionPrior, FlowMatchingPrior
from prosody_tts.nn.priors.flow import FlowPrior
from prosody_tts.nn.priors.gaussian import GaussianPrior
from prosody_tts.nn.priors.tokens import TokensPrior

PRIORS: dict[str, type[Prior]] = {
    "gaussian": GaussianPrior,
    "autoregressive": AutoregressivePrior,
    "flow": FlowPrior,
    "diffusion": DiffusionPrior,
    "flow_matching": FlowMatchingPrior,
    "tokens": TokensPrior,
}
__all__ = [
    "PRIORS",
    "AutoregressivePrior",
    "DiffusionPrior",
    "FlowMatchingPrior",
    "FlowPrior",
    "GaussianPrior",
    "Known",
    "Prior",
    "TokensPrior",
]
