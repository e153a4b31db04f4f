"""What augmentation does to frames and to motion images, one change at a time."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from forged import SIZE, forge_frames

from affnet_tf.config import AugmentConfig, replace
from affnet_tf.imaging.flow import optical_flow
from affnet_tf.imaging.motion import weights
from affnet_tf.pipeline import mixup, timing
from affnet_tf.pipeline import warp as changes

NONE = AugmentConfig(jitter=0, drop=0, shift=0, rotate=0, scale=0, flip=False, gain=0)


def motion(side: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 50, (side, side, 3)).astype(np.float32)


# The draws are uniform in [0, 1): angle, zoom, x shift, y shift (each 0.5 for none), mirror below 0.5.
def draws(angle=0.5, zoom=0.5, x=0.5, y=0.5, mirror=0.9) -> tf.Tensor:
    return tf.constant([[angle, zoom, x, y, mirror, 0.5]])


def warp(image: np.ndarray, size: int, random: tf.Tensor, **augment) -> np.ndarray:
    return changes.warp(tf.constant(image)[None], size, replace(NONE, **augment), random)[0].numpy()


def test_each_image_of_a_batch_is_warped_by_its_own_draws():
    images, random = [motion(16, 1), motion(16, 2)], [draws(0.1, 0.7, 0.2, 0.9, 0.1), draws(0.8, 0.3, 0.6, 0.4)]
    augment = replace(NONE, shift=0.1, rotate=20.0, scale=0.2, flip=True)
    both = changes.warp(tf.stack(images), 20, augment, tf.concat(random, 0), vectors=True)
    for image, own, result in zip(images, random, both, strict=True):
        np.testing.assert_allclose(result, changes.warp(image[None], 20, augment, own, vectors=True)[0], atol=1e-4)


def test_mirror():
    image = motion()
    np.testing.assert_allclose(warp(image, 16, draws(mirror=0.1), flip=True), image[:, ::-1], atol=1e-4)
    np.testing.assert_allclose(warp(image, 16, draws(mirror=0.9), flip=True), image, atol=1e-4)


def test_shift():
    """A share of 0.25 of 16 pixels, drawn in full: the window moves by 4, the picture's edge is repeated."""
    image = motion()
    moved = warp(image, 16, draws(x=1.0, y=0.0), shift=0.25)
    expected = np.pad(image, ((4, 0), (0, 4), (0, 0)), mode="edge")[:16, 4:]
    np.testing.assert_allclose(moved, expected, atol=1e-3)
    assert warp(image, 16, draws(x=1.0, y=0.0), shift=0.25, flip=True) == pytest.approx(moved)


def test_rotation():
    image = motion()
    turned = [warp(image, 16, draws(angle=angle), rotate=90.0) for angle in (1.0, 0.0)]
    quarters = [np.rot90(image, k) for k in (1, -1)]
    np.testing.assert_allclose(turned[0], quarters[0], atol=1e-2)
    np.testing.assert_allclose(turned[1], quarters[1], atol=1e-2)
    np.testing.assert_allclose(warp(image, 16, draws(angle=1.0), rotate=180.0), image[::-1, ::-1], atol=1e-2)


def test_zoom():
    """The window is larger by a half: every third pixel of each axis, from an odd side, about the middle."""
    image = motion(15)
    out = warp(image, 15, draws(zoom=1.0), scale=0.5)
    grid = np.clip(7 + 1.5 * (np.arange(15) - 7), 0, 14)
    even = np.flatnonzero(grid == np.round(grid))
    np.testing.assert_allclose(
        out[np.ix_(even, even)], image[np.ix_(grid[even].astype(int), grid[even].astype(int))], atol=1e-3
    )


@pytest.mark.parametrize("size", [8, 12, 16, 28])
def test_a_warp_that_moves_nothing_is_the_plain_resize(size):
    image = motion()
    expected = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(
        warp(image, size, draws(), shift=0.1, rotate=5, scale=0.1, flip=True), expected, atol=1e-2
    )
    np.testing.assert_allclose(warp(image, size, draws()), expected, atol=1e-2)


def test_pooling_then_warping_is_warping_each_frame_then_pooling():
    rng = np.random.default_rng(0)
    frames = forge_frames(rng, rng.uniform(0, 255, (SIZE, SIZE, 3)), quarter=1, length=7).astype(np.float32)

    def pooled(frames: np.ndarray) -> np.ndarray:
        return np.einsum("t,thwc->hwc", weights(len(frames)), frames.astype(np.float64))

    changes = {"shift": 0.1, "rotate": 10.0, "scale": 0.1, "flip": True}
    random = draws(0.9, 0.2, 0.3, 0.8, 0.1)
    one = warp(pooled(frames).astype(np.float32), 28, random, **changes)
    each = np.stack([warp(frame, 28, random, **changes) for frame in frames])
    assert np.abs(one).max() > 10
    np.testing.assert_allclose(one, pooled(each), atol=2e-3)


def retime(frames: np.ndarray, step: int, **augment) -> np.ndarray:
    random = timing.draw(tf.constant(step, tf.int64), len(frames))
    return timing.retime(tf.constant(frames), replace(NONE, **augment), random).numpy()


@pytest.mark.parametrize("length", [2, 3, 7, 40])
def test_frames_that_are_left_keep_their_order(length):
    numbered = np.arange(length, dtype=np.uint8)[:, None, None, None]
    kept = [retime(numbered, step, jitter=0.45, drop=0.9)[:, 0, 0, 0] for step in range(60)]
    for numbers in kept:
        assert len(numbers) >= 2
        assert (np.diff(numbers.astype(int)) > 0).all()
    assert length < 7 or len({numbers.tobytes() for numbers in kept}) > 5


def test_jitter_stays_within_its_share():
    numbered = np.arange(40, dtype=np.uint8)[:, None, None, None]
    ends = np.array([retime(numbered, step, jitter=0.25)[[0, -1], 0, 0, 0] for step in range(200)], int)
    assert ends[:, 0].min() == 0
    assert ends[:, 0].max() == 9
    assert ends[:, 1].max() == 39
    assert ends[:, 1].min() == 30
    np.testing.assert_array_equal(retime(numbered, 0, jitter=0.0), numbered)


def test_drop_leaves_out_its_share_but_never_the_ends():
    numbered = np.arange(40, dtype=np.uint8)[:, None, None, None]
    kept = [retime(numbered, step, drop=0.3)[:, 0, 0, 0] for step in range(100)]
    assert all(numbers[0] == 0 and numbers[-1] == 39 for numbers in kept)
    share = np.mean([(len(numbers) - 2) / 38 for numbers in kept])
    assert share == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_gain_changes_contrast_around_the_mean(draw, factor):
    images = (
        np.random.default_rng(0).random((2, 6, 6, 3)).astype(np.float32) * np.float32([1, 0.5])[:, None, None, None]
    )
    random = tf.constant([[0.5] * 5 + [draw], [0.5] * 6])
    result = changes.finish(images, replace(NONE, gain=0.2), random, tf.constant([0, 1], tf.int64)).numpy()
    mean = images[0].mean()
    np.testing.assert_allclose(result[0], np.clip((images[0] - mean) * factor + mean, 0, 1), atol=1e-6)
    np.testing.assert_allclose(result[1], images[1], atol=1e-6)


@pytest.mark.parametrize("length", [2, 7, 40])
def test_speed_interpolates_the_clip_anew(length):
    """Frames that grow steadily stay a straight line from the first to the last, of as many frames as the speed says."""
    ramp = 3.0 * np.arange(length, dtype=np.float32)[:, None, None, None]
    counts = set()
    for step in range(40):
        values = retime(ramp, step, speed=0.5)[:, 0, 0, 0]
        np.testing.assert_allclose(values, np.linspace(0, 3.0 * (length - 1), len(values)), atol=1e-3)
        factor = 0.5 + float(timing.draw(tf.constant(step, tf.int64), length)[0][timing.SPEED])
        assert len(values) == max(2, np.round(np.float32(length) / np.float32(factor)))
        counts.add(len(values))
    assert length == 2 or len(counts) > 3
    curve = np.float32([0, 10, 0])[:, None, None, None]
    steps = [step for step in range(99) if len(retime(curve, step, speed=0.5)) == 5]
    np.testing.assert_allclose(retime(curve, steps[0], speed=0.5)[:, 0, 0, 0], [0, 5, 10, 5, 0])


def test_lighting_changes_steadily_and_leaves_the_first_frame():
    frames = np.random.default_rng(0).uniform(1, 255, (5, 4, 4, 3)).astype(np.float32)
    factors = []
    for step in range(50):
        ratio = retime(frames, step, lighting=0.2) / frames
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1, :1], ratio.shape), rtol=1e-5)
        np.testing.assert_allclose(ratio[:, 0, 0, 0], 1 + (ratio[-1, 0, 0, 0] - 1) * np.arange(5) / 4, rtol=1e-5)
        factors.append(ratio[-1, 0, 0, 0])
    assert 0.8 <= min(factors) < 0.85
    assert 1.15 < max(factors) <= 1.2


def test_a_ready_made_image_has_no_speed_and_no_lighting():
    image = np.full((1, 4, 4, 3), 200, np.uint8)
    for step in range(5):
        np.testing.assert_array_equal(retime(image, step, speed=0.9, lighting=0.9, jitter=0.4, drop=0.9), image)


def test_noise():
    image = np.full((2, 64, 64, 3), 0.5, np.float32)
    noisy = [
        changes.finish(image, replace(NONE, noise=0.1), draws(), tf.constant(numbers, tf.int64)).numpy()
        for numbers in ((4, 7), (4, 7), (7, 4))
    ]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    np.testing.assert_array_equal(noisy[0], noisy[2][::-1], "each image has the noise of its own number")
    assert not np.array_equal(noisy[0][0], noisy[0][1])
    assert noisy[0].mean() == pytest.approx(0.5, abs=0.003)
    assert noisy[0].std() == pytest.approx(0.1, rel=0.03)
    loud = changes.finish(image, replace(NONE, noise=1.0), draws(), tf.constant([0, 1], tf.int64)).numpy()
    assert loud.min() == 0
    assert loud.max() == 1


def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses():
    """Weighted and smoothed cross-entropy, by hand, in float64."""
    rng = np.random.default_rng(0)
    images = rng.random((8, 4, 4, 3)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 8)]
    weighing = rng.uniform(0.2, 3, 8).astype(np.float32)
    share = mixup.draw(0.7, 3, tf.constant(5, tf.int64), 8)
    mixed = mixup.mix(images, share).numpy()
    label, weight = (each.numpy() for each in mixup.mix_targets(labels, weighing, share))
    log = np.log(rng.dirichlet(np.ones(3), 8))

    def losses(target, w):
        return -w * ((0.9 * target + 0.1 / 3) * log).sum(axis=1)

    i, j = images.reshape(8, -1), np.roll(images, -1, 0).reshape(8, -1)
    share = ((mixed.reshape(8, -1) - j) * (i - j)).sum(1) / ((i - j) ** 2).sum(1)
    assert 0 <= share.min() < 0.5 < share.max() <= 1
    np.testing.assert_allclose(mixed.reshape(8, -1), share[:, None] * i + (1 - share[:, None]) * j, atol=1e-5)
    expected = share * losses(labels, weighing) + (1 - share) * losses(np.roll(labels, -1, 0), np.roll(weighing, -1))
    np.testing.assert_allclose(losses(label, weight), expected, rtol=1e-4)
    np.testing.assert_allclose(label.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0])
def test_shares_of_mixtures_follow_the_beta_distribution(alpha):
    """Its variance is 1 / (4 (2 alpha + 1))."""
    share = mixup.draw(alpha, 0, tf.constant(0, tf.int64), 4000).numpy()
    assert np.isfinite(share).all()
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)


def test_a_mirrored_flow_is_the_flow_of_mirrored_frames():
    """u changes its sign, v does not: against optical flow computed from the mirrored frames."""
    rng = np.random.default_rng(0)
    first = cv2.GaussianBlur(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), (0, 0), 2)
    first = cv2.normalize(first, None, 0, 255, cv2.NORM_MINMAX)
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    second = cv2.remap(first, x - 1.5 * np.sin(y / 20), y - 1.0, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    ours = changes.warp(
        optical_flow(first, second)[None], 64, replace(NONE, flip=True), draws(mirror=0.1), vectors=True
    )[0].numpy()
    theirs = optical_flow(np.ascontiguousarray(first[:, ::-1]), np.ascontiguousarray(second[:, ::-1]))
    inside = np.s_[8:-8, 8:-8, :2]
    assert np.abs(theirs[inside]).mean() > 0.5
    assert np.abs(ours[inside] - theirs[inside]).mean() < 0.1
