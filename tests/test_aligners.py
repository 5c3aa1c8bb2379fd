"""Frames from landmarks made up here; faces on scikit-image's astronaut, where weights can be fetched."""

import threading

import numpy as np
import pytest
from PIL import Image

from backends.aligners import Aligner, AlignmentError, Subject
from backends.aligners import landmarks as module
from backends.aligners._framing import cut, of_face, sample
from backends.aligners.center import Center
from backends.aligners.landmarks import Landmarks
from backends.squares import Square
from config import ConfigError
from plugins import build, find, names

UNIT = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])  # corners, in PIL's order
EYES, MOUTH = ((0.375, 0.473), (0.625, 0.473)), (0.5, 0.743)  # a face in FFHQ's frame, in units of its side


@pytest.fixture(scope="module")
def waves() -> Image.Image:
    """Smooth colours, different everywhere: turning and scaling them back loses little."""
    y, x = np.mgrid[0:320, 0:320] / 320
    waves = [np.sin(7 * x + 2 * y), np.cos(5 * y - x), np.sin(4 * x * y + 1)]
    return Image.fromarray(np.rint(127.5 + 110 * np.stack(waves, -1)).astype(np.uint8))


def face(side: float = 1.0) -> np.ndarray:
    """68 landmarks of which only eyes and mouth matter; each eye and the mouth are wide, to be averaged."""
    points = np.full((68, 2), 7.0)
    points[36:42], points[42:48] = EYES
    points[[36, 42], 0] -= 0.02
    points[[39, 45], 0] += 0.02
    points[48], points[54] = moved(MOUTH, -0.1, -0.01), moved(MOUTH, 0.1, 0.01)
    return points * side


def moved(points: object, x: float, y: float) -> np.ndarray:
    return np.asarray(points) + np.array([x, y])


def subject(points: np.ndarray) -> Subject:
    return Subject((0, 0, 1, 1), tuple((float(x), float(y)) for x, y in points))


def framed(aligner: Aligner, photo: Image.Image, of: Subject, size: int) -> Image.Image:
    """The crop around a subject."""
    return aligner.crop(photo, aligner.frame(photo, of), size)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Largest difference of two pictures of one size, in levels."""
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).max())


def frame(points: np.ndarray) -> Square:
    return of_face(subject(points).landmarks)


def test_a_face_in_the_frame_gives_the_frame():
    np.testing.assert_allclose(frame(face(200)).corners, 200 * UNIT, atol=1e-9)


@pytest.mark.parametrize("angle", [0.4, -1.2, np.pi / 2, np.pi])
def test_the_frame_turns_grows_and_moves_with_the_face(angle):
    turn = 3 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(
        frame(face(50) @ turn + (9, -4)).corners, 50 * UNIT @ turn + (9, -4), atol=1e-9
    )


def test_a_long_face_is_framed_by_its_length():
    points = face(100)
    points[[48, 54], 1] += 30  # eyes to mouth: 57 pixels, 1.8 times which exceeds twice the eyes' 25
    assert frame(points).side == pytest.approx(2 * 1.8 * 57)


def test_five_landmarks_frame_about_the_same_face():
    left, right = moved(EYES, 0, 0.003)  # its eyes are the corners' middles, a little lower
    corners = [moved(right, 0.04, 0), moved(right, -0.04, 0), moved(left, -0.04, 0), moved(left, 0.04, 0)]
    five = 200 * np.array([*corners, (0.5, 0.662)])
    np.testing.assert_allclose(frame(five).corners / 200, UNIT, atol=0.01)


def test_landmarks_in_one_point_are_refused():
    with pytest.raises(AlignmentError, match="one point"):
        frame(np.ones((68, 2)))


@pytest.mark.parametrize("angle", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("tool", [cut, sample])
def test_a_turned_square_is_cut_upright(waves, angle, tool):
    x, y = 60 * np.cos(angle), 60 * np.sin(angle)
    square = Square((160.0, 150.0), (x, y))
    crop = tool(waves, square, 120)
    places = (np.indices((120, 120)).reshape(2, -1)[::-1].T + 0.5) / 120
    expected = square.to_photo(places).reshape(120, 120, 2)
    at = np.clip(np.rint(expected - 0.5), 0, 319).astype(int)
    nearest = np.asarray(waves, dtype=float)[at[..., 1], at[..., 0]]
    assert (
        np.abs(np.asarray(crop, dtype=float) - nearest).max() < 6
    )  # half a pixel of these waves is 3 levels


def test_large_photographs_are_antialiased():
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (1200, 600))
    photo = Image.fromarray(np.repeat(stripes[..., None], 3, axis=2))
    crop = np.asarray(cut(photo, Square((600.0, 600.0), (500.0, 40.0)), 64), dtype=float)
    assert np.abs(crop - 127.5).max() < 12


@pytest.mark.parametrize("corner", [(0, 0), (320, 0), (0, 320), (320, 320), (160, 320)])
def test_a_face_in_a_corner_is_continued_without_an_edge(corner):
    grey = Image.new("RGB", (320, 320), (180, 150, 120))
    crop = cut(grey, Square((float(corner[0]), float(corner[1])), (100.0, 30.0)), 128)
    assert difference(crop, Image.new("RGB", (128, 128), (180, 150, 120))) <= 1  # black would be 180 off


def test_padding_leaves_the_photograph_and_fades_beyond(waves):
    square = Square((40.0, 160.0), (100.0, 0.0))  # 60 pixels, 30 %, beyond the left edge
    crop = np.asarray(cut(waves, square, 200), dtype=float)
    inside = np.asarray(waves.crop((20, 60, 140, 260)), dtype=float)
    assert np.abs(crop[:, 80:] - inside).max() < 4
    median = np.median(np.asarray(waves.crop((0, 40, 160, 280))), axis=(0, 1))
    assert np.abs(crop[:, 0] - median).max() < 12
    assert np.abs(np.diff(crop, axis=1)).max() < 12  # no seam


def test_a_square_beyond_the_photograph_is_refused(waves):
    with pytest.raises(AlignmentError, match="outside"):
        cut(waves, Square((900.0, 100.0), (50.0, 0.0)), 64)


def test_an_aligned_picture_passes(waves):
    aligner = Landmarks()
    assert difference(framed(aligner, waves, subject(face(320)), 320), waves) == 0
    near = framed(aligner, waves, subject(moved(face(320), 6, -5)), 160)
    assert difference(near, waves.resize((160, 160), Image.Resampling.LANCZOS, reducing_gap=3)) == 0


@pytest.mark.parametrize("points", [moved(face(320), 20, 0), moved(face(250), 30, 30)])
def test_what_is_not_aligned_is_cropped(waves, points):
    crop = framed(Landmarks(), waves, subject(points), 160)
    assert difference(crop, cut(waves, frame(points), 160)) == 0


def test_only_square_pictures_pass(waves):
    wide = waves.crop((0, 0, 318, 320))
    assert difference(framed(Landmarks(), wide, subject(face(320)), 320), waves) > 0


@pytest.mark.parametrize("name", names(Aligner))
@pytest.mark.parametrize("box", [(40, 60, 200, 180), (-30, -20, 150, 170), (200, 150, 340, 300)])
def test_every_crop_shows_the_square_of_its_frame(name, box, waves):
    """Contract: a place of the crop is where the frame says, whatever size the crop has; also for subjects
    that lean out of the photograph, and in photographs of any shape."""
    aligner, photo = find(Aligner, name)(), waves.crop((0, 0, 317, 291))
    left, top, right, bottom = box
    side = min(right - left, bottom - top)
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    points = (face(side) - side / 2) @ turn + ((left + right) / 2, (top + bottom) / 2)
    square = aligner.frame(photo, Subject(box, tuple((float(x), float(y)) for x, y in points)))
    places = np.random.default_rng(0).uniform(0.02, 0.98, (400, 2))
    there = square.to_photo(places)
    inside = ((there > 2) & (there < np.array(photo.size) - 2)).all(1)
    x, y = there[inside].astype(int).T
    for size in (160, 257):
        crop = np.asarray(aligner.crop(photo, square, size), dtype=float)
        u, v = (places[inside] * size).astype(int).T
        assert np.abs(crop[v, u] - np.asarray(photo, dtype=float)[y, x]).max() < 14  # a pixel is 5 levels


def test_places_go_to_the_square_and_back():
    square, places = Square((31.0, 17.5), (-8.0, 5.0)), np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(square.from_photo(square.to_photo(places)), places, atol=1e-12)
    np.testing.assert_allclose(square.to_photo(UNIT), square.corners)


def test_one_face_is_found_once():
    faces = [
        Square((100.0, 100.0), (40.0, 0.0)),
        Square((100.0, 135.0), (36.0, 0.0)),
        Square((160.0, 100.0), (40.0, 9.0)),
    ]
    assert module._distinct(faces) == [faces[0], faces[2]]


@pytest.mark.parametrize("settings", [{"points": 7}, {"tolerance": -1.0}, {"tolerance": 0.9}, {"ponts": 5}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ConfigError, match="Landmarks"):
        build(Aligner, {"name": "landmarks", **settings}, "faces.yaml")


def test_the_centre_square(waves):
    wide = waves.crop((0, 0, 320, 200))
    assert Center().detect(wide) == [Subject((60, 0, 260, 200))]
    assert difference(Center().align(wide, 200), wide.crop((60, 0, 260, 200))) == 0


def test_a_drawn_square(waves):
    crop = framed(Center(), waves, Subject((100, 50, 200, 150)), 100)
    assert difference(crop, waves.crop((100, 50, 200, 150))) == 0
    beyond = np.asarray(framed(Center(), waves, Subject((-50, 100, 150, 300)), 200), dtype=float)
    inside = np.asarray(waves.crop((20, 100, 150, 300)), dtype=float)  # nearer to the edge it is blurred
    assert np.abs(beyond[:, 70:] - inside).max() < 4
    assert beyond.min() > 10
    longer = framed(Center(), waves, Subject((100, 100, 200, 160)), 100)  # its longer side
    assert difference(longer, waves.crop((100, 80, 200, 180))) == 0


@pytest.mark.parametrize("box", [(50, 50, 50, 90), (90, 50, 50, 90), (400, 0, 500, 100)])
def test_a_box_without_pixels_is_refused(waves, box):
    with pytest.raises(AlignmentError):
        framed(Center(), waves, Subject(box), 64)


# From here on with dlib's models.


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    data = pytest.importorskip("skimage.data")
    return Image.fromarray(data.astronaut())


@pytest.fixture(scope="module")
def aligner() -> Landmarks:
    return Landmarks()


@pytest.fixture(scope="module")
def aligned(aligner, astronaut) -> Image.Image:
    return aligner.align(astronaut, 512)


def shift(crop: Image.Image, aligner: Landmarks) -> float:
    """How far the frame of the crop's own face is from the crop, in sides."""
    [found] = aligner.detect(crop)
    return float(np.abs(of_face(found.landmarks).corners / crop.width - UNIT).max())


@pytest.mark.weights
@pytest.mark.parametrize("points", [68, 5])
def test_one_face_in_the_frame(aligner, astronaut, points):
    own = aligner if points == 68 else Landmarks(points=points)
    [found] = own.detect(astronaut)
    left, top, right, bottom = found.box
    assert len(found.landmarks) == points
    assert left < 224 < right  # the tip of her nose
    assert top < 130 < bottom
    crop = framed(own, astronaut, found, 512)
    assert crop.size == (512, 512)
    assert shift(crop, aligner) < (0.02 if points == 68 else 0.04)


@pytest.mark.weights
def test_aligned_twice_is_aligned_once(aligner, aligned):
    assert difference(aligner.align(aligned, 512), aligned) == 0


@pytest.mark.weights
def test_largest_face_first_and_the_others_by_index(aligner, astronaut):
    photo = Image.new("RGB", (900, 512), (120, 120, 120))
    photo.paste(astronaut.resize((380, 380)), (0, 60))
    photo.paste(astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (388, 0))
    large, small = aligner.detect(photo)
    assert large.box[0] > 388 > small.box[2]
    mirrored = aligner.align(photo, 256, index=1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    faces = [np.asarray(face, dtype=float) for face in (aligner.align(photo, 256), mirrored)]
    assert np.abs(faces[0] - faces[1]).mean() < 12
    with pytest.raises(AlignmentError, match="only 2 found"):
        aligner.align(photo, 256, index=2)


@pytest.mark.weights
@pytest.mark.parametrize("angle", [90, 180, 35, -50])
def test_turned_photographs_come_out_upright(aligner, astronaut, aligned, angle):
    turned = astronaut.rotate(angle, expand=True, resample=Image.Resampling.BICUBIC)
    crop = aligner.align(turned, 512)
    assert np.abs(np.asarray(crop, dtype=float) - np.asarray(aligned, dtype=float)).mean() < 10
    assert shift(crop, aligner) < 0.03


@pytest.mark.weights
@pytest.mark.parametrize("box", [(180, 66, 270, 190), (180, 80, 512, 400)])
def test_tight_and_cut_off_faces_are_padded(aligner, astronaut, box):
    crop = aligner.align(astronaut.crop(box), 256)
    assert shift(crop, aligner) < 0.03
    assert np.asarray(crop)[0].min() > 50  # no black border


@pytest.mark.weights
def test_large_and_small_photographs_of_one_face_give_one_crop(aligner, astronaut, aligned):
    for size in (256, 3000):
        crop = aligner.align(astronaut.resize((size, size), Image.Resampling.LANCZOS), 512)
        assert np.abs(np.asarray(crop, dtype=float) - np.asarray(aligned, dtype=float)).mean() < 8


@pytest.mark.weights
def test_a_box_drawn_around_a_face_will_do(aligner, astronaut, aligned):
    crop = framed(aligner, astronaut, Subject((180, 75, 268, 165)), 512)
    assert np.abs(np.asarray(crop, dtype=float) - np.asarray(aligned, dtype=float)).mean() < 8


@pytest.mark.weights
def test_no_face_says_what_to_do(aligner, waves):
    with pytest.raises(AlignmentError, match=r"none was found.*centre crop"):
        aligner.align(waves.resize((96, 64)), 256)


@pytest.mark.weights
def test_one_at_a_time_whatever_the_threads(astronaut):
    aligner, results = Landmarks(points=5), []
    threads = [threading.Thread(target=lambda: results.append(aligner.detect(astronaut))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(result == results[0] for result in results)
    assert not module.LOCK._is_owned()  # type: ignore[attr-defined]
