"""MobileStyleGAN stage by stage in plain torch: what `separable.py` overrides with compiled loops.

Stage 0 is the first convolution, stage i + 1 block i. The last block and the head together make the picture.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.networks.mobilestylegan import Synthesis, inverse_haar


class Plain:
    """Computes the stages of one picture; the form of what passes between them is a subclass's own affair."""

    def __init__(self, synthesis: Synthesis) -> None:
        self.synthesis = synthesis

    def block(self, index: int, x: Any, latent: Float[Tensor, "3 dim"], aside: bool = False) -> Any:
        """Stage index + 1, not the last.

        The result is valid until the same block is computed again with the same `aside`.
        """
        block: Any = self.synthesis.blocks[index]
        up, first, second = latent[:, None]
        x = block.raised(x, up).contiguous(memory_format=torch.channels_last)
        return block.conv2(block.conv1(x, first), second)

    def picture(self, x: Any, latent: Float[Tensor, "4 dim"], preview: bool) -> Images:
        """The last stage and the head; a preview has half the side, each pixel the mean of four."""
        x = self.block(len(self.synthesis.blocks) - 1, x, latent[:3])
        bands = self.synthesis.head(x, latent[3:])
        return (bands[:, :3] / 2 if preview else inverse_haar(bands)).contiguous()

    def to_maps(self, x: Any, stage: int) -> Float[Tensor, "1 channels side side"]:
        """Feature maps of what `stage` returned; a copy, if that may be written to again."""
        return x

    def from_maps(self, maps: Float[Tensor, "1 channels side side"], stage: int) -> Any:
        """What `stage` would have returned."""
        return maps.contiguous(memory_format=torch.channels_last)

    def read(
        self, x: Any, stage: int, matrix: Float[Tensor, "outputs channels"]
    ) -> Float[Tensor, "1 outputs side side"]:
        """`matrix` times the maps that `stage` returned."""
        return torch.einsum("nchw,oc->nohw", self.to_maps(x, stage), matrix)
