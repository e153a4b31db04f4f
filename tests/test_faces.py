"""One transform per clip: its geometry by hand, and a real face found and levelled."""

from __future__ import annotations

import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from affnet_tf.errors import InputError
from affnet_tf.imaging.faces import (
    Face,
    FaceDetector,
    align_crop,
    crop_frames,
    face_detector,
    resize_frames,
)
from affnet_tf.imaging.frames import read_image


def face(left=(100.0, 80.0), right=(160.0, 80.0), height=150.0) -> Face:
    return Face((90.0, 40.0, 80.0, height), (left, right), 1.0)


def apply(matrix: np.ndarray, *points) -> np.ndarray:
    return np.array([matrix @ (x, y, 1.0) for x, y in points])


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 0, 255, cv2.NORM_MINMAX)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    pytest.importorskip("mtcnn")
    return FaceDetector()


def test_level_eyes_by_hand():
    # 60 px between the eyes, no margin: side 156 px, so a crop of 78 halves it. The midpoint (130, 80) goes to
    # x = 78 / 2 - 0.5 = 38.5 and y = 0.28 * 78 - 0.5 = 21.34.
    matrix = align_crop(face(), 78, margin=0.0)
    np.testing.assert_allclose(matrix, [[0.5, 0, 38.5 - 65], [0, 0.5, 21.34 - 40]], atol=1e-9)


def test_margin_is_added_on_all_four_sides():
    bare, wide = align_crop(face(), 100, 0.0), align_crop(face(), 150, 0.25)  # 100 + 25 on each side, one scale
    np.testing.assert_allclose(wide - bare, [[0, 0, 25], [0, 0, 25]], atol=1e-9)


@pytest.mark.parametrize("degrees", [-40, -5, 0, 17, 80])
def test_tilted_eyes_become_level(degrees):
    angle = np.deg2rad(degrees)
    left = (300.0, 200.0)
    right = (300 + 90 * np.cos(angle), 200 + 90 * np.sin(angle))
    matrix = align_crop(face(left, right), 112, margin=0.1)
    (x0, y0), (x1, y1) = apply(matrix, left, right)
    assert y0 == pytest.approx(y1, abs=1e-9)
    assert x1 - x0 == pytest.approx(112 / (2.6 * 1.2))
    assert (x0 + x1) / 2 == pytest.approx(55.5)
    linear = matrix[:, :2]  # a similarity: neither sheared nor mirrored
    np.testing.assert_allclose(linear @ linear.T, np.linalg.det(linear) * np.eye(2), atol=1e-12)
    assert np.linalg.det(linear) > 0


def test_a_head_turned_away_is_not_zoomed_into():
    matrix = align_crop(face((100, 80), (103, 80), height=150), 117, margin=0.0)
    assert matrix[0, 0] == pytest.approx(117 / (2.6 * 45))
    assert np.isfinite(align_crop(face((100, 80), (100, 80)), 64)).all()


def test_pixels_land_where_the_matrix_says():
    """A white disc on the left eye, seen through shrinking, growing and turning."""
    for right in ((340.0, 260.0), (290.0, 215.0), (218.0, 205.0)):
        image = np.zeros((480, 640, 3), np.uint8)
        left = (200, 200)
        cv2.circle(image, left, 6, (255, 255, 255), -1, cv2.LINE_AA)
        matrix = align_crop(face(left, right, height=10), 112)
        crop = crop_frames([image], matrix, 112)[0][..., 0].astype(float)
        rows, columns = np.indices(crop.shape)
        centre = (crop * columns).sum() / crop.sum(), (crop * rows).sum() / crop.sum()
        np.testing.assert_allclose(centre, apply(matrix, left)[0], atol=0.06)


def test_shrinking_averages_instead_of_skipping():
    """Stripes finer than the crop can show must become their mean, wherever they lie."""
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    matrix = align_crop(face((140, 160), (260, 160), height=10), 60, margin=0.0)  # scale 0.19
    crops = crop_frames([stripes, np.roll(stripes, 1, axis=1)], matrix, 60)
    np.testing.assert_allclose(crops, 100, atol=20)
    assert np.ptp(cv2.warpAffine(stripes, matrix, (60, 60))) > 100  # what a bare warp does


def test_crop_agrees_with_a_dense_average():
    """Reference: the transform inverted at 8 x 8 points per crop pixel, read bilinearly, averaged."""
    image = texture(300, 400)
    size, many = 48, 8
    matrix = align_crop(face((150, 130), (245, 150), height=10), size)
    fine = (np.arange(size * many) + 0.5) / many - 0.5
    x, y = np.meshgrid(fine, fine)
    back = cv2.invertAffineTransform(matrix)
    maps = [(row[0] * x + row[1] * y + row[2]).astype(np.float32) for row in back]
    dense = cv2.remap(image.astype(np.float32), *maps, cv2.INTER_LINEAR)
    expected = dense.reshape(size, many, size, many, 3).mean((1, 3))
    inside = np.s_[8:-12, 4:-4]  # off the black border, which the reference reads differently
    error = np.abs(crop_frames([image], matrix, size)[0] - expected)[inside]
    assert error.mean() < 1.2
    assert error.max() < 7
    assert 2 * error.mean() < np.abs(cv2.warpAffine(image, matrix, (size, size)) - expected)[inside].mean()


def test_outside_the_frame_is_black_and_still():
    frames = np.stack([np.full((100, 100, 3), value, np.uint8) for value in (90, 200)])
    crops = crop_frames(frames, align_crop(face((2, 5), (42, 5), height=10), 64), 64)
    assert (crops[:, :8] == 0).all()
    assert (crops[0, 40:, 40:] == 90).all()
    elsewhere = crop_frames(frames, align_crop(face((2000, 5), (2090, 5), height=10), 64), 64)
    assert elsewhere.shape == (2, 64, 64, 3)
    assert not elsewhere.any()


def test_a_still_clip_stays_still_and_a_stream_is_enough():
    frame = texture(240, 320)
    matrix = align_crop(face((120, 100), (181, 93)), 96)
    crops = crop_frames((frame for _ in range(5)), matrix, 96)
    assert crops.shape == (5, 96, 96, 3)
    assert crops.dtype == np.uint8
    assert (crops == crops[0]).all()
    assert np.ptp(crops[0]) > 100
    assert crop_frames([], matrix, 96).shape == (0, 96, 96, 3)


def test_resize_goes_straight_to_the_square():
    frame = np.zeros((340, 280, 3), np.uint8)
    frame[:170, :140] = 240
    out = resize_frames([frame, frame], 112)
    assert out.shape == (2, 112, 112, 3)
    assert out.dtype == np.uint8
    expected = np.zeros((112, 112, 3))
    expected[:56, :56] = 240
    np.testing.assert_array_equal(out[0], expected)


def test_resize_averages_the_axis_that_shrinks():
    stripes = np.zeros((20, 300, 3), np.uint8)
    stripes[:, ::2] = 200  # the height grows while the width shrinks
    np.testing.assert_allclose(resize_frames([stripes], 50)[0], 100, atol=2)
    assert (resize_frames([np.full((20, 20, 3), 7, np.uint8)], 60) == 7).all()


def lanczos(length: int, size: int) -> np.ndarray:
    """The ideal low-pass, near enough: (size, length) weights of a windowed sinc, wider as it shrinks more."""
    scale = max(length / size, 1)
    centres = (np.arange(size) + 0.5) * length / size - 0.5
    away = (np.arange(length) - centres[:, None]) / scale
    weights = np.sinc(away) * np.sinc(away / 3) * (np.abs(away) < 3)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("shrinks", [1.1, 1.33, 1.5, 1.7, 1.9, 2.6])
def test_no_resize_is_much_worse_than_averaging_over_areas(shrinks):
    noise = np.random.default_rng(0).normal(size=(400, 400))
    side, size = round(100 * shrinks), 100
    picture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1), None, 0, 255, cv2.NORM_MINMAX)[:side, :side]
    frame = np.dstack([picture.round().astype(np.uint8)] * 3)
    ideal = lanczos(side, size) @ frame[..., 0].astype(float) @ lanczos(side, size).T

    def error(crop: np.ndarray) -> float:
        return float(np.sqrt(np.mean((crop[..., 0] - ideal)[4:-4, 4:-4] ** 2)))

    area = error(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA))
    assert error(resize_frames([frame], size)[0]) <= 1.03 * area


def test_detectors_by_name():
    assert face_detector("none") is None
    assert isinstance(face_detector("mtcnn"), FaceDetector)
    with pytest.raises(InputError, match=r"must be one of mtcnn, none\. Received: 'mtcn'.*Did you mean 'mtcnn'"):
        face_detector("mtcn")


def test_a_real_face_is_found_and_levelled(detector, photograph):
    image = read_image(photograph)
    found = detector.detect(image)
    assert len(found) == 1
    assert found[0].score > 0.9
    (left, right), (x, y, width, height) = found[0].eyes, found[0].box
    np.testing.assert_allclose([left, right], [(220, 189), (308, 186)], atol=6)  # read off the picture
    assert x < left[0] < right[0] < x + width
    assert y < left[1] < y + height
    crops = crop_frames([image] * 2, align_crop(found[0], 112), 112)
    again = detector.detect(cv2.resize(crops[0], (336, 336), interpolation=cv2.INTER_CUBIC))[0].eyes
    assert abs(again[0][1] - again[1][1]) < 0.05 * (again[1][0] - again[0][0])


def test_array_and_readable_output_of_the_package_agree(detector, photograph):
    """The columns of the array are not documented as they are."""
    image = cv2.resize(read_image(photograph), (341, 400), interpolation=cv2.INTER_AREA)
    found = detector.detect(image)[0]
    readable = detector._network.detect_faces(image)[0]
    points = readable["keypoints"]
    np.testing.assert_allclose(found.eyes, [points["left_eye"], points["right_eye"]], atol=0.51)
    np.testing.assert_allclose(found.box, readable["box"], atol=1.01)
    assert found.score == pytest.approx(readable["confidence"])


def test_large_images_are_searched_small_and_answered_large(detector, photograph):
    image = read_image(photograph)
    large = cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    small, big = detector.detect(image)[0], detector.detect(large)[0]
    np.testing.assert_allclose(np.array(big.eyes) / 4, small.eyes, atol=5)
    np.testing.assert_allclose(np.array(big.box) / 4, small.box, atol=25)


def test_the_main_face_comes_first(detector, photograph):
    image = read_image(photograph)
    scene = np.zeros((600, 900, 3), np.uint8)
    scene[:600, 388:900] = image
    scene[300:600, 60:316] = cv2.resize(image, (256, 300), interpolation=cv2.INTER_AREA)
    found = detector.detect(scene)
    assert len(found) == 2
    assert found[0].box[0] > 388
    assert found[1].box[0] < 316


def test_nothing_to_find_in_noise_or_in_a_speck(detector):
    assert detector.detect(np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)) == []
    assert detector.detect(np.zeros((1, 3000, 3), np.uint8)) == []


def test_a_detector_travels_to_other_processes_before_its_first_image():
    assert isinstance(pickle.loads(pickle.dumps(FaceDetector())), FaceDetector)


def test_loading_is_silent_and_late():
    pytest.importorskip("mtcnn")
    code = (
        "import sys, numpy as np; from affnet_tf.imaging.faces import FaceDetector; d = FaceDetector()\n"
        "assert 'tensorflow' not in sys.modules and 'mtcnn' not in sys.modules\n"
        "print(d.detect(np.zeros((64, 64, 3), np.uint8))); print('heard', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "heard\n")


def test_a_missing_package_is_one_line():
    code = (
        "import sys; sys.modules['mtcnn'] = None\n"
        "import numpy as np; from affnet_tf.imaging.faces import FaceDetector\n"
        "try: FaceDetector().detect(np.zeros((64, 64, 3), np.uint8))\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install mtcnn" in done.stdout
    assert done.stdout.count("\n") == 1
