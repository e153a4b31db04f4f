"""Frames of a clip: a folder of numbered images, a list of them, or a video file, as uint8 RGB."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.files import IMAGE_SUFFIXES, numbered_images
from affnet_tf.imaging.images import quiet, read_image, read_sized
from affnet_tf.places import local

__all__ = [
    "VIDEO_SUFFIXES",
    "Source",
    "VideoInfo",
    "frame_numbers",
    "frame_range",
    "is_video",
    "iterate_frames",
    "load_frames",
    "read_image",
    "video_info",
]

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv"),
    *(".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
)
MAX_BYTES = 4 << 30
# FFmpeg writes to stderr by itself; OpenCV reads this once, when it first meets a video. -8 is AV_LOG_QUIET.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

Source = str | os.PathLike | Sequence[str | os.PathLike]


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video holds.

    Attributes:
        frames: number of frames, as its header says; counted by decoding where the header doesn't say.
        fps: frames per second, or None where unknown.
        height: pixels, after the rotation that the file asks for (phones).
        width: pixels, likewise.
    """

    frames: int
    fps: float | None
    height: int
    width: int


def is_video(path: Source) -> bool:
    """Whether ``path`` is a file with the name of a video. It isn't opened: ``video_info`` does that."""
    return isinstance(path, str | os.PathLike) and Path(path).suffix.lower() in VIDEO_SUFFIXES and Path(path).is_file()


def video_info(path: str | os.PathLike) -> VideoInfo:
    """Read a video's header.

    Raises:
        InputError: the file is missing, isn't a video, or has no frame.
    """
    with _opened(path) as capture:
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        fps = capture.get(cv2.CAP_PROP_FPS)
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        readable = capture.grab()
        if readable and not count >= 1:  # streams cut from a camera often carry no count
            count = 1
            while capture.grab():
                count += 1
    if not readable:
        raise InputError(f"video must have at least one readable frame. Received: {str(path)!r}")
    return VideoInfo(int(count), fps if math.isfinite(fps) and fps > 0 else None, height, width)


def frame_numbers(path: Source, start: int | None = None, end: int | None = None) -> Sequence[int]:
    """The numbers of the frames that ``iterate_frames`` yields, without decoding them.

    Raises:
        InputError: as ``iterate_frames``, except for what only decoding can show.
    """
    if _is_file(path):
        return _checked_range(path, 0, video_info(path).frames - 1, start, end)
    return list(_select(_images(path), path, start, end))


def frame_range(path: Source, start: float | None = None, end: float | None = None) -> tuple[int | None, int | None]:
    """A user's start and end as frame numbers: seconds for a video, frame numbers for a folder; None stays None.

    A video shows frame ``floor(seconds * fps)`` at a time; an end at the video's very end is its last frame.

    Raises:
        InputError: negative or not finite; beyond the video's end; a video without a frame rate; a frame number of a
            folder that is not whole; start after end.
    """
    given = [value for value in (start, end) if value is not None]
    if not given:
        return None, None
    if not all(math.isfinite(value) and value >= 0 for value in given):
        raise InputError(f"start and end must be numbers of at least 0. Received: {start} and {end}")
    if not _is_file(path):
        if any(value != int(value) for value in given):
            raise InputError(f"start and end of {_name(path)} must be whole frame numbers. Received: {start} and {end}")
        return _whole(start), _whole(end)
    info = video_info(path)
    if info.fps is None:
        raise InputError(f"video {_name(path)} must state its frame rate for a start or end in seconds.")
    duration = info.frames / info.fps
    if max(given) > duration + 1 / info.fps:
        raise InputError(f"seconds of {_name(path)} must lie in [0, {duration:.3f}]. Received: {max(given)}")
    if start is not None and end is not None and start > end:
        raise InputError(f"start must not come after end in {_name(path)}. Received: {start} and {end} s")
    # The epsilon: 0.29 s * 100 fps is 28.999999999999996 in binary.
    first, last = (None if t is None else min(math.floor(t * info.fps + 1e-6), info.frames - 1) for t in (start, end))
    return first, last


def load_frames(
    path: Source, start: int | None = None, end: int | None = None, *, max_bytes: int = MAX_BYTES
) -> np.ndarray:
    """All frames from ``start`` to ``end`` at once.

    Args:
        path: a folder of numbered images, a list of image files, or a video file.
        start: first frame, inclusive: the number in an image's name, or a video's 0-based index. None: the first.
        end: last frame, inclusive. None: the last.
        max_bytes: refuse clips that would need more memory than this.

    Returns:
        uint8 RGB of shape (T, H, W, 3).

    Raises:
        InputError: as ``iterate_frames``; or the clip is larger than ``max_bytes``.
    """
    stream, expected = _planned(path, start, end)
    frames, count = np.empty((0, 0, 0, 3), np.uint8), 0
    for frame in stream:
        if count == 0:
            if expected * frame.nbytes > max_bytes:
                raise InputError(
                    f"clip {_name(path)} must fit in {max_bytes / 2**30:.3g} GiB: name a shorter start and end. "
                    f"Received: {expected} frames of {frame.shape[1]}x{frame.shape[0]}"
                )
            frames = np.empty((expected, *frame.shape), np.uint8)
        elif count == len(frames):  # a video may hold a few more frames than its header says
            frames = np.concatenate([frames, np.empty((16, *frame.shape), np.uint8)])
        frames[count] = frame
        count += 1
    return frames[:count]


def iterate_frames(
    path: Source, start: int | None = None, end: int | None = None, *, least: int | None = None
) -> Iterator[np.ndarray]:
    """Frames from ``start`` to ``end``, one at a time: memory doesn't grow with the length.

    Arguments as for ``load_frames``, and ``least`` as for ``read_image``. What can be known without decoding is checked
    before the first frame. Without ``start`` and ``end`` a folder may hold every n-th frame; any other gap, and any gap
    inside a given range, is an error. A video is decoded from its beginning: seeking by index lands on another frame with
    some codecs.

    Yields:
        uint8 RGB of shape (H, W, 3): grey becomes three equal channels, 16 bits are scaled to 8, alpha is dropped, an
        image's EXIF orientation is ignored.

    Raises:
        InputError: the path is missing, a folder has no numbered image, a file isn't a video or has no frame, an image
            is empty, unreadable or truncated, frames differ in size, numbers are missing, start comes after end, the
            range goes beyond what exists, a video breaks off.
    """
    return _planned(path, start, end, least)[0]


def _planned(
    path: Source, start: int | None, end: int | None, least: int | None = None
) -> tuple[Iterator[np.ndarray], int]:
    """The stream of frames and how many to expect; an open-ended video may turn out a little longer or shorter."""
    if _is_file(path):
        info = video_info(path)
        wanted = _checked_range(path, 0, info.frames - 1, start, end)
        return _same_size(_decoded(path, info, wanted, end is not None)), len(wanted)
    images = _select(_images(path), path, start, end)
    return _same_size((str(image), *read_sized(image, least)) for image in images.values()), len(images)


def _images(path: Source) -> dict[int, Path]:
    """Image files by frame number, ascending."""
    if isinstance(path, str | os.PathLike):
        images = numbered_images(path)
        if not images:
            raise InputError(f"frame folder must hold images with a number in their names. Received: {str(path)!r}")
        return images
    images = {}
    for image in map(Path, path):
        number = _number(image)
        if number in images:
            raise InputError(f"frame numbers must be unique. Received: {str(images[number])!r} and {str(image)!r}")
        images[number] = image
    if not images:
        raise InputError("list of frames must not be empty.")
    return dict(sorted(images.items()))


def _number(image: Path) -> int:
    stem = image.name
    while Path(stem).suffix.lower() in IMAGE_SUFFIXES:
        stem = Path(stem).stem
    digits = re.findall(r"\d+", stem)
    if not digits:
        raise InputError(f"image of a clip must have a number in its name. Received: {str(image)!r}")
    return int(digits[-1])


def _select(images: dict[int, Path], path: Source, start: int | None, end: int | None) -> dict[int, Path]:
    numbers = list(images)
    step = min((b - a for a, b in zip(numbers, numbers[1:], strict=False)), default=1)
    if start is not None or end is not None:
        step = 1
    wanted = _checked_range(path, numbers[0], numbers[-1], start, end, step)
    # Counted, not listed: names that are time stamps leave gaps of billions.
    missing = len(wanted) - sum(number in wanted for number in numbers)
    if missing:
        first = list(itertools.islice((number for number in wanted if number not in images), 5))
        raise InputError(
            f"frames {wanted[0]} to {wanted[-1]} of {_name(path)} must all be there. "
            f"Missing {missing}: {', '.join(map(str, first))}{', …' if missing > len(first) else ''}"
        )
    return {number: images[number] for number in wanted}


def _checked_range(path: Source, first: int, last: int, start: int | None, end: int | None, step: int = 1) -> range:
    begin, stop = first if start is None else start, last if end is None else end
    if begin > stop and start is not None and end is not None:
        raise InputError(f"start must not come after end in {_name(path)}. Received: {start} and {end}")
    if not first <= begin <= stop <= last:
        raise InputError(f"frames of {_name(path)} must lie in [{first}, {last}]. Received: {begin} to {stop}")
    return range(begin, stop + 1, step)


def _decoded(
    path: Source, info: VideoInfo, wanted: range, exact: bool
) -> Iterator[tuple[str, np.ndarray, tuple[int, int]]]:
    """RGB frames of a video, with name and size; without an ``exact`` end, until it ends, whatever its header says."""
    with _opened(path) as capture:
        index = 0
        while (index < wanted.stop if exact else True) and capture.grab():
            if index >= wanted.start:
                decoded, frame = capture.retrieve()
                if not decoded:
                    break
                yield f"{path}, frame {index}", _rgb(frame), frame.shape[:2]
            index += 1
    # Headers of some containers only estimate the count, so an open end may come a little early.
    if index < (wanted.stop if exact else 0.95 * info.frames):
        raise InputError(
            f"video {_name(path)} must be whole; it breaks off after {index} of {info.frames} frames: "
            f"end at {index - 1} to use what is there."
        )


def _rgb(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB)


def _same_size(named: Iterator[tuple[str, np.ndarray, tuple[int, int]]]) -> Iterator[np.ndarray]:
    first = None
    for name, frame, size in named:
        first = first or size
        if size != first:
            raise InputError(
                f"frames of a clip must have one size, {first[1]}x{first[0]} like the first. "
                f"Received: {name!r} of {size[1]}x{size[0]}"
            )
        yield frame


def _is_file(path: Source) -> bool:
    if not isinstance(path, str | os.PathLike):
        return False
    if not local(path, "frame folder or video").exists():
        raise InputError(f"frame folder or video must exist. Received: {str(path)!r}")
    if Path(path).is_dir():
        return False
    if Path(path).suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"clip must be a folder of images or a video, not one image. Received: {str(path)!r}")
    return True


@contextlib.contextmanager
def _opened(path: Source) -> Iterator[cv2.VideoCapture]:
    if not local(path, "video").is_file():
        raise InputError(f"video must be a file that exists. Received: {str(path)!r}")
    if Path(path).suffix.lower() not in VIDEO_SUFFIXES:  # FFmpeg would play a .txt as a film of a terminal
        raise InputError(f"video must be named as one ({', '.join(VIDEO_SUFFIXES)}). Received: {str(path)!r}")
    with quiet():
        # Named, because by default OpenCV also tries to read "take1.txt" as the first of a numbered image series.
        # Each thread of FFmpeg holds whole frames: no more of them than OpenCV itself may use.
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, max(1, cv2.getNumThreads())])
    try:
        if not capture.isOpened():
            raise InputError(f"video must be in a format that OpenCV reads. Received: {str(path)!r}")
        yield capture
    finally:
        capture.release()


def _name(path: Source) -> str:
    return repr(str(path)) if isinstance(path, str | os.PathLike) else f"the list of {len(path)} images"


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
