"""Quantised vectors, predicted as classes: each unit's codes from its context and the vectors before it."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from prosody_tts.nn.means import ratio
from prosody_tts.nn.priors.contract import Known, Prior, present
from prosody_tts.nn.priors.history import FORGET, History
from prosody_tts.nn.reference import Posterior

#: Vectors on which codes are fitted; more make them no better.
ENOUGH = 50_000


class Codebooks(nn.Module):
    """Residual vector quantisation: each codebook holds the k-means of what those before it left over.

    Until they are fitted codes are standard normal draws. A codebook of fewer distinct vectors than codes has as many
    codes as vectors.

    Shapes: vectors [..., D] <-> codes [..., Q].
    """

    codes: Tensor
    used: Tensor

    def __init__(self, codebooks: int, codes: int, latent: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(codebooks, codes, latent))
        self.register_buffer("used", torch.full((codebooks,), codes))

    def fit(self, vectors: Tensor, seed: int) -> None:
        """Fit all codebooks to vectors [N, D], one after another."""
        from sklearn.cluster import KMeans  # takes a second to load

        left = vectors.double().cpu().numpy()
        left = left[np.random.default_rng(seed).permutation(len(left))[:ENOUGH]]
        self.codes.zero_()
        for book in range(len(self.codes)):
            count = min(self.codes.shape[1], len(np.unique(left, axis=0)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # vectors that differ by rounding count as one
                means = KMeans(count, n_init=1, random_state=seed).fit(left)
            self.used[book] = count
            self.codes[book, :count] = torch.from_numpy(means.cluster_centers_).to(self.codes)
            left = left - means.cluster_centers_[means.labels_]

    def encode(self, vectors: Tensor) -> Tensor:
        """The nearest code of each codebook in turn."""
        found, left = [], vectors
        for book, used in zip(self.codes, self.used.tolist(), strict=True):
            nearest = torch.cdist(left.flatten(0, -2), book[:used]).argmin(1).reshape(left.shape[:-1])
            found.append(nearest)
            left = left - book[nearest]
        return torch.stack(found, dim=-1)

    def sums(self, codes: Tensor) -> Tensor:
        """What stands before each codebook and after the last: vectors [..., Q + 1, D] from codes [..., Q]."""
        each = [book[codes[..., place]] for place, book in enumerate(self.codes)]
        return torch.stack([torch.zeros_like(each[0]), *each], dim=-2).cumsum(-2)


class TokensPrior(Prior):
    """Cross-entropy of codes, in nats a unit; within a unit each codebook's code sees those before it (ours).

    Speech tokens predicted so are what language models of audio predict (AudioLM, arXiv 2209.03143); ours stand for
    prosody vectors, quantised by k-means on the training split before stage two is trained. Where stage one gives
    Gaussians, the codes are those of their draws.

    Temperature divides the logits; 0 takes the likeliest code, one after another. The likelihood is of the codes
    nearest to the vectors, a probability and no density. Vectors that are known are heard by their codes and come back
    as they were; they shape the units after them, and not those before. Dimensions that do not exist count as average.
    """

    likelihood = True
    fixes = "later"

    def __init__(self, context: int, latent: int, recurrent: int, dropout: float, codes: int, codebooks: int) -> None:
        super().__init__()
        self.codebooks = Codebooks(codebooks, codes, latent)
        self.history = History(context, latent, recurrent, dropout, FORGET)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(self.history.width + latent, recurrent),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(recurrent, codes),
            )
            for _ in range(codebooks)
        )

    def prepare(self, vectors: Tensor, seed: int) -> None:
        """Fit the codebooks."""
        self.codebooks.fit(vectors, seed)

    def logits(self, states: Tensor, book: int, before: Tensor) -> Tensor:
        """Logits of a codebook [..., K] from a unit's state and the sum of its codes so far [..., D]."""
        found = self.heads[book](torch.cat([states, before], dim=-1))
        unused = torch.arange(found.shape[-1], device=found.device) >= self.codebooks.used[book]
        return found.masked_fill(unused, -torch.inf)

    def loss(
        self, context: Tensor, posterior: Posterior, mask: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        vectors = posterior.sample(generator)
        mask = present(mask, posterior.exists)
        return -ratio(self._nats(context, vectors, mask, posterior.exists).sum(), mask.sum())

    def _nats(self, context: Tensor, vectors: Tensor, mask: Tensor, exists: Tensor | None) -> Tensor:
        """Log-probability of each unit's codes given those before them: [B, U], zero outside the mask."""
        codes = self.codebooks.encode(vectors if exists is None else vectors * exists)
        sums = self.codebooks.sums(codes)
        states = self.history(context, sums[:, :, -1] * mask[:, :, None])
        nats = torch.zeros_like(states[:, :, 0])
        for book in range(codes.shape[2]):
            logits = self.logits(states, book, sums[:, :, book])
            nats = nats + logits.log_softmax(2).gather(2, codes[:, :, book, None])[:, :, 0]
        return torch.where(mask, nats, 0.0)

    def sample(
        self,
        context: Tensor,
        mask: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        known: Known | None = None,
    ) -> Tensor:
        heard = None
        if known is not None:
            heard = Known(self.codebooks.sums(self.codebooks.encode(known.values))[:, :, -1], known.where)

        def say(state: Tensor, unit: int) -> Tensor:
            return self._draw(state, temperature, generator)

        found = self.history.unroll(context, self.codebooks.codes.shape[2], say, heard)
        return (found if known is None else known.put(found)) * mask[:, :, None]

    def _draw(self, states: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """A vector [B, 1, D] from a unit's state [B, 1, width], code by code."""
        vector = states.new_zeros(*states.shape[:2], self.codebooks.codes.shape[2])
        for book, codes in enumerate(self.codebooks.codes):
            logits = self.logits(states, book, vector)
            if temperature == 0:
                chosen = logits.argmax(2)
            else:
                chances = (logits / temperature).softmax(2).flatten(0, 1)
                chosen = torch.multinomial(chances, 1, generator=generator).reshape(logits.shape[:2])
            vector = vector + codes[chosen]
        return vector

    def log_likelihood(self, context: Tensor, vectors: Tensor, mask: Tensor, exists: Tensor | None = None) -> Tensor:
        return self._nats(context, vectors, present(mask, exists), exists).sum(1)
