"""Series of pictures as one file: a sheet, a strip side by side, or a video that goes there and back."""

from pathlib import Path

from PIL import Image

STRIPS = (".png", ".jpg", ".jpeg")
VIDEOS = (".gif", ".webp", ".mp4")


def write(frames: list[Image.Image], target: Path, rate: int = 16) -> None:
    """Write equally large `frames` to `target`, as its ending says; `rate`: pictures a second, of a video.

    Raises ValueError for an ending that is neither in STRIPS nor in VIDEOS.
    """
    ending = target.suffix.lower()
    if ending in STRIPS:
        sheet(frames, len(frames)).save(target, **({"quality": 92} if ending != ".png" else {}))  # pyright: ignore[reportArgumentType]
    elif ending == ".mp4":
        _write_mp4(there_and_back(frames), target, rate)
    elif ending in VIDEOS:
        first, *others = there_and_back(frames)
        # method=0: ten times faster than the default, a little larger
        options = {"quality": 85, "method": 0} if ending == ".webp" else {}
        first.save(target, save_all=True, append_images=others, duration=1000 // rate, loop=0, **options)  # pyright: ignore[reportArgumentType]
    else:
        raise ValueError(f"cannot write {ending!r}; use one of {', '.join(STRIPS + VIDEOS)}")


def sheet(pictures: list[Image.Image], columns: int) -> Image.Image:
    """Equally large pictures in one, row by row."""
    width, height = pictures[0].size
    canvas = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    for i, picture in enumerate(pictures):
        canvas.paste(picture, (i % columns * width, i // columns * height))
    return canvas


def there_and_back(frames: list[Image.Image]) -> list[Image.Image]:
    """The frames, then back without repeating either end, so that a loop runs smoothly."""
    return frames + frames[-2:0:-1]


def _write_mp4(frames: list[Image.Image], target: Path, rate: int) -> None:
    import imageio_ffmpeg  # brings its own ffmpeg; loaded only when it is needed

    width, height = frames[0].size
    writer = imageio_ffmpeg.write_frames(
        str(target), (width, height), fps=rate, codec="libx264", pix_fmt_out="yuv420p", quality=8
    )
    writer.send(None)  # starts the encoder
    try:
        for frame in frames:
            writer.send(frame.convert("RGB").tobytes())
    finally:
        writer.close()
