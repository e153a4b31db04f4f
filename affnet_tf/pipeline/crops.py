"""From a clip on disk to its cropped frames: one crop per clip, one whole frame in memory at a time. No TensorFlow in here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.imaging.faces import (
    FaceDetector,
    align_crop,
    crop_frames,
    resize_frames,
)
from affnet_tf.imaging.flow import optical_flow
from affnet_tf.imaging.frames import frame_numbers, iterate_frames, read_image, video_info
from affnet_tf.imaging.magnify import magnify
from affnet_tf.pipeline.crop_config import CropConfig

__all__ = ["REVISION", "CroppedClip", "TooLong", "apex_place", "crop_clip", "crop_source", "locate_face"]

# Counts up with every change after which the same frames and settings give other crops or another flow.
REVISION = 2
# Frames on which a face is looked for: the first, then others evenly spaced up to the last.
ATTEMPTS = 10


class Annotated(Protocol):
    """What tells where a clip peaks."""

    onset: int
    apex: int | None
    offset: int | None


class TooLong(InputError):
    """A clip with more frames than fit in memory.

    Attributes:
        received: how many, in words.
    """

    def __init__(self, most: int, received: object) -> None:
        super().__init__(
            f"must have at most {most} frames, which is what fits in memory: a later onset or an earlier offset makes it "
            f"shorter. Received: {received}"
        )
        self.received = received


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


def crop_clip(clip: Clip, settings: CropConfig, transform: np.ndarray | None = None) -> CroppedClip:
    """The crops of an annotated clip.

    The flow goes from the onset to the apex, or to the middle of a clip without an apex.

    Args:
        clip: the clip.
        settings: how frames are cropped; the detector is not asked here.
        transform: what ``locate_face`` found; None: the frames are crops already and are only resized.

    Raises:
        InputError: the frames cannot be read; there is one only, or more than ``settings.most_frames``; no rate to magnify by.
    """
    if clip.kind == "image":
        image = read_image(clip.frames, least=settings.size)
        return CroppedClip(resize_frames([image], settings.size), None, None)
    most = settings.most_frames
    if clip.offset is not None and clip.offset - clip.onset >= most:
        raise TooLong(most, clip.offset - clip.onset + 1)
    frames = _crops(clip.frames, clip.onset, clip.offset, settings.size, transform, most)
    if len(frames) < 2:
        raise InputError(f"must have at least 2 frames. Received: {len(frames)}")
    fps = video_info(clip.frames).fps if clip.kind == "video" else None
    if settings.magnify:
        rate = clip.fps or fps
        if rate is None:
            raise InputError("must have frames per second to be magnified. Received: none")
        frames = magnify(frames, settings.magnify, *settings.band, rate)
    return CroppedClip(frames, optical_flow(frames[0], frames[apex_place(clip, len(frames))]), fps)


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
    most: int | None = None,
) -> tuple[np.ndarray, int | None]:
    """The crops of a frame folder or a video from ``start`` to ``end``, inclusive: what ``affnet prepare`` would store.

    Args:
        path: the folder or the video.
        start: number of the first frame; None: where it begins.
        end: number of the last; None: where it ends.
        size: height and width of a crop.
        detector: what finds the face, see ``locate_face``; None: the frames are crops already and are only resized.
        margin: room around the face, as a share of its side.
        most: frames that may be read; None: any number.

    Returns:
        uint8 (T, size, size, 3), and the index of the frame that gave the crop; None without a detector.

    Raises:
        InputError: the frames cannot be read, or none of those tried shows a face; ``TooLong``: there are more than ``most``.
    """
    if detector is None:
        return _crops(path, start, end, size, None, most), None
    transform, index = locate_face(path, start, end, size, detector, margin)
    return _crops(path, start, end, size, transform, most), index


def locate_face(
    path: str | os.PathLike,
    start: int | None,
    end: int | None,
    size: int,
    detector: FaceDetector,
    margin: float = 0.1,
) -> tuple[np.ndarray, int]:
    """The one transform that crops all frames of a clip: from its first frame, or from the next of those tried.

    One for the clip, because a crop per frame would turn the detector's jitter into motion that was never on the face.

    Args:
        path: as ``crop_source``, like the rest.

    Returns:
        (2, 3) as ``imaging.faces.align_crop`` gives it, and the index of the frame that shows the face.

    Raises:
        InputError: the frames cannot be read, or none of those tried shows a face.
    """
    total = len(frame_numbers(path, start, end))
    tried = {round(i) for i in np.linspace(0, total - 1, min(ATTEMPTS, total))}
    for index, frame in enumerate(iterate_frames(path, start, end)):
        faces = detector.detect(frame) if index in tried else []
        if faces:
            return align_crop(faces[0], size, margin), index
    raise InputError(f"{str(path)!r} must show a face. Received: none on {len(tried)} of its {total} frames")


def _crops(
    path: str | os.PathLike,
    start: int | None,
    end: int | None,
    size: int,
    transform: np.ndarray | None,
    most: int | None = None,
) -> np.ndarray:
    if transform is not None:
        return crop_frames(_limited(iterate_frames(path, start, end), most), transform, size)
    return resize_frames(_limited(iterate_frames(path, start, end, least=size), most), size)


def _limited(frames: Iterator[np.ndarray], most: int | None) -> Iterator[np.ndarray]:
    for count, frame in enumerate(frames, 1):
        if most is not None and count > most:
            raise TooLong(most, f"{count} or more")
        yield frame
