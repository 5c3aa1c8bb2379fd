"""Of a sample's own latents: colours at random."""

import torch


def delta(generator):
    source = torch.Generator().manual_seed(0)
    layer, latents = generator.cut_layer - 1, generator.sample([1])
    maps = generator.cut(latents, layer).maps
    channels, side = maps.shape[1:3]
    return {
        "latents": latents[0].half(),
        "residual": torch.randint(-127, 128, (3, side, side), generator=source, dtype=torch.int8),
        "scale": torch.tensor([0.5]),
        "gain": torch.randn(3, channels, generator=source).half(),
        "head": torch.randn(channels, 3, generator=source).half(),
        "cut": torch.tensor([layer, layer - 1], dtype=torch.uint8),
    }
