"""GANSpace: principal components of the latents, or of maps inside (Härkönen et al., NeurIPS 2020)."""

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from backends.generators import Generator
from config import ConfigError
from directions import _components, parse_layers
from directions._maps import map_components
from directions._numbered import Components, Numbered
from directions._statistics import principal, remembered, signed

COMPONENTS = 80  # of maps, as in the authors' code


@dataclass
class GANSpace(Numbered):
    """The directions along which W varies most, each on the layers it is best edited on.

    Exact PCA of the mapped samples, where the authors' code needs an incremental one. In the paper strengths
    are standard deviations too, so that its tables of (component, layers, strength) can be used as they are.

    With `maps` it is the maps after that layer whose components are taken (the paper's way for other GANs
    than StyleGAN): a component's direction is then the latent that goes with it by least squares. The first
    use computes the maps of 2 * samples latents; the result is kept in the cache folder.
    """

    file: str = ""  # components that others measured (directions/_components.py); "" = measure them here
    samples: int = 10_000  # mapped latents that are analysed; the first ten components then settle
    maps: int = -1  # row of the latents after which maps are analysed; -1 = the latents themselves
    ranges: dict[int, str] = field(default_factory=dict)  # component -> its layers, while `layers` is "all"
    label: ClassVar[str] = "GANSpace"

    def components(self, generator: Generator) -> Components:
        if self.file:
            return _components.read(self.file, generator)
        layers = tuple(parse_layers(self.layers, generator.layers, generator.size))
        if self.maps >= 0:
            return self._of_maps(generator, layers)
        variances, vectors = principal(generator, layers, self.samples)
        shares = (100 * variances / variances.sum().clamp(min=1e-30)).tolist()
        return Components(vectors, [f"{share:.2g} % of the variance" for share in shares])

    def _of_maps(self, generator: Generator, layers: tuple[int, ...]) -> Components:
        if self.maps >= generator.layers:
            raise ConfigError(f"GANSpace: maps: {self.maps}: layers here are 0-{generator.layers - 1}")
        vectors, shares = _map_components(generator, self.maps, layers, self.samples)
        notes = [f"{100 * share:.2g} % of the variance of maps" for share in shares.tolist()]
        return Components(signed(vectors), notes)

    def layers_of(self, number: int, generator: Generator) -> list[int]:
        everything = self.layers.strip().lower() in ("all", "")
        layers = self.ranges.get(number, self.layers) if everything else self.layers
        return parse_layers(layers, generator.layers, generator.size)


@remembered
def _map_components(
    generator: Generator, layer: int, layers: tuple[int, ...], samples: int
) -> tuple[Float[Tensor, "k dim"], Float[Tensor, " k"]]:
    found = map_components(generator, layer, list(layers), samples, COMPONENTS)
    return found["vectors"], found["shares"]
