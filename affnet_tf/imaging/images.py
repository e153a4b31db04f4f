"""One image file, whole and as uint8 RGB, or one line that says what is wrong with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import cv2
import numpy as np

from affnet_tf.errors import InputError

__all__ = ["quiet", "read_image", "read_sized"]

# Start of frame, in all the kinds of JPEG; 0xC4, 0xC8 and 0xCC among them mean something else.
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _FILL = 0xDA, 0xFF
# A JPEG as RGB at 1 / n of its size. The reduced flags contain the one for BGR, 1.
_JPEG = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_COLOR_2 & ~1,
    4: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_COLOR_4 & ~1,
    8: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_COLOR_8 & ~1,
}


def read_image(path: str | os.PathLike, *, least: int | None = None) -> np.ndarray:
    """One image file as uint8 RGB of shape (H, W, 3), converted as ``frames.iterate_frames`` says.

    Args:
        path: the file.
        least: both sides are wanted this large at most, in pixels. A JPEG is then decoded at a half, a quarter or an eighth
            of its size, whichever is the smallest that leaves both sides at least three times so large; or at a half, if both
            sides are even and still so large. This halves the time, and costs a motion of half a pixel a little of what it
            should be (docs/architecture.md, Resizing). An odd side has half a pixel of padding in it when it is
            halved, which moves everything. None: as large as it is.

    Raises:
        InputError: the file is missing, empty, truncated, or not an image of 8 or 16 bits.
    """
    return read_sized(path, least)[0]


def read_sized(path: str | os.PathLike, least: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    """An image as ``read_image`` returns it, and the height and width that it has in full."""
    try:
        data = _file_bytes(path)
    except OSError as error:
        raise InputError(f"image must be readable. Received: {str(path)!r} ({error.strerror})") from None
    if not data:
        raise InputError(f"image must not be empty. Received: {str(path)!r} with 0 bytes")
    # Some decoders fill what is missing with grey and say nothing.
    broken, size = _examine_jpeg(data) if _is_jpeg(data) else (_breaks_off(data), None)
    if broken:
        raise InputError(f"image must be whole. Received: {str(path)!r}, which breaks off after {len(data)} bytes")
    image = _decode(data, _JPEG[_reduction(size, least)] if size else cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f"image must be readable as JPEG, PNG, BMP, TIFF or WebP. Received: {str(path)!r}")
    return (image, size) if size else (_eight_bit_rgb(image, path), image.shape[:2])


def _reduction(size: tuple[int, int], least: int | None) -> int:
    """How many times smaller a JPEG may be decoded."""
    if least is None:
        return 1
    reduction = next((n for n in (8, 4, 2) if min(size) >= 3 * n * least), 1)
    halves = min(size) >= 2 * least and not any(side % 2 for side in size)
    return 2 if reduction == 1 and halves else reduction


def _file_bytes(path: str | os.PathLike) -> bytes:
    """By four calls of the system where ``Path.read_bytes`` needs eight: a dataset has tens of thousands of frames."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(file, os.fstat(file).st_size)
    finally:
        os.close(file)


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    try:
        with quiet():
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None


def _eight_bit_rgb(image: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    if image.dtype == np.uint16:
        image = np.round(image / 257.0).astype(np.uint8)  # 65535 = 255 * 257
    conversions = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype != np.uint8 or channels not in conversions:
        raise InputError(
            f"image must have 1, 3 or 4 channels of 8 or 16 bits. Received: {str(path)!r}, {channels} x {image.dtype}"
        )
    return cv2.cvtColor(image, conversions[channels])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What OpenCV would log is reported as an InputError instead."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _is_jpeg(data: bytes) -> bool:
    """Whether it begins as a JPEG does."""
    return data.startswith(b"\xff\xd8")


def _examine_jpeg(data: bytes) -> tuple[bool, tuple[int, int] | None]:
    """Whether a JPEG lacks its end marker, and its height and width in pixels where its header says them."""
    size, position = None, 2
    # Segments are skipped by their length: an EXIF thumbnail has a frame, a scan and an end marker of its own.
    while position + 4 <= len(data) and data[position] == 0xFF and (marker := data[position + 1]) != _SCAN:
        if marker in _FRAME:
            size = tuple(int.from_bytes(data[at : at + 2], "big") for at in (position + 5, position + 7))
        position += 1 if marker == _FILL else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    # Inside the scan, 0xFF is always followed by 0x00 or a restart marker. From behind, because that is where it stands.
    return data.rfind(b"\xff\xd9") < position, size if size and all(size) else None


def _breaks_off(data: bytes) -> bool:
    """Whether a PNG lacks its last chunk; False for any other format."""
    return data.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND\xaeB`\x82" not in data
