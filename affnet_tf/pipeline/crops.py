"""From a clip on disk to its cropped frames: one crop per clip, one frame in memory at a time. No TensorFlow in here."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator

import numpy as np

from affnet_tf.config import check
from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError, unknown
from affnet_tf.imaging.faces import (
    DETECTORS,
    FaceDetector,
    align_crop,
    crop_frames,
    face_detector,
    resize_frames,
)
from affnet_tf.imaging.flow import optical_flow
from affnet_tf.imaging.frames import frame_numbers, iterate_frames, read_image, video_info
from affnet_tf.imaging.magnify import magnify

__all__ = ["CropConfig", "CroppedClip", "crop_clip", "crop_source"]

ATTEMPTS = 5


@dataclasses.dataclass(frozen=True)
class CropConfig:
    """How frames become square crops.

    Attributes:
        size: height and width of a crop, in pixels.
        detector: ``mtcnn`` finds the face on the onset frame; ``none`` resizes frames that are crops already.
        margin: room around the face, as a share of its side.
        magnify: factor of the linear Eulerian motion magnification (Wu et al. 2012); 0: none.
        band: the frequencies that are magnified, in Hz: lower and upper edge.
    """

    size: int = 128
    detector: str = "mtcnn"
    margin: float = 0.1
    magnify: float = 0.0
    band: tuple[float, float] = (1.0, 10.0)

    def __post_init__(self) -> None:
        check(self.size >= 28, "size", "be at least 28", self.size)
        check(0 <= self.margin <= 2, "margin", "lie in [0, 2]", self.margin)
        check(self.magnify >= 0, "magnify", "be 0 or more", self.magnify)
        check(0 < self.band[0] < self.band[1], "band", "be two frequencies above 0, the lower one first", self.band)
        if self.detector not in DETECTORS:
            raise unknown("detector", self.detector, DETECTORS)


@dataclasses.dataclass(frozen=True)
class CroppedClip:
    """What is stored of a clip.

    Attributes:
        frames: uint8 (T, size, size, 3); of a ready-made motion image, that image alone.
        flow: float32 (size, size, 3): optical flow (u, v in pixels, strain) from onset to apex; None for an image.
        fps: what a video's header states, or None.
    """

    frames: np.ndarray
    flow: np.ndarray | None
    fps: float | None


def crop_clip(clip: Clip, settings: CropConfig) -> CroppedClip | str:
    """The crops of an annotated clip, or one line that says why there are none.

    The flow goes from the onset to the apex, or to the middle of a clip without an apex.
    """
    try:
        if clip.kind == "image":
            return CroppedClip(resize_frames([read_image(clip.frames)], settings.size), None, None)
        frames = crop_source(clip.frames, clip.onset, clip.offset, settings)
        if len(frames) < 2:
            raise InputError(f"must have at least 2 frames. Received: {len(frames)}")
        fps = video_info(clip.frames).fps if clip.kind == "video" else None
        if settings.magnify:
            rate = clip.fps or fps
            if rate is None:
                raise InputError("must have frames per second to be magnified. Received: none")
            frames = magnify(frames, settings.magnify, *settings.band, rate)
        return CroppedClip(frames, optical_flow(frames[0], frames[_apex(clip, len(frames))]), fps)
    except InputError as error:
        return f"{clip.dataset} clip {clip.clip_id!r}: {error}"


def _apex(clip: Clip, length: int) -> int:
    """The apex's place among the frames that were read; a release may hold only every n-th of them."""
    if clip.apex is None or clip.offset is None or clip.offset == clip.onset:
        return length // 2
    place = round((clip.apex - clip.onset) / (clip.offset - clip.onset) * (length - 1))
    return min(max(place, 1), length - 1)


def crop_source(path: str | os.PathLike, start: int | None, end: int | None, settings: CropConfig) -> np.ndarray:
    """The crops of a frame folder or a video from ``start`` to ``end``, inclusive.

    The face is looked for on the first frame, then on others up to the last; its crop serves all frames.

    Returns:
        uint8 (T, size, size, 3).

    Raises:
        InputError: the frames cannot be read, or none of those tried shows a face.
    """
    if settings.detector == "none":
        return resize_frames(iterate_frames(path, start, end), settings.size)

    def stream() -> Iterator[np.ndarray]:
        return iterate_frames(path, start, end)

    matrix = _find_crop(stream, path, start, end, settings)
    return crop_frames(stream(), matrix, settings.size)


def _find_crop(
    stream: Callable[[], Iterator[np.ndarray]],
    path: str | os.PathLike,
    start: int | None,
    end: int | None,
    settings: CropConfig,
) -> np.ndarray:
    detector = _detector(settings.detector)
    total = len(frame_numbers(path, start, end))
    tried = sorted({round(i * (total - 1) / (ATTEMPTS - 1)) for i in range(ATTEMPTS)})
    frames = stream()
    position = -1
    for index in tried:
        frame = next(itertools.islice(frames, index - position - 1, None), None)
        position = index
        if frame is None:  # a video may hold fewer frames than its header says
            break
        faces = detector.detect(frame)
        if faces:
            return align_crop(faces[0], settings.size, settings.margin)
    raise InputError(f"a frame must show a face. Received: none on frames {', '.join(map(str, tried))} of {total}")


@functools.cache
def _detector(name: str) -> FaceDetector:
    """One detector per process: loading its network costs seconds."""
    return face_detector(name)
