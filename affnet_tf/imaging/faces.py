"""Where the face is, and one upright crop of it per clip."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

from affnet_tf.config import DETECTORS
from affnet_tf.errors import InputError, unknown
from affnet_tf.silence import silent

__all__ = [
    "DETECTORS",
    "Face",
    "FaceDetector",
    "align_crop",
    "crop_frames",
    "face_detector",
    "resize_frames",
]

# The square around a face in units of the distance between the eyes (about 63 mm in adults). 2.6 reach from the
# hairline to just below the chin and from ear to ear; the eyes lie at 28 % of the height.
FACE_SIDE = 2.6
EYE_LEVEL = 0.28
# Eyes of a head turned away come close together: without a floor the crop would zoom into the nose. A frontal face has
# its eyes about 0.4 box heights apart.
LEAST_EYE_DISTANCE = 0.3
# Up to this factor of shrinking, the geometric mean of both axes, bicubic interpolation is closer to the ideal low-pass than
# averaging over fractions of pixels is, and three times as fast; neither axis by more than the second, where it skips pixels.
SLIGHT, LEAN = 1.4, 1.6
# Up to this factor bilinear interpolation is as close as averaging, and as fast as bicubic.
MODEST = 1.5
# Up to this factor the frame is brought to twice the size that is wanted, then averaged over blocks of 2x2, which OpenCV does
# fast: half of the time that averaging over fractions of pixels takes. Beyond, the first of the two steps would skip pixels.
MIDDLING = 2.75


@dataclasses.dataclass(frozen=True)
class Face:
    """A detected face. Coordinates are pixels of the image, pixel centres at integers, y downwards.

    Attributes:
        box: x, y, width, height.
        eyes: (x, y) of the eye on the image's left, then of the one on its right.
        score: the detector's confidence in [0, 1].
    """

    box: tuple[float, float, float, float]
    eyes: tuple[tuple[float, float], tuple[float, float]]
    score: float


class FaceDetector:
    """MTCNN (Zhang et al. 2016), from the ``mtcnn`` package, which carries its weights. Loaded at the first image.

    Args:
        longest_side: images with a longer side are shrunk to it before detection, in pixels. The cost grows with the
            area, and a face of a video call fills far more of it than the 20 pixels that MTCNN needs.
    """

    def __init__(self, longest_side: int = 640):
        self._longest_side = longest_side
        self._network: Any = None

    def detect(self, image: np.ndarray) -> list[Face]:
        """The faces of an image, the main one (largest score times area) first; an empty list where there is none.

        Args:
            image: uint8 RGB of shape (H, W, 3).

        Raises:
            InputError: the ``mtcnn`` package is not installed.
        """
        self._network = self._network or _load_mtcnn()
        height, width = image.shape[:2]
        scale = min(1.0, self._longest_side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # As an array, because the readable output is rounded to whole pixels: half a degree of tilt.
        rows = np.asarray(self._network.detect_faces(small, output_type="numpy", box_format="xyxy"), np.float64)
        stretch = np.array([width / size[0], height / size[1]])
        faces = [_face(row, stretch) for row in rows.reshape(-1, 16)]
        return sorted(faces, key=lambda face: face.score * face.box[2] * face.box[3], reverse=True)


def face_detector(name: str) -> FaceDetector | None:
    """The detector of that name; None for ``none``, the choice for frames that are face crops already.

    Raises:
        InputError: the name isn't in ``DETECTORS``.
    """
    if name not in DETECTORS:
        raise unknown("detector", name, DETECTORS)
    return FaceDetector() if name == "mtcnn" else None


def align_crop(face: Face, size: int, margin: float = 0.1) -> np.ndarray:
    """The similarity transform that levels the eyes and puts the face into a square.

    The square's side is ``2.6 (1 + 2 margin)`` eye distances; without a margin the eyes lie at 28 % of its height, and
    the margin is added on all four sides.

    Args:
        face: from the onset frame.
        size: side of the crop in pixels.
        margin: room around the face, as a fraction of the face's side.

    Returns:
        float64 of shape (2, 3), mapping (x, y, 1) of the image to (x, y) of the crop: rotation, one scale, translation.
    """
    left, right = (np.array(eye, np.float64) for eye in face.eyes)
    across = right - left
    distance = max(float(np.hypot(*across)), LEAST_EYE_DISTANCE * face.box[3])
    scale = size / (FACE_SIDE * (1 + 2 * margin) * distance)
    angle = np.arctan2(across[1], across[0])
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    level = (EYE_LEVEL + margin) / (1 + 2 * margin)
    target = np.array([0.5, level]) * size - 0.5  # the square's border lies half a pixel outside the first centre
    return np.column_stack([turn, target - turn @ ((left + right) / 2)])


def crop_frames(frames: Iterable[np.ndarray], matrix: np.ndarray, size: int) -> np.ndarray:
    """Apply one transform to every frame of a clip.

    Shrinking is done first, by area averaging, then the rotation and the translation at the crop's own scale, bicubic:
    a warp alone would skip pixels, and fine texture would flicker as the face moves. What lies outside a frame is
    black, in every frame alike, so that it shows no motion.

    Args:
        frames: uint8 RGB (H, W, 3) of one size: an array, or a stream.
        matrix: (2, 3), from ``align_crop``.
        size: side of the crop in pixels.

    Returns:
        uint8 of shape (T, size, size, 3).
    """
    return _collect((_warp(frame, matrix, size) for frame in frames), size)


def resize_frames(frames: Iterable[np.ndarray], size: int) -> np.ndarray:
    """Bring frames that are face crops already to size x size, each axis by its own factor, as the published codes do.

    Args:
        frames: uint8 RGB (H, W, 3): an array, or a stream.
        size: side in pixels.

    Returns:
        uint8 of shape (T, size, size, 3). Axes that shrink by little are interpolated, bicubic up to 1.4 and bilinear up to
        1.5; up to 2.75 they are averaged over blocks of a frame of twice the size, and beyond over areas. A motion of half a
        pixel comes out within 0.02 of the strength that averaging over areas gives it, or stronger, and agrees as well with
        the ideal low-pass's (the correlation of the frames' differences is within 0.015).
    """
    return _collect((_resize(frame, size, size) for frame in frames), size)


def _collect(crops: Iterable[np.ndarray], size: int) -> np.ndarray:
    """One buffer that grows: a list that is stacked in the end would take the memory twice."""
    pixels = bytearray()
    for crop in crops:
        pixels += crop.data
    return np.frombuffer(pixels, np.uint8).reshape(-1, size, size, 3)


def _warp(frame: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    scale = float(np.sqrt(np.linalg.det(matrix[:, :2])))
    if scale < 1:
        frame, matrix = _cut(frame, matrix, size)  # averaging the whole frame would cost several times the rest
        height, width = frame.shape[:2]
        frame = _resize(frame, max(1, round(height * scale)), max(1, round(width * scale)))
        stretch = np.array([width / frame.shape[1], height / frame.shape[0]])
        # From the small frame's pixel centres back to the large one's, then on to the crop.
        matrix = np.column_stack([matrix[:, :2] * stretch, matrix[:, :2] @ (0.5 * stretch - 0.5) + matrix[:, 2]])
    return cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_CUBIC, borderValue=(0, 0, 0))


def _cut(frame: np.ndarray, matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The upright rectangle of the frame that the crop sees, and the transform from there."""
    corners = np.array([[-1.0, -1.0], [size, -1.0], [-1.0, size], [size, size]])
    seen = np.linalg.solve(matrix[:, :2], (corners - matrix[:, 2]).T)
    limit = np.array(frame.shape[1::-1])
    low = np.clip(np.floor(seen.min(1)).astype(int), 0, limit - 1)
    high = np.clip(np.ceil(seen.max(1)).astype(int) + 1, low + 1, limit)
    moved = np.column_stack([matrix[:, :2], matrix[:, :2] @ low + matrix[:, 2]])
    return frame[low[1] : high[1], low[0] : high[0]], moved


def _resize(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """In two steps, because OpenCV averages over areas only if both axes shrink."""
    least = (min(height, frame.shape[0]), min(width, frame.shape[1]))
    if least != frame.shape[:2]:
        frame = _shrink(frame, *least)
    if least != (height, width):
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    return frame


def _shrink(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    factors = (frame.shape[0] / height, frame.shape[1] / width)
    if factors[0] * factors[1] <= SLIGHT**2 and max(factors) <= LEAN:
        return cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
    if max(factors) <= MODEST:
        return cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    if min(factors) > MODEST and max(factors) <= MIDDLING and factors != (2, 2):
        # What the average over blocks takes away from a frame that was enlarged, the cubic's overshoot gives back.
        kind = cv2.INTER_CUBIC if max(factors) <= 2 else cv2.INTER_LINEAR
        frame = cv2.resize(frame, (2 * width, 2 * height), interpolation=kind)
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)


def _face(row: np.ndarray, stretch: np.ndarray) -> Face:
    """From MTCNN's row: image, x1, y1, x2, y2, score, the x of eyes, nose and mouth corners, then their y."""
    corner, opposite = row[1:3] * stretch, row[3:5] * stretch
    eyes = np.column_stack([row[6:8], row[11:13]])
    left, right = sorted(((eyes + 0.5) * stretch - 0.5).tolist())
    box = (*corner.tolist(), *(opposite - corner).tolist())
    return Face(box, (tuple(left), tuple(right)), float(row[5]))


def _load_mtcnn() -> Any:
    with silent():
        try:
            package = importlib.import_module("mtcnn")
        except ModuleNotFoundError as error:
            raise InputError(
                f"face detection needs the package 'mtcnn' (pip install mtcnn); detector 'none' does without. "
                f"Received: {error}"
            ) from None
        return package.MTCNN()
