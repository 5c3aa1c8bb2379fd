"""MobileStyleGAN for the screen: without gradients, and nothing is computed twice.

The network is a chain of stages, one for the first convolution and one a block. A slider that moves only some
layers of the latent leaves the stages before them as they are, so the last output of each is kept.
"""

import copy
import threading
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Cut, Images, kernels
from backends.kernels.separable_reference import Plain
from backends.networks.kept import Kept
from backends.networks.mobilestylegan import Synthesis

Latent = Float[Tensor, "layers dim"]


class FastSynthesis:
    """Computes one latent at a time, of the network's present weights.

    `compiled` chooses between the compiled kernels and plain torch; None takes the fastest that is there. The
    outputs of all stages of the last latent are kept, 60 MB at 1024 pixels.
    """

    def __init__(self, synthesis: Synthesis, compiled: bool | None = None) -> None:
        self.synthesis, self.compiled = synthesis, compiled
        self._lock = threading.Lock()
        self._chain = Kept()

    def __deepcopy__(self, memo: dict[int, Any]) -> "FastSynthesis":
        return FastSynthesis(copy.deepcopy(self.synthesis, memo), self.compiled)

    @torch.no_grad()
    def __call__(self, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """Pictures; previews have half the side, each pixel the mean of the four that it stands for."""
        with self._lock:
            chain = self.chain()
            return torch.cat([chain.picture(latent.float(), preview) for latent in latents])

    @torch.no_grad()
    def cut(self, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """As `Synthesis.cut`."""
        with self._lock:
            chain = self.chain()
            return Cut(layer, torch.cat([chain.cut(latent.float(), layer) for latent in latents]))

    @torch.no_grad()
    def resume(self, cut: Cut, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """As `Synthesis.resume`. Computes the stages behind the cut, and keeps none of them."""
        with self._lock:
            chain = self.chain()
            pairs = zip(cut.maps.split(1), latents.float(), strict=True)
            return torch.cat([chain.resume(Cut(cut.layer, maps), w, preview) for maps, w in pairs])

    @torch.no_grad()
    def read(
        self, latents: Float[Tensor, "n layers dim"], layer: int, matrix: Float[Tensor, "outputs channels"]
    ) -> Float[Tensor, "n outputs side side"]:
        """As `Generator.read`."""
        with self._lock:
            chain = self.chain()
            return torch.cat([chain.read(latent.float(), layer, matrix) for latent in latents])

    def chain(self) -> "Chain":
        """Of the weights as they are now."""
        return self._chain.get(self.synthesis.parameters(), lambda: Chain(self.synthesis, self._stages()))

    def _stages(self) -> Plain:
        separable = None if self.compiled is False else kernels.compiled("separable")
        if separable and separable.supports(self.synthesis):
            return separable.Compiled(self.synthesis)
        if self.compiled:
            raise RuntimeError("compiled kernels need the package numba and channels in multiples of 64")
        return Plain(self.synthesis)


class Chain:
    """The stages, and what they last returned. Stage 0 reads layer 0; stage s layers 3s - 2 to 3s."""

    def __init__(self, synthesis: Synthesis, stages: Plain) -> None:
        self.synthesis, self.stages = synthesis, stages
        self.last = len(synthesis.blocks) - 1  # stage before the picture
        self.kept: list[tuple[Tensor, Any]] = []  # of each stage, what it read of the latent, and its output

    def picture(self, latent: Latent, preview: bool) -> Images:
        return self.stages.picture(self._reached(latent, self.last), latent[-4:], preview)

    def cut(self, latent: Latent, layer: int) -> Float[Tensor, "1 channels side side"]:
        """Whole stages, then what is left in plain torch."""
        stage = min(layer // 3, self.last)
        maps = self.stages.to_maps(self._reached(latent, stage), stage)
        return self.synthesis.advanced(Cut(3 * stage, maps), latent[None], layer).maps

    def resume(self, cut: Cut, latent: Latent, preview: bool) -> Images:
        """The rest of a stage in plain torch, then whole ones."""
        stage = -(-cut.layer // 3)
        if stage > self.last:
            return self.synthesis.resume(cut, latent[None], preview)
        cut = self.synthesis.advanced(Cut(cut.layer, cut.maps.float()), latent[None], 3 * stage)
        x = self.stages.from_maps(cut.maps, stage)
        for following in range(stage + 1, self.last + 1):
            x = self.stages.block(following - 1, x, _read(latent, following), aside=True)
        return self.stages.picture(x, latent[-4:], preview)

    def read(
        self, latent: Latent, layer: int, matrix: Float[Tensor, "outputs channels"]
    ) -> Float[Tensor, "1 outputs side side"]:
        """`matrix` times the maps after `layer`."""
        stage = layer // 3
        if 3 * stage == layer and stage <= self.last:
            return self.stages.read(self._reached(latent, stage), stage, matrix)
        return torch.einsum("nchw,oc->nohw", self.cut(latent, layer), matrix)

    def _reached(self, latent: Latent, stage: int) -> Any:
        """The output of `stage`; stages whose layers are as they were are not computed."""
        for s in range(stage + 1):
            read = _read(latent, s)
            if s < len(self.kept) and torch.equal(self.kept[s][0], read):
                continue
            del self.kept[s:]  # first, so that a failure leaves nothing wrong behind
            if s:
                output = self.stages.block(s - 1, self.kept[-1][1], read)
            else:
                output = self.stages.from_maps(self.synthesis.first(read), 0)
            self.kept.append((read.clone(), output))
        return self.kept[stage][1]


def _read(latent: Latent, stage: int) -> Float[Tensor, "read dim"]:
    """The part of the latent that a stage reads."""
    return latent[max(3 * stage - 2, 0) : 3 * stage + 1]
