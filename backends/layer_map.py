"""Which layer of a W+ latent each layer of another generator takes, where two generators share one W space.

MobileStyleGAN was distilled from StyleGAN2 FFHQ at 1024 pixels, on its W space. Its 23 layers work at the
resolutions of StyleGAN2's 18, so each takes the vector that the teacher reads at the same place:

    layer 0, the first convolution                            layer 0 of StyleGAN2
    block i = 0 ... 6: upsampler and first convolution        layer 2i + 1
                       second convolution                     layer 2i + 2
    layer 22, the colours                                     layer 17

StyleGAN2's layers 15 and 16, its convolutions at 1024 pixels, have no counterpart. A latent whose layers are
all the same (one of W) is mapped exactly; for others the student does about what the teacher does.
"""

from jaxtyping import Float
from torch import Tensor

# (layers of the latent, layers of the generator) -> for each layer of the generator, that of the latent
LAYER_MAPS: dict[tuple[int, int], tuple[int, ...]] = {
    (18, 23): (0, *(layer for i in range(7) for layer in (2 * i + 1, 2 * i + 1, 2 * i + 2)), 17),
}


def adapted(latents: Float[Tensor, "n given dim"], layers: int) -> Float[Tensor, "n layers dim"] | None:
    """The latents with `layers` layers; None if it is not known which layer goes where."""
    given = latents.shape[1]
    if given in (1, layers):
        return latents.expand(-1, layers, -1).clone()
    return latents[:, list(LAYER_MAPS[given, layers])] if (given, layers) in LAYER_MAPS else None
