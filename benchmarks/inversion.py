"""How well and how fast photographs are inverted: python benchmarks/inversion.py [PHOTO or FOLDER]...

Prints a markdown table, one line per intermediate result. Without photographs: scikit-image's astronaut.
Identity is the distance of dlib's descriptors (below 0.6: the same person); perceptual is judged with Lite2
features, which the optimiser never sees; MSE is of pixels in [-1, 1]. Both compare at 256 pixels.
"""

import argparse
import logging
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from PIL import Image

from backends import Images, losses
from backends.aligners import AlignmentError
from backends.photos import PhotoError, read_photo, to_images
from editor import Editor

log = logging.getLogger(__name__)

SIDE = 256  # pixels at which pictures are compared
HEADER = "| photo | steps | seconds | identity | perceptual | MSE |\n|:--|--:|--:|--:|--:|--:|\n"


def photographs(paths: list[Path]) -> Iterator[tuple[str, Image.Image]]:
    """Names and upright pictures of files and folders; the astronaut when there are none."""
    if not paths:
        from skimage import data

        yield "astronaut", Image.fromarray(data.astronaut())
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            try:
                yield file.name, read_photo(file)
            except PhotoError as error:
                log.warning("%s: %s", file.name, error)


@torch.no_grad()
def scores(picture: Images, target: Images) -> tuple[float, float, float]:
    """Identity distance, perceptual distance and mean squared error."""
    a, b = losses.resize(picture, SIDE), losses.resize(target, SIDE)
    identity = losses.identity(losses.descriptors(a), losses.descriptors(b)).sqrt()
    ours, theirs = losses.perceptual_features(a, "lite2"), losses.perceptual_features(b, "lite2")
    return float(identity), float(losses.perceptual(ours, theirs)), float(losses.pixel(a, b))


def rows(editor: Editor, name: str, crop: Image.Image, inverter: str) -> Iterator[str]:
    """Lines of the table; the judging is not timed, the drawing of each intermediate picture is."""
    target = to_images(crop, editor.generator.size)
    seconds, start = 0.0, time.perf_counter()
    for inversion in editor.invert(crop, inverter):
        seconds += time.perf_counter() - start
        identity, perceptual, error = scores(inversion.generator.render(inversion.latents), target)
        done = f"| {name} | {inversion.step} | {seconds:.1f} |"
        yield f"{done} {identity:.3f} | {perceptual:.3f} | {error:.4f} |\n"
        start = time.perf_counter()


def main() -> None:
    """Writes the table to the standard output as it grows."""
    parser = argparse.ArgumentParser(description="Quality and time of inversions, as a markdown table.")
    parser.add_argument("photos", nargs="*", type=Path, help="files and folders (default: the astronaut)")
    parser.add_argument("--domain", default="faces", help="name of a file in configs/")
    parser.add_argument("--inverter", help="label of an inverter of the domain (default: its first)")
    parser.add_argument("--set", nargs="*", default=[], help="settings of the inverter, as in steps=30")
    parser.add_argument("--last", action="store_true", help="only the final result of each photograph")
    arguments = parser.parse_args()
    label = arguments.inverter or next(iter(Editor.load(arguments.domain).inverters))
    editor = Editor.load(arguments.domain, overrides=[f"inverters.{label}.{each}" for each in arguments.set])
    editor.generator.render(editor.generator.mean())  # load and compile outside the timing
    sys.stdout.write(HEADER)
    for name, photo in photographs(arguments.photos):
        try:
            crop = editor.align(photo)
        except AlignmentError as error:
            log.warning("%s: %s", name, error)
            continue
        lines = rows(editor, name, crop, label)
        for line in deque(lines, 1) if arguments.last else lines:
            sys.stdout.write(line)
            sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
