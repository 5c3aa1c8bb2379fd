"""Contact sheets: many pictures in one file, to be judged by eye."""

from pathlib import Path

import torch
from PIL import Image

from backends import Images
from backends.networks.compact_stylegan import CompactStyleGAN


@torch.no_grad()
def samples(network: CompactStyleGAN, seeds: list[int], truncation: float = 1.0, batch: int = 16) -> Images:
    """One picture per seed; the same seeds always give the same latents."""
    dim = network.mean.shape[0]
    rows = [torch.randn(dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    w = network.mapping(torch.stack(rows).to(network.mean))
    w = network.mean + truncation * (w - network.mean)
    parts = [network.synthesize(part[:, None].repeat(1, network.layers, 1)) for part in w.split(batch)]
    return torch.cat(parts).float()


def sheet(images: Images, columns: int) -> Image.Image:
    """All pictures in one, row by row."""
    rows = -(-len(images) // columns)
    side = images.shape[-1]
    canvas = torch.full((3, rows * side, columns * side), 255, dtype=torch.uint8)
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
    for i, picture in enumerate(pixels):
        top, left = i // columns * side, i % columns * side
        canvas[:, top : top + side, left : left + side] = picture
    return Image.fromarray(canvas.permute(1, 2, 0).numpy())


def save(images: Images, columns: int, path: Path) -> None:
    """Write a contact sheet in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 85} if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else {}
    sheet(images, columns).save(path, **options)  # pyright: ignore[reportArgumentType]
