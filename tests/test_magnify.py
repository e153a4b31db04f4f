"""Magnification of an oscillation that is known, below a pixel, against the paper's order of operations."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import signal

from affnet_tf.errors import InputError
from affnet_tf.imaging.flow import optical_flow
from affnet_tf.imaging.magnify import magnify

FPS, COUNT, SIZE = 100.0, 100, 112  # large enough for the filter to work in two parts
BAND = (3.0, 10.0)
CENTRE = 30**0.5  # Hz: the geometric middle of the band
Y, X = np.mgrid[:SIZE, :SIZE].astype(float)


def scene(shift: float, shortest: float = 32.0) -> np.ndarray:
    """Waves of one to two times ``shortest`` pixels, moved to the right by ``shift``, evaluated, not resampled."""
    rng = np.random.default_rng(3)
    total = 0.0
    for wave, turn, phase in zip(
        *rng.uniform([[shortest], [-0.9], [0]], [[2 * shortest], [0.9], [6.3]], (3, 6)), strict=True
    ):
        total += np.sin(2 * np.pi / wave * (np.cos(turn) * (X - shift) + np.sin(turn) * Y) + phase)
    return np.clip(np.round(128 + 15 * total), 0, 255).astype(np.uint8)


def oscillation(frequency: float, amplitude: float = 0.1, **options) -> np.ndarray:
    times = np.arange(COUNT) / FPS
    shifts = amplitude * np.sin(2 * np.pi * frequency * times + 0.4)
    return np.stack([np.dstack([scene(shift, **options)] * 3) for shift in shifts])


def displacement(clip: np.ndarray) -> np.ndarray:
    """Shift to the right of each frame against the mean frame, by least squares on the brightness constancy."""
    grey = clip[..., 1].astype(float)
    mean = grey.mean(0)
    shifts = []
    for frame in grey:
        slope = np.gradient((frame + mean) / 2, axis=1)[12:-12, 12:-12]
        shifts.append((slope * (mean - frame)[12:-12, 12:-12]).sum() / (slope**2).sum())
    return np.array(shifts)


def swing(clip: np.ndarray, frequency: float) -> tuple[float, float]:
    """Amplitude in pixels and phase of the displacement at ``frequency``, away from the clip's ends."""
    times = np.arange(COUNT) / FPS
    waves = np.column_stack([np.sin(2 * np.pi * frequency * times), np.cos(2 * np.pi * frequency * times), times**0])
    middle = slice(15, -15)
    sine, cosine, _ = np.linalg.lstsq(waves[middle], displacement(clip)[middle], rcond=None)[0]
    return float(np.hypot(sine, cosine)), float(np.arctan2(cosine, sine))


@pytest.mark.parametrize("factor", [2.0, 9.0])
def test_oscillation_in_the_band_grows_by_one_plus_the_factor(factor):
    clip = oscillation(CENTRE)
    assert swing(clip, CENTRE)[0] == pytest.approx(0.1, rel=0.03)
    amplitude, phase = swing(magnify(clip, factor, *BAND, FPS), CENTRE)
    assert amplitude == pytest.approx(0.1 * (1 + factor), rel=0.08)
    assert phase == pytest.approx(0.4, abs=0.03)  # neither early nor late


@pytest.mark.parametrize("frequency", [0.7, 2.0, 3.0, 7.5, 10.0, 13.0, 40.0])
def test_the_band_is_a_butterworth_of_second_order_run_twice(frequency):
    """|H|^2 = 1 / (1 + q^4), q = (w^2 - low high) / (w (high - low)) with w = tan(pi f / fps): half at the edges."""
    w, low, high = np.tan(np.pi * np.array([frequency, *BAND]) / FPS)
    passed = 1 / (1 + ((w**2 - low * high) / (w * (high - low))) ** 4)
    clip = oscillation(frequency, 0.4)  # less would be lost in the rounding to whole grey levels where little passes
    assert swing(magnify(clip, 4, *BAND, FPS), frequency)[0] == pytest.approx(0.4 * (1 + 4 * passed), rel=0.08)


def test_optical_flow_sees_it_too():
    clip = oscillation(5.0)  # a quarter of a period later: from -0.1 to 0.1 px
    out = magnify(clip, 7, *BAND, FPS)
    low, high = 40 + int(np.argmin(displacement(clip)[40:60])), 40 + int(np.argmax(displacement(clip)[40:60]))
    before = np.median(optical_flow(clip[low], clip[high])[..., 0])
    after = np.median(optical_flow(out[low], out[high])[..., 0])
    assert before == pytest.approx(0.2, abs=0.03)
    assert after == pytest.approx(1.6, rel=0.15)


def test_noise_is_amplified_no_more_than_the_band_is_wide():
    """White noise keeps the band's share of its power, in the first frame as in the others."""
    noise = np.random.default_rng(0).normal(0, 4, (60, SIZE, SIZE, 1))
    clip = np.clip(np.round(128 + noise), 0, 255).astype(np.uint8).repeat(3, axis=-1)
    change = (magnify(clip, 4, 2.0, 10.0, 200.0, wavelength=1.0).astype(float) - clip).std(axis=(1, 2, 3))
    share = 4 * 4 * (8 / 100) ** 0.5
    assert (change < 1.6 * share).all()
    assert np.median(change) > 0.7 * share


def test_a_still_clip_is_returned_as_it_is():
    still = np.random.default_rng(0).integers(0, 256, (1, 45, 37, 3), dtype=np.uint8).repeat(40, axis=0)
    np.testing.assert_array_equal(magnify(still, 1e5, *BAND, FPS), still)


def test_factor_zero_is_a_copy():
    clip = oscillation(5.0)[:20]
    out = magnify(clip, 0, *BAND, FPS)
    np.testing.assert_array_equal(out, clip)
    assert not np.shares_memory(out, clip)


def test_the_clip_is_not_changed_and_the_result_is_like_it():
    clip = oscillation(5.0)[:30, :41, :57]
    kept = clip.copy()
    out = magnify(clip, 9, *BAND, FPS)
    assert (out.shape, out.dtype) == (clip.shape, np.uint8)
    np.testing.assert_array_equal(clip, kept)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (61, 47), (9, 200)])
def test_agrees_with_the_paper_step_by_step(height, width):
    """Reference in float64: a pyramid of each frame, each level filtered over time, weighted, put together."""
    factor, wavelength, count = 6.0, 12.0, 24
    rng = np.random.default_rng(5)
    grey = cv2.GaussianBlur(rng.normal(0, 1, (count, height * width)), (1, 5), 0).reshape(count, height, width)
    grey = np.clip(128 + 20 * grey, 0, 255).astype(np.uint8)
    clip = np.stack([grey] * 3, axis=-1)

    allowed = wavelength / (8 * (1 + factor))  # equation 14 at the shortest wave
    depth = max(1, int(np.log2(max(2, min(height, width) / 2))))
    levels, current = [], [frame.astype(float) for frame in grey]
    for _ in range(depth):
        smaller = [cv2.pyrDown(image) for image in current]
        levels.append(
            np.stack([a - cv2.pyrUp(b, dstsize=a.shape[::-1]) for a, b in zip(current, smaller, strict=True)])
        )
        current = smaller
    sections = signal.butter(2, BAND, "bandpass", fs=FPS, output="sos")
    added = np.zeros((count, *current[0].shape))
    for level in reversed(range(depth)):
        gain = min(factor, max(0.0, 5.6 * 2**level / (8 * allowed) - 1))
        band = signal.sosfiltfilt(sections, levels[level], axis=0, padtype="even", padlen=count - 1)
        size = levels[level].shape[:0:-1]
        added = np.stack([cv2.pyrUp(image, dstsize=size) for image in added]) + gain * band
    expected = np.clip(grey + added, 0, 255)

    out = magnify(clip, factor, *BAND, FPS, wavelength=wavelength)
    assert np.abs(expected - grey).mean() > 3
    np.testing.assert_allclose(out[..., 0], expected, atol=0.51)
    np.testing.assert_array_equal(out[..., 0], out[..., 2])


def test_short_waves_are_held_back():
    """At 10 pixels, 0.3 px times 10 would break the wave up; at 32 it would not."""
    short = swing(magnify(oscillation(CENTRE, shortest=5.0), 9, *BAND, FPS, wavelength=32.0), CENTRE)[0]
    long = swing(magnify(oscillation(CENTRE, shortest=48.0), 9, *BAND, FPS, wavelength=32.0), CENTRE)[0]
    assert short < 0.35
    assert long > 0.7


def test_a_flickering_lamp_is_left_alone_and_colour_kept():
    times = np.arange(COUNT) / FPS
    lamp = (3 * np.sin(2 * np.pi * CENTRE * times))[:, None, None, None]
    clip = np.round(np.array([150, 120, 90]) + lamp + np.zeros((1, SIZE, SIZE, 1))).astype(np.uint8)
    np.testing.assert_allclose(magnify(clip, 20, *BAND, FPS), clip, atol=1)
    tinted = oscillation(CENTRE) // 2 + np.array([60, 30, 0], np.uint8)
    out = magnify(tinted, 9, *BAND, FPS).astype(int)
    np.testing.assert_allclose(out[..., 0] - out[..., 2], 60, atol=1)
    assert np.abs(out - tinted).max() > 4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"factor": -1}, r"at least 0\. Received: -1"),
        ({"factor": float("nan")}, "at least 0"),
        ({"factor": float("inf")}, "at least 0"),
        ({"high": 50}, r"high < 50 Hz, half of 100 frames.*Received: 3 to 50 Hz"),
        ({"low": 10, "high": 3}, "10 to 3 Hz"),
        ({"low": 0}, "0 to 10 Hz"),
        ({"fps": 0}, "frame rate"),
        ({"wavelength": 0}, "wavelength"),
        ({"frames": np.zeros((9, 16, 16, 3), np.uint8)}, r"at least 10 frames.*Received: 9"),
    ],
)
def test_rules(change, match):
    values = {"frames": np.zeros((10, 16, 16, 3), np.uint8), "factor": 5, "low": 3, "high": 10, "fps": 100} | change
    with pytest.raises(InputError, match=match) as error:
        magnify(**values)
    assert "\n" not in str(error.value)


def test_the_shortest_clip_and_the_smallest_frame():
    clip = np.random.default_rng(0).integers(0, 256, (10, 2, 3, 3), dtype=np.uint8)
    assert magnify(clip, 5, *BAND, FPS).shape == clip.shape
