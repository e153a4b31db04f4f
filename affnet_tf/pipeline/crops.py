"""From a clip on disk to its cropped frames: one crop per clip, one frame in memory at a time. No TensorFlow in here."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Protocol

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

__all__ = ["CropConfig", "CroppedClip", "apex_place", "crop_clip", "crop_source"]

# Frames on which a face is looked for: the first, then others evenly spaced up to the last.
ATTEMPTS = 10


class Annotated(Protocol):
    """What tells where a clip peaks."""

    onset: int
    apex: int | None
    offset: int | None


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
        detector = _detector(settings.detector)
        frames, _ = crop_source(clip.frames, clip.onset, clip.offset, settings.size, detector, settings.margin)
        if len(frames) < 2:
            raise InputError(f"must have at least 2 frames. Received: {len(frames)}")
        fps = video_info(clip.frames).fps if clip.kind == "video" else None
        if settings.magnify:
            rate = clip.fps or fps
            if rate is None:
                raise InputError("must have frames per second to be magnified. Received: none")
            frames = magnify(frames, settings.magnify, *settings.band, rate)
        return CroppedClip(frames, optical_flow(frames[0], frames[apex_place(clip, len(frames))]), fps)
    except InputError as error:
        return f"{clip.dataset} clip {clip.clip_id!r}: {error}"


def apex_place(clip: Annotated, length: int) -> int:
    """The apex's place among the frames that were read; a release may hold only every n-th of them."""
    if clip.apex is None or clip.offset is None or clip.offset == clip.onset:
        return length // 2
    place = round((clip.apex - clip.onset) / (clip.offset - clip.onset) * (length - 1))
    return min(max(place, 1), length - 1)


def crop_source(
    path: str | os.PathLike,
    start: int | None,
    end: int | None,
    size: int,
    detector: FaceDetector | None,
    margin: float = 0.1,
) -> tuple[np.ndarray, int | None]:
    """The crops of a frame folder or a video from ``start`` to ``end``, inclusive.

    The face is looked for on the first frame, then on others up to the last; its crop serves all frames. The frames are
    read twice, so that no whole frame is kept.

    Args:
        path: the folder or the video.
        start: number of the first frame; None: where it begins.
        end: number of the last; None: where it ends.
        size: height and width of a crop.
        detector: what finds the face; None: the frames are crops already and are only resized.
        margin: room around the face, as a share of its side.

    Returns:
        uint8 (T, size, size, 3), and the index of the frame that gave the crop; None without a detector.

    Raises:
        InputError: the frames cannot be read, or none of those tried shows a face.
    """
    if detector is None:
        return resize_frames(iterate_frames(path, start, end), size), None
    total = len(frame_numbers(path, start, end))
    tried = {round(i) for i in np.linspace(0, total - 1, min(ATTEMPTS, total))}
    for index, frame in enumerate(iterate_frames(path, start, end)):
        faces = detector.detect(frame) if index in tried else []
        if faces:
            return crop_frames(iterate_frames(path, start, end), align_crop(faces[0], size, margin), size), index
    raise InputError(f"{str(path)!r} must show a face. Received: none on {len(tried)} of its {total} frames")


@functools.cache
def _detector(name: str) -> FaceDetector | None:
    """One detector per process: loading its network costs seconds."""
    return face_detector(name)
