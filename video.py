"""Series of pictures as one file: a sheet, a strip side by side, or a video that goes there and back."""

from pathlib import Path
from typing import Any

from PIL import Image

STRIPS = (".png", ".jpg", ".jpeg")
VIDEOS = (".gif", ".webp", ".mp4")
# method=0: ten times faster than the default, a little larger
OPTIONS: dict[str, dict[str, Any]] = {".webp": {"quality": 85, "method": 0}, ".gif": {}, ".png": {}}


def write(frames: list[Image.Image], target: Path, rate: int = 16) -> None:
    """Write equally large RGB `frames` to `target`, whose ending is one of STRIPS (side by side) or of VIDEOS
    (`rate` pictures a second, then back without repeating either end, so that a loop runs smoothly).
    """
    ending = target.suffix.lower()
    options, loop = OPTIONS.get(ending, {"quality": 92}), frames + frames[-2:0:-1]
    if ending in STRIPS:
        sheet(frames, len(frames)).save(target, **options)
    elif ending == ".mp4":
        _write_mp4(loop, target, rate)
    else:
        duration = 1000 // rate  # milliseconds
        loop[0].save(target, save_all=True, append_images=loop[1:], duration=duration, loop=0, **options)


def sheet(pictures: list[Image.Image], columns: int) -> Image.Image:
    """Equally large pictures in one, row by row."""
    width, height = pictures[0].size
    canvas = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    for i, picture in enumerate(pictures):
        canvas.paste(picture, (i % columns * width, i // columns * height))
    return canvas


def _write_mp4(frames: list[Image.Image], target: Path, rate: int) -> None:
    import imageio_ffmpeg  # brings its own ffmpeg; loaded only when it is needed

    size = frames[0].size
    writer = imageio_ffmpeg.write_frames(
        str(target), size, fps=rate, codec="libx264", pix_fmt_out="yuv420p", quality=8
    )
    writer.send(None)  # starts the encoder
    try:
        for frame in frames:
            writer.send(frame.tobytes())
    finally:
        writer.close()
