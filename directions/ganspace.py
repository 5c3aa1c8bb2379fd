"""GANSpace: principal components of the latents, or of maps inside (Härkönen et al., NeurIPS 2020)."""

from dataclasses import dataclass
from typing import ClassVar

from backends.generators import Generator
from config import ConfigError
from directions import _components
from directions._maps import map_components
from directions._numbered import Components, Numbered
from directions._statistics import principal, signed

COMPONENTS = 80  # of maps, as in the authors' code


@dataclass
class GANSpace(Numbered):
    """The directions along which W varies most, each on the layers it is best edited on (`ranges`).

    Exact PCA of the mapped samples, where the authors' code needs an incremental one. In the paper strengths
    are standard deviations too, so that its tables of (component, layers, strength) can be used as they are.

    With `maps` it is the feature maps after that layer whose components are taken (the paper's way for other
    GANs than StyleGAN): a component's direction is then the latent that goes with it by least squares. The
    first use computes the maps of 2 * samples latents; the result is kept in the cache folder.
    """

    file: str = ""  # components that others measured (directions/_components.py); "" = measure them here
    samples: int = 10_000  # mapped latents that are analysed; the first ten components then settle
    maps: int = -1  # layer after which feature maps are analysed; -1 = the latents themselves
    label: ClassVar[str] = "GANSpace"

    def components(self, generator: Generator) -> Components:
        if self.file:
            return _components.read(self.file, generator)
        if self.maps >= generator.layers:
            raise ConfigError(f"GANSpace: maps: {self.maps}: layers here are 0-{generator.layers - 1}")
        layers = tuple(self.chosen(generator))
        if self.maps >= 0:
            found = map_components(generator, self.maps, layers, self.samples, COMPONENTS)
            vectors, shares, of = signed(found["vectors"]), found["shares"], "the variance of maps"
        else:
            variances, vectors = principal(generator, layers, self.samples)
            shares, of = variances / variances.sum().clamp(min=1e-30), "the variance"
        return Components(vectors, [f"{share:.2g} % of {of}" for share in (100 * shares).tolist()])
