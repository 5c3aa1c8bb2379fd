"""What changes the picture most (Wang and Ponce, ICLR 2021), or a region (LowRankGAN, NeurIPS 2021)."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from backends.generators import Generator
from directions._derivatives import basis, pictures_along
from directions._numbered import Components, Numbered
from directions._statistics import signed


@dataclass
class Jacobian(Numbered):
    """Top eigenvectors of JᵀJ, where J is the derivative of the picture with respect to the latent.

    JᵀJ is the metric that the picture induces on the latent space: half the Hessian of the squared distance
    (Wang and Ponce, here of pixels instead of deep features), averaged over `seeds`. J is measured by central
    differences along the first principal components of W, where trained generators have nearly all of their
    variance: along the others pictures soon stop being any.

    With a `region` the eigenvectors are those of the region's pixels, within the null space of the others'
    (Zhu et al., LowRankGAN): directions that change the region and little else. The null space is that of the
    `rank` strongest eigenvectors of the rest; where the paper projects each direction onto it afterwards,
    here the problem is solved inside it.

    The first use renders 2 * basis * max(1, len(seeds)) previews; the result is kept in the cache folder.
    """

    region: list[float] = field(default_factory=list)  # left, top, right, bottom, 0-1; empty: whole picture
    rank: int = 20  # strongest changes of the rest of the picture that are ruled out
    seeds: list[int] = field(default_factory=list)  # latents at which J is measured; empty: the mean
    basis: int = 64  # principal components that are tried
    pixels: int = 64  # side of the pictures that are compared
    label: ClassVar[str] = "Jacobian"

    def __post_init__(self) -> None:
        box = self.region
        if box and (len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1)):
            raise ValueError("region: expected left, top, right, bottom, 0-1, as in [0.3, 0.6, 0.7, 0.8]")

    def components(self, generator: Generator) -> Components:
        basis, inside, outside = self._metrics(generator)
        allowed = torch.eye(len(basis), dtype=inside.dtype, device=inside.device)
        if self.region:  # columns: an orthonormal basis of the null space, weakest changes first
            allowed = torch.linalg.eigh(outside).eigenvectors[:, : max(len(basis) - self.rank, 1)]
        columns = allowed @ torch.linalg.eigh(allowed.T @ inside @ allowed).eigenvectors.flip(1)
        change, rest = (torch.einsum("ik,ij,jk->k", columns, m, columns) for m in (inside, outside))
        shares = (100 * change / (change + rest).clamp(min=1e-30)).tolist()
        if self.region:
            notes = [f"{share:.0f} % of the change in the region" for share in shares]
        else:
            notes = [f"eigenvalue {value:.2g}" for value in change.tolist()]
        return Components(signed(columns.T.to(basis) @ basis), notes)

    def _metrics(
        self, generator: Generator
    ) -> tuple[Float[Tensor, "k dim"], Float[Tensor, "k k"], Float[Tensor, "k k"]]:
        """Principal components, and JᵀJ along them: of the region's pixels, and of all others."""
        layers, pixels = tuple(self.chosen(generator)), self.pixels
        stds, vectors = basis(generator, layers, self.basis)
        J = pictures_along(generator, layers, tuple(self.seeds), len(stds), pixels)["jacobian"].double()
        J = J / stds.to(J)[None, :, None, None, None]  # from a standard deviation to a unit of length
        left, top, right, bottom = (round(pixels * edge) for edge in (self.region or (0, 0, 1, 1)))
        mask = torch.zeros(pixels, pixels, dtype=torch.bool, device=J.device)
        mask[top : max(bottom, top + 1), left : max(right, left + 1)] = True
        parts = [J[..., chosen].flatten(2) for chosen in (mask, ~mask)]  # (points, k, 3 * number of pixels)
        inside, outside = (torch.einsum("pia,pja->ij", part, part) / len(J) for part in parts)
        return vectors, inside, outside
