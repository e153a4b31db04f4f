"""From a folder or a video to crops: one transform for all frames, JPEGs decoded small, and limits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_faces import lanczos

from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.imaging.faces import FaceDetector, align_crop, crop_frames, resize_frames
from affnet_tf.imaging.frames import iterate_frames, read_image
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.crops import crop_clip, crop_source, locate_face

VIDEO = Path(
    os.environ.get(
        "AFFNET_VIDEO", Path(__file__).resolve().parents[2] / "shared" / "data" / "WolfgangLanger_Pexels.mp4"
    )
)
needs_video = pytest.mark.skipif(not VIDEO.is_file(), reason="AFFNET_VIDEO names no video")


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    pytest.importorskip("mtcnn")
    return FaceDetector()


def write(folder: Path, frames, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, 1):
        cv2.imwrite(str(folder / f"img{number}{suffix}"), np.ascontiguousarray(frame[..., ::-1]))
    return folder


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def test_without_a_detector_the_whole_frame_is_resized(tmp_path):
    frames = [texture(60, 50), texture(60, 50, 1), texture(60, 50, 2)]
    crops, index = crop_source(write(tmp_path / "clip", frames), 2, 3, 32, None)
    np.testing.assert_array_equal(crops, resize_frames(frames[1:], 32))
    assert index is None


@pytest.mark.parametrize(("height", "width"), [(640, 600), (600, 720), (900, 830), (1240, 1210)])
def test_jpegs_are_decoded_small(tmp_path, height, width):
    """Against the ideal low-pass of the whole frame: no worse than averaging over its areas."""
    picture = texture(height, width)
    path = write(tmp_path / "clip", [picture] * 2, ".jpg")
    small = next(iterate_frames(path, least=100))
    assert 300 <= min(small.shape[:2]) < 600
    whole = read_image(path / "img1.jpg")
    assert whole.shape == picture.shape
    ideal = low_pass(whole.astype(float), 100)

    def error(crop: np.ndarray) -> float:
        return float(np.sqrt(np.mean((crop - ideal)[4:-4, 4:-4] ** 2)))

    averaged = cv2.resize(whole, (100, 100), interpolation=cv2.INTER_AREA)
    assert error(crop_source(path, None, None, 100, None)[0][0]) < error(averaged) + 0.5


def low_pass(picture: np.ndarray, size: int) -> np.ndarray:
    """The ideal one of (H, W, 3), in float64, at size x size."""
    down, across = (lanczos(length, size) for length in picture.shape[:2])
    return np.stack([down @ picture[..., i] @ across.T for i in range(3)], -1)


def moved(picture: np.ndarray, shift: float) -> np.ndarray:
    """To the right by ``shift`` pixels and down by half as much, by Fourier's shift theorem."""
    down, across = (np.fft.fftfreq(length) for length in picture.shape[:2])
    phase = np.exp(-2j * np.pi * shift * (across[None, :, None] + down[:, None, None] / 2))
    return np.fft.ifft2(np.fft.fft2(picture, axes=(0, 1)) * phase, axes=(0, 1)).real


@pytest.mark.parametrize(
    ("height", "width", "size", "slack"),
    [
        (340, 280, 128, 0.06),  # these two are decoded at a half, which costs correlation
        (340, 280, 112, 0.065),
        (340, 280, 144, 0.015),
        (231, 231, 112, 0.015),
        (231, 231, 128, 0.015),
        (231, 231, 144, 0.015),
        (340, 280, 45, 0.015),
        (600, 512, 64, 0.015),
    ],
)
def test_small_motion_survives(photograph, tmp_path, height, width, size, slack):
    """Differences of frames, against the ideal low-pass of what was never compressed, in float64."""
    photograph = read_image(photograph).astype(float)
    down, across = lanczos(600, height), lanczos(512, width)
    still = np.stack([down @ photograph[..., i] @ across.T for i in range(3)], -1)
    frames = [np.clip(np.rint(moved(still, shift)), 0, 255).astype(np.uint8) for shift in (0, 0.5, 1, 2)]
    path = write(tmp_path / "clip", frames, ".jpg")  # quality 95

    def differences(crops: np.ndarray) -> np.ndarray:
        return (crops[1:] - crops[:1].astype(float))[:, 8:-8, 8:-8].reshape(3, -1)

    def judged(crops: np.ndarray) -> np.ndarray:
        """Of each shift: the gain, 1 if the motion is as strong as it should be, and the correlation."""
        pairs = list(zip(differences(crops), ideal, strict=True))
        return np.array([[a @ b / (b @ b), np.corrcoef(a, b)[0, 1]] for a, b in pairs])

    ideal = differences(np.stack([low_pass(frame.astype(float), size) for frame in frames]))
    whole = [read_image(path / f"img{number}.jpg") for number in range(1, 5)]
    averaged = judged(np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in whole]))
    taken = judged(crop_source(path, None, None, size, None)[0])
    for name, values in (("taken", taken), ("averaged", averaged)):  # shown with -s
        told = ", ".join(f"{gain:.2f} at {correlation:.2f}" for gain, correlation in values)
        print(f"{height}x{width} to {size}, {name}: {told} (gain at correlation; 0.5, 1 and 2 pixels)")
    assert (taken[:, 0] > averaged[:, 0] - 0.02).all()
    assert (taken[:, 1] > averaged[:, 1] - slack).all()


def test_other_formats_and_smaller_jpegs_are_decoded_whole(tmp_path):
    frame = texture(90, 70)
    for suffix in (".png", ".bmp"):
        np.testing.assert_array_equal(
            read_image(write(tmp_path / suffix, [frame], suffix) / f"img1{suffix}", least=10), frame
        )
    path = write(tmp_path / "jpg", [frame], ".jpg") / "img1.jpg"
    np.testing.assert_array_equal(read_image(path, least=36), read_image(path))
    assert read_image(path, least=35).shape == (45, 35, 3)
    grey, odd = tmp_path / "grey.jpg", tmp_path / "odd.jpg"
    cv2.imwrite(str(grey), frame[..., 0])
    assert read_image(grey, least=35).shape == (45, 35, 3)
    cv2.imwrite(str(odd), frame[:89])
    np.testing.assert_array_equal(read_image(odd, least=12), read_image(odd))
    assert read_image(odd, least=11).shape == (45, 35, 3)


def test_sizes_are_told_apart_although_they_decode_to_one(tmp_path):
    path = write(tmp_path / "clip", [texture(200, 160), texture(199, 160)], ".jpg")
    with pytest.raises(InputError, match=r"one size, 160x200 like the first\. Received: .*img2\.jpg' of 160x199"):
        crop_source(path, None, None, 64, None)


def test_the_face_is_looked_for_on_the_first_frame_then_on_later_ones(detector, tmp_path, photograph):
    image = cv2.resize(read_image(photograph), (256, 300), interpolation=cv2.INTER_AREA)
    empty = np.zeros_like(image)
    first = write(tmp_path / "first", [image, image, empty])
    assert locate_face(first, None, None, 64, detector)[1] == 0
    late = write(tmp_path / "late", [empty] * 5 + [image] * 7)
    transform, index = locate_face(late, None, None, 64, detector)
    assert index == 5
    crops, again = crop_source(late, None, None, 64, detector)
    np.testing.assert_array_equal(crops, crop_frames([empty] * 5 + [image] * 7, transform, 64))
    assert again == 5
    np.testing.assert_allclose(transform, align_crop(detector.detect(image)[0], 64))
    with pytest.raises(InputError, match=r"none' must show a face\. Received: none on 2 of its 2 frames$"):
        crop_source(write(tmp_path / "none", [empty] * 2), None, None, 64, detector)


@needs_video
def test_a_real_video(detector):
    crops, index = crop_source(VIDEO, 0, 40, 112, detector)
    assert (crops.shape, index) == ((41, 112, 112, 3), 0)


def test_a_clip_that_would_not_fit_in_memory_is_refused_before_it_is_read(tmp_path):
    settings = CropConfig(size=1024, detector="none")
    assert settings.most_frames == 85  # of 3 MiB each
    clip = Clip("casme2", "sub01", "a", tmp_path, 1, 86, "others")
    with pytest.raises(InputError, match=r"must have at most 85 frames, .* Received: 86$"):
        crop_clip(clip, settings)
    assert CropConfig(size=1024, detector="none", magnify=4).most_frames == 21
    assert CropConfig().most_frames == 5461
    small = CropConfig(size=28, magnify=4).most_frames
    assert 4 * 28**2 * 3 * small + 4 * small**2 <= 256 << 20 < 4 * 28**2 * 3 * (small + 1) + 4 * (small + 1) ** 2


def test_a_video_is_refused_at_the_first_frame_too_many(tmp_path, monkeypatch):
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (48, 48))
    for i in range(30):
        writer.write(texture(48, 48, i))
    writer.release()
    clip = Clip("mine", "a", "a", tmp_path / "a.avi", 0, None, "others")
    settings = CropConfig(size=1700, detector="none")
    assert settings.most_frames == 30
    assert len(crop_clip(clip, settings).frames) == 30
    with pytest.raises(InputError, match=r"at most 29 frames, .* Received: 30 or more$"):
        crop_clip(clip, CropConfig(size=1730, detector="none"))
    assert len(crop_source(clip.frames, None, None, 48, None, most=30)[0]) == 30
    with pytest.raises(InputError, match=r"at most 29 frames, .* Received: 30 or more$"):
        crop_source(clip.frames, None, None, 48, None, most=29)


def test_cropping_needs_no_tensorflow():
    program = (
        "import sys, affnet_tf.pipeline.prepare; print(sorted({'tensorflow', 'keras', 'mtcnn'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
