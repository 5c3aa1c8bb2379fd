"""3x3 convolutions by Winograd: in torch they are torch's own, and the compiled ones are the same."""

import pytest
import torch
import torch.nn.functional as F

from backends.kernels import winograd_reference
from backends.networks import stylegan2


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 3e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * b.abs().max().item())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize(("side", "inputs", "outputs"), [(16, 32, 64), (32, 64, 32), (64, 32, 32)])
def test_compiled_winograd_is_the_convolution(side, inputs, outputs, factor, threads, monkeypatch):
    compiled, simd = (pytest.importorskip(f"backends.kernels.{name}") for name in ("winograd", "simd"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x, scales = torch.randn(1, inputs, side, side), torch.rand(inputs)
    weight = torch.randn(outputs * factor**2, inputs, 3, 3)
    gains, bias = torch.rand(2, outputs)
    noise = torch.randn(side * factor, side * factor)
    y = F.conv2d(x * scales[:, None, None], weight, padding=1).view(factor, factor, outputs, side, side)
    y = y.permute(2, 3, 0, 4, 1).reshape(1, outputs, side * factor, side * factor)
    y = y * gains[:, None, None] + bias[:, None, None] + noise
    expected = F.leaky_relu(y, simd.SLOPE)
    numbers = [compiled.flat(each) for each in (gains, bias, noise)]
    out = compiled.Maps(outputs, side * factor)
    convolution = compiled.Convolution(weight, factor)
    arguments = compiled.Maps.of(x), compiled.flat(scales), compiled.Activation(*numbers, side * factor)
    for share in (1e9, 0):  # all at once, in blocks
        monkeypatch.setattr(compiled, "AT_ONCE", share)
        out.inside.fill_(torch.nan)
        convolution(*arguments, out)
        close(out.tensor(), expected, 3e-5)
    image, weight, bias = torch.randn(1, 3, *noise.shape), torch.randn(3, outputs), torch.randn(3)
    coloured = image + F.conv2d(expected, weight[:, :, None, None], bias)
    convolution(*arguments, None, compiled.colours(weight, bias, image))  # into the image alone
    close(image, coloured, 3e-5)


@pytest.mark.parametrize(("side", "inputs", "outputs"), [(4, 3, 5), (8, 16, 8), (40, 7, 4)])
def test_winograd_is_the_convolution(side, inputs, outputs):
    x, weight = torch.randn(1, inputs, side, side), torch.randn(outputs, inputs, 3, 3)
    close(
        winograd_reference.convolve(x, winograd_reference.transform(weight)),
        F.conv2d(x, weight, padding=1),
        3e-5,
    )


def test_polyphase_is_upsampling_in_one_convolution():
    x, weight = torch.randn(1, 3, 8, 8), torch.randn(5, 3, 3, 3)
    y = stylegan2.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), padding=1)
    kernels = winograd_reference.polyphase(weight, stylegan2.FILTER)
    close(
        F.pixel_shuffle(
            F.conv2d(x, kernels, padding=1).view(4, 5, 8, 8).transpose(0, 1).reshape(1, 20, 8, 8), 2
        ),
        y,
    )
