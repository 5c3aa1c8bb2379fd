"""MobileStyleGAN for the screen: without gradients, and nothing is computed twice.

The network is cut into stages, one for the first convolution and one a block. A slider that moves only some
rows of the latent leaves the stages before them as they are, so their last outputs are kept.
"""

import copy
import logging
import threading
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from backends.networks.mobilestylegan import SLOPE, Block, SeparableConvolution, Synthesis, inverse_haar

log = logging.getLogger(__name__)


class Stages(ABC):
    """A way to compute the synthesis network stage by stage; what passes between stages is its own affair."""

    @abstractmethod
    def first(self, w: Float[Tensor, " dim"]) -> Any:
        """Stage 0: the convolution of the constant."""

    @abstractmethod
    def block(self, index: int, x: Any, rows: Float[Tensor, "3 dim"]) -> Any:
        """Stage index + 1: block `index`, not the last. Valid until the same block is computed again."""

    @abstractmethod
    def picture(self, x: Any, rows: Float[Tensor, "4 dim"], preview: bool) -> Float[Tensor, "1 3 size size"]:
        """The last block and the head, of the output of the block before."""


class Folded(Stages):
    """Plain torch: modulation folded into the depthwise weights, channels last, any floating type."""

    def __init__(self, synthesis: Synthesis, dtype: torch.dtype) -> None:
        self.synthesis, self.dtype = synthesis, dtype

    def first(self, w: Float[Tensor, " dim"]) -> Tensor:
        x = self.synthesis.first(w[None])
        return x.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def block(self, index: int, x: Tensor, rows: Float[Tensor, "3 dim"]) -> Tensor:
        block: Block = self.synthesis.blocks[index]  # type: ignore[assignment]
        x = inverse_haar(x * block.up(rows[0]).to(x.dtype)[:, None, None])
        x = x.contiguous(memory_format=torch.channels_last)
        return self._convolve(block.conv2, self._convolve(block.conv1, x, rows[1]), rows[2])

    def picture(
        self, x: Tensor, rows: Float[Tensor, "4 dim"], preview: bool
    ) -> Float[Tensor, "1 3 size size"]:
        head = self.synthesis.head
        bands = 3 if preview else 12  # half the low band is the mean of each 2x2 square
        weight = (head.weight * head.modulation(rows[3])[:, None, None])[:bands]
        x = self.block(len(self.synthesis.blocks) - 1, x, rows[:3])
        x = functional.conv2d(x, weight.to(x.dtype), head.bias[:bands].to(x.dtype)).float()
        return (x / 2).contiguous() if preview else inverse_haar(x.contiguous())

    @staticmethod
    def _convolve(layer: SeparableConvolution, x: Tensor, w: Float[Tensor, " dim"]) -> Tensor:
        depthwise = layer.depthwise * layer.modulation(w)[:, None, None, None]
        x = functional.conv2d(x, depthwise.to(x.dtype), padding=1, groups=x.shape[1])
        x = functional.conv2d(x, layer.pointwise.to(x.dtype), layer.bias.to(x.dtype))
        return functional.leaky_relu_(x.add_(layer.noise.to(x.dtype)), SLOPE)


def has_bfloat16() -> bool:
    """Whether the processor computes in bf16 itself; otherwise it is slower than fp32."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


class FastSynthesis:
    """Renders one latent at a time. Weights are packed at the first picture, later changes to them ignored.

    `compiled` chooses between the compiled kernels and plain torch, `dtype` the latter's arithmetic; None
    takes the fastest that is there. The outputs of all stages of the last latent are kept, 60 MB at 1024
    pixels.
    """

    def __init__(
        self, synthesis: Synthesis, compiled: bool | None = None, dtype: torch.dtype | None = None
    ) -> None:
        self.synthesis, self.compiled, self.dtype = synthesis, compiled, dtype
        self._lock = threading.Lock()
        self._stages: Stages | None = None
        self._latent: Tensor | None = None  # what the outputs were made from
        self._outputs: list[Any] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "FastSynthesis":
        """For a copy of the network, whose weights may then be changed."""
        return FastSynthesis(copy.deepcopy(self.synthesis, memo), self.compiled, self.dtype)

    @torch.no_grad()
    def __call__(
        self, latents: Float[Tensor, "n layers dim"], preview: bool = False
    ) -> Float[Tensor, "n 3 size size"]:
        """Pictures; previews have half the side, each pixel the mean of the four that it stands for."""
        with self._lock:
            return torch.cat([self._render(latent.float(), preview) for latent in latents])

    def _render(self, latent: Float[Tensor, "layers dim"], preview: bool) -> Float[Tensor, "1 3 size size"]:
        if self._stages is None:
            self._stages = self._chosen()
        stages, latent = self._stages, latent.detach().clone()
        last = len(self.synthesis.blocks) - 1
        del self._outputs[self._unchanged(latent) :]  # first, so that a failure leaves nothing wrong behind
        self._latent = latent
        for stage in range(len(self._outputs), last + 1):
            output = (
                stages.block(stage - 1, self._outputs[-1], latent[3 * stage - 2 : 3 * stage + 1])
                if stage
                else stages.first(latent[0])
            )
            self._outputs.append(output)
        return stages.picture(self._outputs[-1], latent[-4:], preview)

    def _unchanged(self, latent: Float[Tensor, "layers dim"]) -> int:
        """How many stages read only rows that are as they were."""
        if self._latent is None:
            return 0
        same = [*(latent == self._latent).all(1).tolist(), False]
        return (same.index(False) + 2) // 3  # stage s > 0 reads rows 3s - 2 ... 3s

    def _chosen(self) -> Stages:
        compiled = _compiled(self.synthesis) if self.compiled in (None, True) else None
        if compiled:
            return compiled
        if self.compiled:
            raise RuntimeError("compiled kernels need the package numba and channels in multiples of 64")
        return Folded(self.synthesis, self.dtype or (torch.bfloat16 if has_bfloat16() else torch.float32))


def _compiled(synthesis: Synthesis) -> Stages | None:
    """The compiled stages, if this machine can have them."""
    try:  # numba is optional, and takes a second to import
        from backends.networks import _mobilestylegan_compiled as kernels
    except ImportError:
        log.info(
            "pictures are computed by plain torch; with the package numba they come several times faster"
        )
        return None
    return kernels.Compiled(synthesis) if kernels.supports(synthesis) else None
