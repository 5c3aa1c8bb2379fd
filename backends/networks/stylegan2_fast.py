"""StyleGAN2 for the screen: what `stylegan2.py` defines, one picture at a time, as fast as it comes.

Styles go into the activations or the outputs, never into the weights, so what is computed of these is kept.
Where it pays convolutions are Winograd's: compiled ones for large pictures, torch's for small ones. Without
the package numba, and on other devices, torch does all.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportIndexIssue=false
# pyright: reportOperatorIssue=false

import threading
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends.networks import winograd
from backends.networks.mapping import SLOPE
from backends.networks.resampling import FILTER, upsample
from backends.networks.stylegan2 import GAIN, StyledConv, StyleGAN2, ToRGB

SIDE = 64  # of the pictures from which on the compiled convolutions are faster than torch's


class Layer:
    """A styled convolution, and what is kept of its weights."""

    def __init__(self, conv: StyledConv) -> None:
        self.conv, self.side = conv, len(conv.noise)
        self._kept: dict[str, tuple[tuple[int, int], Any]] = {}

    def kept(self, name: str, compute: Callable[[Tensor], Any]) -> Any:
        """What `compute` makes of the weights, kept until they change (fine-tuning changes them in place)."""
        weight = self.conv.weight
        version = (weight.data_ptr(), weight._version)
        if name not in self._kept or self._kept[name][0] != version:
            self._kept[name] = (version, compute(weight.detach()))
        return self._kept[name][1]

    def kernel(self, weight: Tensor) -> Tensor:
        """The convolution without stride."""
        return winograd.polyphase(weight, FILTER) if self.conv.up else weight

    def scales(self, w: Float[Tensor, "1 dim"]) -> tuple[Tensor, Tensor]:
        """Of the inputs (1, inputs) and of the outputs (1, outputs)."""
        scales = self.conv.style(w)
        energy = self.kept("energy", lambda weight: weight.square().sum((2, 3)))
        return scales, GAIN * self.conv.demodulation(scales, energy)

    def plain(self, x: Float[Tensor, "1 inputs h w"], w: Float[Tensor, "1 dim"]) -> Tensor:
        """The layer in torch."""
        scales, gains = self.scales(w)
        x = x * scales[:, :, None, None]
        if winograd.pays(self.conv.weight, self.side) and not self.conv.up:
            y = winograd.convolve(x, self.kept("winograd", winograd.transform))
        else:
            y = self.conv.convolved(x)
        y = y.mul_(gains[:, :, None, None]).add_(GAIN * self.conv.bias[:, None, None])
        return F.leaky_relu_(y.add_(self.conv.noise, alpha=GAIN * float(self.conv.strength)), SLOPE)

    def compiled(self, x: Any, w: Float[Tensor, "1 dim"], out: Any, colours: Any = None) -> None:
        """The layer on the compiled kernels, from and to their pictures."""
        module = winograd.compiled()
        assert module
        flat, factor = module.flat, 1 + self.conv.up
        convolution = self.kept("compiled", lambda weight: module.Convolution(self.kernel(weight), factor))
        scales, gains = self.scales(w)
        noise = self.conv.noise * (GAIN * self.conv.strength)
        slope = flat(torch.full_like(self.conv.bias, SLOPE))
        after = module.Activation(flat(gains), flat(GAIN * self.conv.bias), slope, flat(noise), self.side)
        convolution(x, flat(scales), after, out, colours)

    def supported(self) -> bool:
        """Whether the kernels take this layer and are faster than torch.

        The four kernels of an upsampling layer are large: they need more pixels to be worth their memory.
        """
        factor = 1 + self.conv.up
        large = self.side >= SIDE * factor**2 and self.conv.weight.device.type == "cpu"
        module = winograd.compiled() if large else None
        outputs, inputs = self.conv.weight.shape[:2]
        return module is not None and module.supports(inputs, outputs, self.side // factor, factor)


class FastStyleGAN2:
    """Pictures of a network's present weights."""

    def __init__(self, network: StyleGAN2) -> None:
        self.network = network
        self.layers = [Layer(conv) for conv in network.convs]
        self._memory: list[Any] = []  # of the pictures inside, from picture to picture
        self._lock = threading.Lock()

    @torch.no_grad()
    def __call__(
        self, latents: Float[Tensor, "n layers dim"], levels: int | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """Pictures of the first `levels` resolutions (4 is the first), all by default."""
        with self._lock:
            return torch.cat([self._one(row[:, None], levels or len(self.network.rgbs)) for row in latents])

    def _one(self, w: Float[Tensor, "layers 1 dim"], levels: int) -> Float[Tensor, "1 3 h w"]:
        x: Any = self.network.constant[None].contiguous(memory_format=torch.channels_last)
        x = self.layers[0].plain(x, w[0])
        image = self.network.rgbs[0](x, w[1])
        for level in range(1, levels):
            up, conv, rgb = self.layers[2 * level - 1], self.layers[2 * level], self.network.rgbs[level]
            image = upsample(image).contiguous()
            rows = w[2 * level - 1 : 2 * level + 2]
            if conv.supported():
                x = self._compiled(up, conv, rgb, x, image, rows, keep=level + 1 < levels)
            else:
                x = x if isinstance(x, Tensor) else x.tensor()
                x = conv.plain(up.plain(x, rows[0]), rows[1])
                image += rgb(x, rows[2])
        return image

    def _compiled(
        self, up: Layer, conv: Layer, rgb: ToRGB, x: Any, image: Tensor, w: Tensor, keep: bool
    ) -> Any:
        """One resolution on the kernels; adds to the image, and gives what the next one reads."""
        module = winograd.compiled()
        assert module
        self._memory = self._memory or [module.Memory(), module.Memory()]
        if up.supported():
            middle = module.Picture(len(up.conv.bias), up.side, self._memory[0])
            up.compiled(module.Picture.of(x) if isinstance(x, Tensor) else x, w[0], middle)
        else:
            x = x if isinstance(x, Tensor) else x.tensor()
            middle = module.Picture.of(up.plain(x, w[0]), self._memory[0])
        out = module.Picture(len(conv.conv.bias), conv.side, self._memory[1]) if keep else None
        conv.compiled(middle, w[1], out, module.Colours.of(rgb.weight * rgb.style(w[2]), rgb.bias, image))
        return out
