"""StyleGAN2 for the screen: what `stylegan2.py` defines, one picture at a time, as fast as it comes.

Styles go into the activations or the outputs, never into the weights, so what is computed of these is kept.
Where it pays convolutions are Winograd's: compiled ones for large pictures, torch's for small ones. Without
the package numba, and on other devices, torch does all.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportCallIssue=false
# pyright: reportIndexIssue=false
# pyright: reportOperatorIssue=false

import copy
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Cut, Images, kernels
from backends.kernels import winograd_reference
from backends.networks.kept import Kept
from backends.networks.mapping import SLOPE
from backends.networks.stylegan2 import FILTER, GAIN, StyledConv, StyleGAN2, upsample

SIDE = 64  # of the pictures from which on the compiled convolutions are faster than torch's


class Layer:
    """A styled convolution, and what is kept of its weights."""

    def __init__(self, conv: StyledConv) -> None:
        self.conv, self.side = conv, len(conv.noise)
        self._kept: defaultdict[str, Kept] = defaultdict(Kept)

    def kept(self, name: str, compute: Callable[[Tensor], Any]) -> Any:
        """What `compute` makes of the weights."""
        weight = self.conv.weight
        return self._kept[name].get([weight], lambda: compute(weight.detach()))

    def kernel(self, weight: Tensor) -> Tensor:
        """The convolution without stride."""
        return winograd_reference.polyphase(weight, FILTER) if self.conv.up else weight

    def scales(self, w: Float[Tensor, "1 dim"]) -> tuple[Tensor, Tensor]:
        """Of the inputs (1, inputs) and of the outputs (1, outputs)."""
        scales = self.conv.style(w)
        energy = self.kept("energy", lambda weight: weight.square().sum((2, 3)))
        return scales, GAIN * self.conv.demodulation(scales, energy)

    def plain(self, x: Float[Tensor, "1 inputs h w"], w: Float[Tensor, "1 dim"]) -> Tensor:
        """The layer in torch."""
        scales, gains = self.scales(w)
        x = x * scales[:, :, None, None]
        if winograd_reference.pays(self.conv.weight, self.side) and not self.conv.up:
            y = winograd_reference.convolve(x, self.kept("winograd", winograd_reference.transform))
        else:
            y = self.conv.convolved(x)
        y = y.mul_(gains[:, :, None, None]).add_(GAIN * self.conv.bias[:, None, None])
        return F.leaky_relu_(y.add_(self.conv.noise, alpha=GAIN * float(self.conv.strength)), SLOPE)

    def compiled(self, x: Any, w: Float[Tensor, "1 dim"], out: Any, colours: Any = None) -> None:
        """The layer on the compiled kernels, from and to their maps."""
        module = kernels.compiled("winograd")
        assert module
        factor = 1 + self.conv.up
        convolution = self.kept("compiled", lambda weight: module.Convolution(self.kernel(weight), factor))
        scales, gains = self.scales(w)
        noise = self.conv.noise * (GAIN * self.conv.strength)
        numbers = (module.flat(each) for each in (gains, GAIN * self.conv.bias, noise))
        convolution(x, module.flat(scales), module.Activation(*numbers, self.side), out, colours)

    def supported(self) -> bool:
        """Whether the kernels take this layer and are faster than torch.

        The four kernels of an upsampling layer are large: they need more pixels to be worth their memory.
        """
        factor = 1 + self.conv.up
        large = self.side >= SIDE * factor**2 and self.conv.weight.device.type == "cpu"
        module = kernels.compiled("winograd") if large else None
        outputs, inputs = self.conv.weight.shape[:2]
        return module is not None and module.supports(inputs, outputs, self.side // factor, factor)


class FastStyleGAN2:
    """Computes one latent at a time, of the network's present weights."""

    def __init__(self, network: StyleGAN2) -> None:
        self.network = network
        self.layers = [Layer(conv) for conv in network.convs]
        self._cuts = Kept()  # one: what it read of the latents, and the cut
        self._memory: list[Any] = []  # of the maps inside, from picture to picture
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> "FastStyleGAN2":
        return FastStyleGAN2(copy.deepcopy(self.network, memo))

    @torch.no_grad()
    def cut(self, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """As `StyleGAN2.cut`; the last one is kept, so that pictures of the same latents go on from there."""
        with self._lock:
            cuts = [self._kept_or(row, layer) for row in latents]
        skips = [cut.skip for cut in cuts if cut.skip is not None]
        return Cut(layer, torch.cat([cut.maps for cut in cuts]), torch.cat(skips) if skips else None)

    @torch.no_grad()
    def resume(self, cut: Cut, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """As `StyleGAN2.resume`."""
        skips = cut.skip.split(1) if cut.skip is not None else [None] * len(latents)
        cuts = [Cut(cut.layer, *parts) for parts in zip(cut.maps.split(1), skips, strict=True)]
        with self._lock:
            pairs = zip(cuts, latents, strict=True)
            return torch.cat([self._picture(each, row[:, None], preview) for each, row in pairs])

    @torch.no_grad()
    def picture(self, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """As cut and resume, from the cut that is kept, if it is these latents'."""
        with self._lock:
            cuts = [self._begun(row, len(self.layers)) for row in latents]
            pairs = zip(cuts, latents, strict=True)
            return torch.cat([self._picture(cut, row[:, None], preview) for cut, row in pairs])

    def _begun(self, row: Float[Tensor, "layers dim"], layer: int) -> Cut:
        """The cut that is kept, if it lies not behind `layer` and these latents have it; else the first."""
        kept: list[tuple[Tensor, Cut]] = self._cuts.get(self.network.parameters(), list)
        for read, cut in kept:
            if cut.layer <= layer and torch.equal(read, row[: cut.layer + 1]):
                return cut
        return Cut(-1, self.network.constant[None].contiguous(memory_format=torch.channels_last))

    def _kept_or(self, row: Float[Tensor, "layers dim"], layer: int) -> Cut:
        begun = self._begun(row, layer)
        if begun.layer != layer:
            begun = self._stopped(begun, row[:, None], layer)
            kept: list[tuple[Tensor, Cut]] = self._cuts.get(self.network.parameters(), list)
            kept[:] = [(row[: layer + 1].clone(), begun)]
        return begun

    def _stopped(self, cut: Cut, w: Float[Tensor, "layers 1 dim"], layer: int) -> Cut:
        last = min(layer, len(self.layers) - 1)
        x, image = self._advanced(cut, w, last, last)
        x = _tensor(x)
        return Cut(layer, x if layer == last else self.network.rgbs[-1](x, w[-1]), image)

    def _picture(self, cut: Cut, w: Float[Tensor, "layers 1 dim"], preview: bool) -> Images:
        if cut.layer == len(self.layers) and not preview:
            return upsample(cut.skip) + cut.maps
        last = len(self.layers) - (2 if preview else 0)
        image = self._advanced(cut, w, last - 1, last)[1]
        assert image is not None, "a generator of 4 x 4 pixels has no previews"
        return image

    def _advanced(
        self, cut: Cut, w: Float[Tensor, "layers 1 dim"], convs: int, colours: int
    ) -> tuple[Any, Tensor | None]:
        """The maps behind convolution `convs`, and the picture with the colours that layer `colours` sets.

        Compiled convolutions add the colours themselves, and then need not keep the last maps.
        """
        x, image, coloured = cut.maps, cut.skip, False
        for j in range(cut.layer + 1, colours + 1):
            if j % 2 and not coloured:
                added = self.network.rgbs[j // 2](_tensor(x), w[j])
                image = added if image is None else upsample(image) + added
            if j > convs:
                break
            coloured = j % 2 == 0 and j < colours and self.layers[j].supported()
            if coloured:
                image = upsample(image).contiguous()
                x = self._compiled(j, x, w, image, keep=j < convs)
            elif self.layers[j].supported():
                x = self._compiled(j, x, w)
            else:
                x = self.layers[j].plain(_tensor(x), w[j])
        return x, image

    def _compiled(
        self, j: int, x: Any, w: Float[Tensor, "layers 1 dim"], image: Tensor | None = None, keep: bool = True
    ) -> Any:
        """Convolution `j` on the kernels; adds the colours behind it to `image`, if there is one."""
        module = kernels.compiled("winograd")
        assert module
        layer, rgb = self.layers[j], self.network.rgbs[j // 2]
        memory = self._memory = self._memory or [module.Memory() for _ in range(3)]
        x = module.Maps.of(x, memory[2]) if isinstance(x, Tensor) else x
        out = module.Maps(len(layer.conv.bias), layer.side, memory[j % 2]) if keep else None
        tinted = None if image is None else module.colours(rgb.weight * rgb.style(w[j + 1]), rgb.bias, image)
        layer.compiled(x, w[j], out, tinted)
        return out


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else x.tensor()
