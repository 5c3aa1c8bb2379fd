"""Walk along one direction: a strip, or an animation.

    python cli.py walk out/me.npz --direction "SeFa 1" --out walk.mp4

The ending of --out chooses: .png, .jpg: a strip of --frames pictures side by side; .gif, .webp, .mp4: a video
that goes there and back.
"""

import argparse
from pathlib import Path

from PIL import Image
from tqdm import tqdm

import video
from commands._common import start_arguments, starting_point
from config import ConfigError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    start_arguments(parser)
    add = parser.add_argument
    add("--direction", required=True, help="a name that `cli.py directions` lists")
    add("--low", type=float, help="strength to start from (default: the slider's low end)")
    add("--high", type=float, help="strength to end with (default: the slider's high end)")
    add("--frames", type=int, help="pictures from low to high (default: strip 7, video 24)")
    add("--size", type=int, default=512, help="side of each picture, pixels (default: 512)")
    add("--out", type=Path, default=Path("walk.png"), help="PNG, JPEG, GIF, WebP or MP4 file")


def run(options: argparse.Namespace) -> int:
    """Write the strip or video of the first latent."""
    ending = options.out.suffix.lower()
    if ending not in video.STRIPS + video.VIDEOS:
        known = ", ".join(video.STRIPS + video.VIDEOS)
        raise ConfigError(f"--out {options.out.name}: cannot write {ending or 'no ending'!r}; use {known}")
    editor, [inversion, *_], _ = starting_point(options)
    direction = editor.direction(options.direction)
    low = direction.low if options.low is None else options.low
    high = direction.high if options.high is None else options.high
    count = options.frames or (24 if ending in video.VIDEOS else 7)
    if count < 2:
        raise ConfigError("--frames: a walk has at least 2 pictures")
    frames = []
    for i in tqdm(range(count), unit="picture"):
        strength = low + (high - low) * i / (count - 1)
        frame = editor.render(inversion, {options.direction: strength})
        frames.append(frame.resize((options.size, options.size), Image.Resampling.LANCZOS))
    video.write(frames, options.out)
    return 0
