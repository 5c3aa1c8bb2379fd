"""The command line, as a script would use it: files in, files out, exit codes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli import main

TOY = ["--configs", str(Path(__file__).parent / "configs"), "--domain", "toy"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def picture(path: str, size=(90, 70)) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 80).convert("RGB").save(path)
    return path


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for command in ("invert", "edit", "walk", "sample", "directions", "weights", "convert", "inspect"):
        assert command in text


def test_invert_then_edit(tmp_path):
    assert main(["invert", picture("me.jpg"), "--out", "out", *TOY]) == 0
    assert Image.open("out/me_crop.png").size == Image.open("out/me.png").size == (64, 64)
    with np.load("out/me.npz", allow_pickle=False) as saved:
        assert saved["latents"].shape == (1, 6, 16)
        assert str(saved["domain"]) == "toy"
    edit = ["edit", "out/me.npz", "--set", "SeFa 1=3", "--set", "SeFa/SeFa 2=-1.5", *TOY]
    assert main([*edit, "--out", "edited.png", "--save-latents", "edited.npy"]) == 0
    assert Path("edited.png").read_bytes() != Path("out/me.png").read_bytes()
    assert np.load("edited.npy", allow_pickle=False).shape == (1, 6, 16)
    assert main(["edit", "edited.npy", "--out", "again.png", *TOY]) == 0
    assert Image.open("again.png").tobytes() == Image.open("edited.png").tobytes()


def photograph(path: str, size: tuple[int, int] = (151, 90)) -> np.ndarray:
    """A file of smooth noise, and its bytes."""
    small = np.random.default_rng(0).integers(40, 215, (6, 9, 3), np.uint8)
    Image.fromarray(small).resize(size).save(path)
    return np.asarray(Image.open(path))


def test_editing_into_the_photograph():
    """The toy's square is the middle: on both sides every byte stays, and all of them without an edit."""
    photo = photograph("me.png")
    assert main(["edit", "--into", "me.png", "--out", "same.png", *TOY]) == 0
    assert (np.asarray(Image.open("same.png")) == photo).all()
    edit = ["--set", "SeFa 1=3", *TOY]
    assert main(["edit", "--into", "me.png", *edit, "--out", "edited.png", "--save-latents", "me.npz"]) == 0
    edited = np.asarray(Image.open("edited.png"))
    assert edited.shape == photo.shape
    assert (edited[:, :30] == photo[:, :30]).all()
    assert (edited[:, 121:] == photo[:, 121:]).all()
    assert (edited[20:70, 45:105] != photo[20:70, 45:105]).mean() > 0.3
    with np.load("me.npz", allow_pickle=False) as saved:
        assert saved["latents"].shape == (1, 6, 16)
    assert (
        main(["edit", "--into", "edited.png", *edit, "--out", "twice.png"]) == 0
    )  # the next face of a result
    assert (np.asarray(Image.open("twice.png"))[:, :30] == photo[:, :30]).all()


def test_editing_latents_into_the_photograph():
    """An inversion that is there already is not made again."""
    photo = photograph("me.png")
    assert main(["invert", "me.png", "--out", "out", *TOY]) == 0
    edit = ["--set", "SeFa 2=2", *TOY]
    assert main(["edit", "--into", "me.png", *edit, "--out", "one.png"]) == 0
    assert main(["edit", "out/me.npz", "--into", "me.png", *edit, "--out", "other.png"]) == 0
    assert Image.open("one.png").tobytes() == Image.open("other.png").tobytes() != photo.tobytes()


def test_the_photograph_as_jpeg_without_its_place():
    photograph("me.png")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    Image.open("me.png").save("me.jpg", exif=exif, quality=95)
    assert main(["edit", "--into", "me.jpg", "--set", "SeFa 1=3", "--out", "edited.jpg", *TOY]) == 0
    edited = Image.open("edited.jpg")
    assert edited.size == (90, 151)  # upright
    assert not edited.getexif()
    assert edited.layer[0][1:3] == edited.layer[1][1:3]  # type: ignore[attr-defined]  # colours of full size


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--subject", "2"], "only 1 found"),
        (["--seed", "3"], "in no photograph"),
        (["--out", "edited.txt"], ".png"),
        (["s/samples.npz"], "2 latents"),
    ],
)
def test_what_cannot_be_edited_into_a_photograph(capfd, options, words):
    photograph("me.png")
    assert main(["sample", "--seed", "3,4", "--out", "s", *TOY]) == 0
    assert main(["edit", "--into", "me.png", *options, *TOY]) == 1
    assert words in capfd.readouterr().err


def test_an_inversion_with_a_decoder_of_its_own(capfd, tmp_path):
    assert main(["sample", "--seed", "3", "--out", "s", "--override", "generator.seed=1", *TOY]) == 0
    assert main(["invert", "s/seed3.png", "--inverter", "pivotal", "--out", "out", *TOY]) == 0
    assert main(["edit", "out/seed3.npz", "--out", "same.png", "--save-latents", "again.npz", *TOY[:2]]) == 0
    assert Image.open("same.png").tobytes() == Image.open("out/seed3.png").tobytes()
    assert main(["edit", "again.npz", "--out", "again.png", *TOY[:2]]) == 0
    assert Image.open("again.png").tobytes() == Image.open("same.png").tobytes()
    capfd.readouterr()
    other = ["--override", "generator.seed=1", *TOY[:2]]
    assert main(["edit", "out/seed3.npz", "--out", "other.png", *other]) == 1
    assert "another generator" in capfd.readouterr().err
    assert not Path("other.png").exists()
    assert main(["edit", "out/seed3.npz", "--out", "x.png", "--save-latents", "x.npy", *TOY[:2]]) == 1
    assert "save them as .npz" in capfd.readouterr().err


def test_the_domain_comes_from_the_latents_file():
    assert main(["sample", "--seed", "3", "--out", "s", *TOY]) == 0
    configs = TOY[:2]
    assert main(["edit", "s/samples.npz", "--out", "same.png", *configs]) == 0
    assert Image.open("same.png").tobytes() == Image.open("s/seed3.png").tobytes()


def test_folders_bad_files_and_equal_names(capfd):
    for name in ("a/x.png", "a/y.jpg", "b/x.png"):
        picture(name)
    Path("a/notes.txt").write_text("not a picture, and skipped")
    Path("b/broken.jpg").write_bytes(b"not a picture, and reported")
    assert main(["invert", "a", "b", "--out", "o", *TOY]) == 1
    assert {path.name for path in Path("o").glob("*.npz")} == {"x.npz", "y.npz", "x-2.npz"}
    errors = capfd.readouterr().err
    assert "broken.jpg" in errors
    assert "notes.txt" not in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["edit", "--seed", "1", "--set", "nothing=1", *TOY], ["nothing", "SeFa 1"]),
        (["edit", "--seed", "1", "--set", "SeFa 1", *TOY], ["--set", "NAME=NUMBER"]),
        (["edit", "--seed", "1", "--set", "SeFa 1=nan", *TOY], ["--set", "NAME=NUMBER"]),
        (["edit", "missing.npz", *TOY], ["missing.npz"]),
        (["sample", "--configs", "empty", "--domain", "toy"], ["toy"]),
        (["sample", "--override", "generator.sise=3", *TOY], ["sise", "size"]),
        (["walk", "--seed", "1", "--direction", "SeFa 1", "--out", "walk.avi", *TOY], [".avi", ".mp4"]),
        (["walk", "--seed", "1", "--direction", "SeFa 1", "--frames", "1", *TOY], ["--frames"]),
        (["directions", "--layers", "0-99", *TOY], ["0-99", "0-5"]),
        (["weights", "nothing"], ["nothing", "there are"]),
        (["invert", "nowhere.jpg", *TOY], ["nowhere.jpg"]),
    ],
)
def test_mistakes_are_one_line_and_exit_code_1(arguments, words, capfd):
    assert main(arguments) == 1
    errors = capfd.readouterr().err
    assert "Traceback" not in errors
    assert all(word in errors for word in words), errors


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["sample", "--seed", "x"], ["sample", "--seed", "1-"]]
)
def test_wrong_usage_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_sample_is_reproducible():
    assert main(["sample", "--seed", "1-2,7", "--out", "one", *TOY]) == 0
    assert main(["sample", "--seed", "7", "--out", "two", *TOY]) == 0
    assert Path("one/seed7.png").read_bytes() == Path("two/seed7.png").read_bytes()
    with np.load("one/samples.npz", allow_pickle=False) as saved:
        assert list(saved["names"]) == ["seed 1", "seed 2", "seed 7"]


@pytest.mark.parametrize("out", ["x.png", "some/folder/x.JPG"])
def test_sample_of_one_seed_writes_the_picture_that_out_names(out):
    assert main(["sample", "--seed", "7", "--out", out, *TOY]) == 0
    with Image.open(out) as picture:
        assert picture.size == (64, 64)
    with np.load(Path(out).with_suffix(".npz"), allow_pickle=False) as saved:
        assert list(saved["names"]) == ["seed 7"]
    assert {path.name for path in Path(out).parent.iterdir()} == {Path(out).name, "x.npz"}


def test_sample_of_several_seeds_needs_a_folder(capfd):
    assert main(["sample", "--seed", "1-2", "--out", "x.png", *TOY]) == 1
    assert "give a folder" in capfd.readouterr().err
    assert not Path("x.png").exists()
    Path("y.png").mkdir()  # odd, but a folder
    assert main(["sample", "--seed", "1-2", "--out", "y.png", *TOY]) == 0
    assert len(list(Path("y.png").glob("seed*.png"))) == 2


def test_photographs_can_be_taken_as_they_are():
    assert main(["invert", picture("me.png", (90, 70)), "--no-align", "--out", "out", *TOY]) == 0
    whole = Image.open("me.png")
    middle = whole.resize((64, 64), Image.Resampling.LANCZOS, box=(10, 0, 80, 70))
    assert Image.open("out/me_crop.png").tobytes() == middle.tobytes()


@pytest.mark.parametrize(("ending", "frames"), [("png", None), ("gif", 8), ("webp", 8), ("mp4", None)])
def test_walk_writes_strips_and_videos(ending, frames):
    out = f"walk.{ending}"
    base = ["walk", "--seed", "2", "--direction", "SeFa 1", "--frames", "5", "--size", "64"]
    assert main([*base, "--out", out, *TOY]) == 0
    if ending == "mp4":
        import imageio_ffmpeg

        meta = next(imageio_ffmpeg.read_frames(out))
        assert meta["size"] == (64, 64)
    else:
        video = Image.open(out)
        assert video.size == ((320, 64) if ending == "png" else (64, 64))
        assert getattr(video, "n_frames", None) in (frames, 1, None)


def test_directions_lists_ids_and_ranges(capsys):
    assert main(["directions", "--layers", "0-1", "--count", "3", *TOY]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    identity, low, high, _ = lines[1].split("\t")
    assert identity.startswith("SeFa@0-1/SeFa ")
    assert float(low) < 0 < float(high)


def test_weights_lists_sizes_and_licences(capsys):
    assert main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(len(line.split("\t")) == 5 for line in lines)
