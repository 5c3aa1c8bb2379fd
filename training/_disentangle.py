"""Directions that change one score and as little as possible of the others, in a linear model of the scores.

InterFaceGAN's conditional boundaries (section 3.2) hold a few scores still by projection, one at a time and
whatever it costs. Here every other score counts, by how much it would change: of all moves of the same
length, in standard deviations of the latents, the one is taken whose effect on the wanted score is largest
against `tolerance` + the squared effects on the others. It is a Rayleigh quotient, so it is solved exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from training.samples import Samples


@dataclass(frozen=True)
class Model:
    """How scores follow from latents: score = effects @ coordinates, the latents in whitened coordinates."""

    names: list[str]
    effects: Float[Tensor, "scores dim"]  # of a move by one standard deviation along each axis, in its own
    unwhiten: Float[Tensor, "dim dim"]  # from coordinates to latents

    def direction(
        self, score: str, sign: int = 1, still: Sequence[str] = (), tolerance: float = 0.3
    ) -> Float[Tensor, " dim"]:
        """Unit vector in latent space along which `score` grows and the scores of `still` hardly change.

        A small `tolerance` buys purity with effect, a large one gives the direction of the largest effect.
        """
        wanted = sign * self.effects[self.names.index(score)]
        others = self.effects[[self.names.index(name) for name in still if name != score]]
        costs = tolerance * torch.eye(len(wanted), dtype=wanted.dtype) + others.T @ others
        move = self.unwhiten @ torch.linalg.solve(costs, wanted)
        return move / move.norm()

    def predicted(self, direction: Float[Tensor, " dim"]) -> dict[str, float]:
        """Effect of one standard deviation of the latents along the direction on every score."""
        coordinates = torch.linalg.solve(self.unwhiten, direction.to(self.unwhiten))
        effects = self.effects @ (coordinates / coordinates.norm())
        return dict(zip(self.names, effects.tolist(), strict=True))


def fit(samples: Samples) -> Model:
    """Least squares on normalised scores: with whitened latents, their covariance with the scores.

    Samples whose score is unknown are left out of that score's covariance.
    """
    latents = samples.latents.flatten(1).double()
    centred = latents - latents.mean(0)
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(latents))
    deviations = variances.clamp(min=1e-8 * float(variances.max())).sqrt()
    coordinates = centred @ (axes / deviations)
    effects = []
    for score in samples.scores.T:
        known = score.isfinite()
        effects.append(coordinates[known].T @ normalised(score[known]) / max(int(known.sum()), 1))
    return Model(samples.names, torch.stack(effects), axes * deviations)


def normalised(scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Scores as if they were normally distributed, by their ranks: outliers count little."""
    return torch.special.ndtri((scores.argsort().argsort().double() + 0.5) / len(scores))
