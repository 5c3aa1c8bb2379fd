"""GANSpace: principal components of the latents (Härkönen et al., NeurIPS 2020)."""

from dataclasses import dataclass, field
from typing import ClassVar

from backends.generators import Generator
from directions import _components, parse_layers
from directions._numbered import Components, Numbered
from directions._statistics import principal


@dataclass
class GANSpace(Numbered):
    """The directions along which W varies most, each on the layers it is best edited on.

    Exact PCA of the mapped samples, where the authors' code needs an incremental one. In the paper strengths
    are standard deviations too, so that its tables of (component, layers, strength) can be used as they are.
    """

    file: str = ""  # components that others measured (directions/_components.py); "" = measure them here
    samples: int = 10_000  # mapped latents that are analysed; the first ten components then settle
    ranges: dict[int, str] = field(default_factory=dict)  # component -> its layers, while `layers` is "all"
    label: ClassVar[str] = "GANSpace"

    def components(self, generator: Generator) -> Components:
        if self.file:
            return _components.read(self.file, generator)
        layers = tuple(parse_layers(self.layers, generator.layers, generator.size))
        variances, vectors = principal(generator, layers, self.samples)
        shares = (100 * variances / variances.sum().clamp(min=1e-30)).tolist()
        return Components(vectors, [f"{share:.2g} % of the variance" for share in shares])

    def layers_of(self, number: int, generator: Generator) -> list[int]:
        everything = self.layers.strip().lower() in ("all", "")
        layers = self.ranges.get(number, self.layers) if everything else self.layers
        return parse_layers(layers, generator.layers, generator.size)
