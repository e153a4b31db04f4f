"""Linear Eulerian video magnification: motion too small to see, made larger."""

from __future__ import annotations

import math

import cv2
import numpy as np

from affnet_tf.errors import InputError

__all__ = ["magnify"]

# Pixels, in the middle of what the pyramid's finest level holds (half of the amplitude at 4 and at 8 pixels); every
# next level holds waves twice as long.
FINEST_WAVE = 5.6
COARSEST_SIDE = 2  # small, or whatever is smoother than the coarsest level would not be amplified
CHUNK = 1 << 20
COLUMNS = 64  # of the filter's matrix at a time, because SciPy makes several copies in float64


def magnify(
    frames: np.ndarray, factor: float, low: float, high: float, fps: float, *, wavelength: float = 16.0
) -> np.ndarray:
    """Make motion between two frequencies ``1 + factor`` times as large.

    Wu et al., "Eulerian Video Magnification for Revealing Subtle Changes in the World", SIGGRAPH 2012, the linear
    method: band-pass each pixel over time, split into a Laplacian pyramid, amplify each level, add it back. It is a
    first-order expansion, and holds while ``(1 + factor) * displacement < wave / 8`` (their equation 14). Shorter waves
    than ``wavelength`` would break up, so their levels get ``wave / (8 d) - 1`` instead of ``factor``, d being the
    displacement that is still allowed at ``wavelength``.

    Three choices of ours: the filter (a second-order Butterworth) runs forwards and backwards, so that the apex is
    not delayed; only the luminance is amplified, because chrominance is mostly noise; and what is left below the
    pyramid's coarsest level, of two or three pixels, is left alone: a flickering lamp.

    Args:
        frames: uint8 RGB of shape (T, H, W, 3).
        factor: alpha of the paper, at least 0; 0 returns the frames as they are.
        low: lower edge of the band in Hz, above 0. At an edge, half of the motion is amplified.
        high: upper edge in Hz, below half the frame rate.
        fps: frames per second of the clip.
        wavelength: lambda_c of the paper, in pixels: the shortest wave that is amplified fully.

    Returns:
        uint8 of shape (T, H, W, 3). Besides it, memory for T x H x W and for T x T float32 is taken.

    Raises:
        InputError: a value breaks its rule, or the clip is shorter than one period of ``high``.
    """
    _check(len(frames), factor, low, high, fps, wavelength)
    if factor == 0:
        return frames.copy()
    luminance = np.empty(frames.shape[:3], np.float32)
    for index, frame in enumerate(frames):
        luminance[index] = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    luminance -= luminance[0].copy()  # the band holds no constant; without it a still pixel is exactly 0
    _filter(luminance, _band_pass(len(frames), low, high, fps))
    gains = _gains(frames.shape[1:3], factor, wavelength)
    magnified = np.empty_like(frames)
    for index, change in enumerate(luminance):
        added = frames[index] + _amplify(change, gains)[..., None]
        magnified[index] = np.clip(np.rint(added), 0, 255)
    return magnified


def _check(count: int, factor: float, low: float, high: float, fps: float, wavelength: float) -> None:
    if not (math.isfinite(factor) and factor >= 0):
        raise InputError(f"magnification factor must be at least 0. Received: {factor}")
    if not (math.isfinite(wavelength) and wavelength > 0):
        raise InputError(f"magnification wavelength must be more than 0 pixels. Received: {wavelength}")
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"frame rate must be known and more than 0 for magnification. Received: {fps}")
    if not 0 < low < high < fps / 2:
        raise InputError(
            f"magnification band must satisfy 0 < low < high < {fps / 2:g} Hz, half of {fps:g} frames per second. "
            f"Received: {low} to {high} Hz"
        )
    least = max(3, math.ceil(fps / high))
    if count < least:
        raise InputError(
            f"clip must have at least {least} frames, one period of {high} Hz at {fps:g} frames per second, "
            f"to be magnified. Received: {count}"
        )


def _band_pass(count: int, low: float, high: float, fps: float) -> np.ndarray:
    """The temporal filter of a clip as a (T, T) matrix, so that any number of pixels is one product."""
    from scipy import signal  # a third of a second to import, and few clips are magnified

    sections = signal.butter(2, (low, high), "bandpass", fs=fps, output="sos")
    matrix = np.empty((count, count), np.float32)
    # Mirrored in time, as far as it goes: a clip is short against the filter's decay at a low edge. If it were turned
    # about its end points instead, as SciPy does by default, the first frame's noise would be amplified in all frames.
    for start in range(0, count, COLUMNS):
        impulses = np.eye(count, min(COLUMNS, count - start), -start)
        matrix[:, start : start + COLUMNS] = signal.sosfiltfilt(
            sections, impulses, axis=0, padtype="even", padlen=count - 1
        )
    return matrix


def _filter(volume: np.ndarray, matrix: np.ndarray) -> None:
    """Apply the matrix along the first axis, in place, some rows at a time."""
    count, height, width = volume.shape
    rows = max(1, CHUNK // (count * width))
    for top in range(0, height, rows):
        part = volume[:, top : top + rows]
        part[...] = (matrix @ part.reshape(count, -1)).reshape(part.shape)


def _gains(shape: tuple[int, int], factor: float, wavelength: float) -> list[float]:
    """The factor of each level, finest first."""
    allowed = wavelength / (8 * (1 + factor))
    levels = max(1, int(math.log2(max(2, min(shape) / COARSEST_SIDE))))
    waves = (FINEST_WAVE * 2**level for level in range(levels))
    return [min(factor, max(0.0, wave / (8 * allowed) - 1)) for wave in waves]


def _amplify(change: np.ndarray, gains: list[float]) -> np.ndarray:
    """Split into a Laplacian pyramid, weight its levels, put together again.

    The pyramid comes after the temporal filter, not before as in the paper: both are linear and act on different axes,
    so the order doesn't matter to the result, and one volume of memory is enough.
    """
    levels = []
    for gain in gains:
        smaller = cv2.pyrDown(change)
        levels.append(gain * (change - cv2.pyrUp(smaller, dstsize=change.shape[::-1])))
        change = smaller
    total = np.zeros_like(change)
    for level in reversed(levels):
        total = cv2.pyrUp(total, dstsize=level.shape[::-1]) + level
    return total
