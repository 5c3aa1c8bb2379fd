"""Directions that change one score and as little as possible of the others, in a linear model of the scores.

InterFaceGAN's conditional boundaries (section 3.2) project a few other scores out, at any cost to the effect.
Here every other score counts by how much it would change. Of all moves of one length, in standard deviations
of the latents, this takes the one that maximises effect^2 / (tolerance + sum of the others' effects^2), where
`effect` is that on the wanted score: a Rayleigh quotient, which has a closed form.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from training._samples import Samples


@dataclass(frozen=True)
class Model:
    """How scores follow from latents: score = effects @ coordinates, the latents in whitened coordinates."""

    names: list[str]
    effects: Float[Tensor, "scores dim"]  # std of the score per std of the latents along each axis
    unwhiten: Float[Tensor, "dim dim"]  # from whitened coordinates to latents

    def direction(
        self, score: str, sign: int = 1, still: Sequence[str] = (), tolerance: float = 0.3
    ) -> Float[Tensor, " dim"]:
        """Unit vector in latent space along which `score` grows and the scores of `still` hardly change.

        A small `tolerance` gives a pure direction, a large one the direction with the largest effect.
        """
        wanted = sign * self.effects[self.names.index(score)]
        others = self.effects[[self.names.index(name) for name in still if name != score]]
        costs = tolerance * torch.eye(len(wanted), dtype=wanted.dtype) + others.T @ others
        move = self.unwhiten @ torch.linalg.solve(costs, wanted)
        return move / move.norm()


def fit(samples: Samples) -> Model:
    """Least squares on normalised scores: with whitened latents, their covariance with the scores.

    Samples whose score is unknown are left out of that score's covariance.
    """
    latents = samples.latents.flatten(1).double()
    centred = latents - latents.mean(0)
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(latents))
    stds = variances.clamp(min=1e-8 * float(variances.max())).sqrt()
    coordinates = centred @ (axes / stds)
    effects = []
    for score in samples.scores.T:
        known = score.isfinite()
        effects.append(coordinates[known].T @ normalised(score[known]) / max(int(known.sum()), 1))
    return Model(samples.names, torch.stack(effects), axes * stds)


def normalised(scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The normal quantiles of the scores' ranks, so that outliers count little."""
    return torch.special.ndtri((scores.argsort().argsort().double() + 0.5) / len(scores))
