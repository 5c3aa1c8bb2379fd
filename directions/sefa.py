"""SeFa: the directions that change a generator's styles most, from its weights (Shen and Zhou, CVPR 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from backends.generators import Generator
from directions import _components
from directions._cache import remembered
from directions._numbered import Components, Numbered
from directions._statistics import signed


@dataclass
class SeFa(Numbered):
    """Top eigenvectors of A Aᵀ, where A holds the affine weights of the chosen layers as columns (eq. 5).

    As in the authors' code every column has unit length (each style counts the same), biases are left out,
    and the layers that are analysed are those that are edited. Unlike there, the solver is symmetric, the
    eigenvalues descend, and signs are fixed: the largest entry of every vector is positive.

    A *gain direction* multiplies all styles by nearly the same factor: its response Aᵀv is parallel to the
    styles Aᵀm of the mean latent m. Its eigenvalue is by far the largest, it has no meaning, and it only
    fades or destroys the picture. The squared cosines of the responses with Aᵀm sum to 1 over all
    directions; one that alone holds more than `gain` of it is left out, and "SeFa 1" is the first of those
    that remain. The numbers depend on `layers`, `normalize` and `gain`, never on `count`.
    """

    file: str = ""  # rosinality's factor.pt, instead of factors of the generator's own weights
    normalize: bool = True  # scale every column of A to unit length
    gain: float = 0.5  # share of the mean styles above which a direction is left out; 1 keeps all
    label: ClassVar[str] = "SeFa"

    def components(self, generator: Generator) -> Components:
        if self.file:
            return _components.read(self.file, generator)
        eigenvalues, vectors = self.factors(generator)
        return Components(vectors, [f"eigenvalue {value:.3g}" for value in eigenvalues.tolist()])

    def factors(self, generator: Generator) -> tuple[Float[Tensor, " k"], Float[Tensor, "k dim"]]:
        """Eigenvalues, descending, and orthonormal eigenvectors, without the gain directions."""
        return _factors(generator, tuple(self.chosen(generator)), self.normalize, self.gain)


@remembered
@torch.no_grad()
def _factors(
    generator: Generator, layers: tuple[int, ...], normalize: bool, gain: float
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k dim"]]:
    """The eigendecomposition, in double precision so that all machines agree on it."""
    affines = generator.affines()
    gram = torch.zeros(generator.dim, generator.dim, dtype=torch.float64, device=affines[0].device)
    for layer in layers:
        affine = affines[layer].double()  # (styles, dim): its rows are the columns of A
        affine = functional.normalize(affine, dim=1) if normalize else affine
        gram += affine.T @ affine
    eigenvalues, columns = torch.linalg.eigh(gram)
    eigenvalues, vectors = eigenvalues.flip(0).clamp(min=0), signed(columns.T.flip(0))
    mean = generator.mean()[0, list(layers)].mean(0).to(gram)
    # (v.A A^T m)^2 / (|A^T v|^2 |A^T m|^2), where A A^T v is the eigenvalue times v; sums to 1 over all v
    shares = eigenvalues * (vectors @ mean) ** 2 / (mean @ gram @ mean).clamp(min=1e-30)
    kept = shares <= gain
    return eigenvalues[kept].float(), vectors[kept].float()
