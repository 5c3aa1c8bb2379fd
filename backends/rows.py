"""Which row of a W+ code each layer of another generator takes, where two generators share one W space.

MobileStyleGAN was distilled from StyleGAN2 FFHQ at 1024 pixels, on its W space. Its 23 layers work at the
resolutions of StyleGAN2's 18, so each takes the row that the teacher reads at the same place:

    layer 0, the first convolution                            row 0
    block i = 0 ... 6: upsampler and first convolution        row 2i + 1
                       second convolution                     row 2i + 2
    layer 22, the colours                                     row 17

Rows 15 and 16, the teacher's convolutions at 1024 pixels, have no counterpart. A code whose rows are all the
same is mapped exactly; of others, what the student does with a row is only about what the teacher does.
"""

from jaxtyping import Float
from torch import Tensor

# (rows of the code, layers of the generator) -> for each layer, the row of the code that it takes
ROW_MAPS: dict[tuple[int, int], tuple[int, ...]] = {
    (18, 23): (0, *(row for i in range(7) for row in (2 * i + 1, 2 * i + 1, 2 * i + 2)), 17),
}


def adapted(latents: Float[Tensor, "n rows dim"], layers: int) -> Float[Tensor, "n layers dim"] | None:
    """The code with a row per layer; None if there is no way to tell which goes where."""
    rows = latents.shape[1]
    if rows in (1, layers):
        return latents.expand(-1, layers, -1).clone()
    return latents[:, list(ROW_MAPS[rows, layers])] if (rows, layers) in ROW_MAPS else None
