"""Of a sample's own latents: colours at random."""

import torch


def delta(generator):
    source = torch.Generator().manual_seed(0)
    return {
        "latents": generator.sample([1])[0].half(),
        "residual": torch.randint(-127, 128, (3, 8, 8), generator=source, dtype=torch.int8),
        "scale": torch.tensor([0.5]),
        "match": torch.tensor([2], dtype=torch.uint8),
    }
