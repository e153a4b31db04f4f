import itertools

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from forged import SIZE, forge_clips

from affnet_tf.config import AugmentConfig, ExperimentConfig, ModelConfig, MotionConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.imaging.flow import optical_flow
from affnet_tf.imaging.motion import weights
from affnet_tf.pipeline import timing
from affnet_tf.pipeline import warp as changes
from affnet_tf.pipeline.crops import CropConfig
from affnet_tf.pipeline.input import motion_images, training_batches
from affnet_tf.pipeline.mixup import mixup
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.pipeline.reading import ClipReader, read_clips
from affnet_tf.pipeline.store import open_store

NONE = AugmentConfig(jitter=0, drop=0, shift=0, rotate=0, scale=0, flip=False, gain=0)
CONFIG = ExperimentConfig(model=ModelConfig(input_size=28), train=TrainConfig(batch_size=3))
PLAIN = replace(CONFIG, augment=NONE)
LABELS = {0: 0, 1: 1, 3: 2, 4: 0, 6: 1}
WEIGHTS = {0: 0.5, 1: 2.0, 3: 1.5, 4: 0.25, 6: 1.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return prepare(forge_clips(root / "casme2"), root / "store", CropConfig(SIZE, "none")).store


@pytest.fixture(scope="module")
def clips(store):
    return read_clips(store)


@pytest.fixture(scope="module")
def reader(store):
    return ClipReader(store)


@pytest.fixture(scope="module")
def frames(clips) -> list[np.ndarray]:
    return [frames for _, frames, _ in clips.as_numpy_iterator()]


def take(count: int, reader, config=CONFIG, seed=0, skip=0, labels=LABELS, weighing=WEIGHTS):
    ds = training_batches(reader, labels, weighing, 3, config, seed, skip)
    return list(itertools.islice(ds.as_numpy_iterator(), count))


def same(ours, theirs) -> bool:
    return all(np.array_equal(a, b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))


def signed_motion(frames: np.ndarray) -> np.ndarray:
    """Rank pooling in float64, by NumPy alone."""
    return np.einsum("t,thwc->hwc", weights(len(frames)), frames.astype(np.float64))


def stretched(motion: np.ndarray) -> np.ndarray:
    return (motion - motion.min()) / (motion.max() - motion.min())


def picture(frames: np.ndarray, size: int) -> np.ndarray:
    """A motion image by NumPy and OpenCV alone."""
    return stretched(cv2.resize(signed_motion(frames), (size, size), interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize("size", [28, SIZE, 48])
def test_motion_images(clips, frames, size):
    images = motion_images(clips, MotionConfig(), size)
    assert images.dtype == np.float32
    assert images.shape == (8, size, size, 3)
    for image, each in zip(images, frames, strict=True):
        np.testing.assert_allclose(image, picture(each, size), atol=2e-5)


def test_motion_images_of_other_weights(clips, frames):
    images = motion_images(clips, MotionConfig(weights="linear"), SIZE)
    expected = np.einsum("t,thwc->hwc", 2.0 * np.arange(1, len(frames[2]) + 1) - len(frames[2]) - 1, frames[2])
    np.testing.assert_allclose(images[2], stretched(expected), atol=2e-5)


def test_motion_images_stand_in_the_order_of_the_store(store, clips):
    """Also when the cache is cold and when it is warm."""
    twice = [motion_images(read_clips(store, cache), MotionConfig(), 28) for cache in (True, False)]
    ds = read_clips(store, cache=True)
    warm = [motion_images(ds, MotionConfig(), 28) for _ in range(2)]
    for images in (*twice, *warm):
        np.testing.assert_array_equal(images, motion_images(clips, MotionConfig(), 28))


@pytest.mark.parametrize("size", [28, SIZE])
def test_without_augmentation_a_batch_is_plain_pictures_with_their_labels(reader, frames, size):
    config = replace(PLAIN, model=replace(PLAIN.model, input_size=size))
    expected = {row: picture(frames[row], size) for row in LABELS}
    seen = []
    for images, labels, weighing in take(5, reader, config):
        for image, label, weight in zip(images, labels, weighing, strict=True):
            row = min(expected, key=lambda row, image=image: np.abs(expected[row] - image).max())
            np.testing.assert_allclose(image, expected[row], atol=2e-5)
            np.testing.assert_array_equal(label, np.eye(3)[LABELS[row]])
            assert weight == WEIGHTS[row]
            seen.append(row)
    for epoch in range(3):
        assert sorted(seen[5 * epoch : 5 * epoch + 5]) == sorted(LABELS), "every clip once in each pass, no other clip"
    assert seen[:5] != seen[5:10] or seen[5:10] != seen[10:], "each pass has an order of its own"


def test_augmented_labels_and_weights_belong_together(reader):
    weight_of_label = {0: {0.5, 0.25}, 1: {2.0, 1.0}, 2: {1.5}}
    counts = dict.fromkeys(WEIGHTS.values(), 0)
    for _, labels, weighing in take(10, reader):
        for label, weight in zip(labels, weighing, strict=True):
            assert float(weight) in weight_of_label[int(label.argmax())]
            assert sorted(label) == [0, 0, 1]
            counts[float(weight)] += 1
    assert set(counts.values()) == {6}


def test_shapes_and_values(reader):
    ds = training_batches(reader, LABELS, WEIGHTS, 3, CONFIG, 0)
    specs = [(tuple(spec.shape), spec.dtype.name) for spec in ds.element_spec]
    assert specs == [((3, 28, 28, 3), "float32"), ((3, 3), "float32"), ((3,), "float32")]
    for images, *_ in take(6, reader):
        assert images.min() >= 0
        assert images.max() <= 1
        assert images.std() > 0.01


@pytest.mark.parametrize("augment", [AugmentConfig(), NONE])
def test_a_seed_decides_everything(reader, store, augment):
    config = replace(CONFIG, augment=augment)
    first = take(6, reader, config)
    assert same(first, take(6, reader, config))
    assert same(first, take(6, ClipReader(store, limit=0), config))
    assert not same(first, take(6, reader, config, seed=1))


def test_every_pass_is_the_same(reader):
    """Some backends look at the first batch in a pass of its own."""
    keras.utils.set_random_seed(0)
    ds = training_batches(reader, LABELS, WEIGHTS, 3, CONFIG, 0, 1)
    passes = [list(itertools.islice(ds.as_numpy_iterator(), 5)) for _ in range(2)]
    assert same(*passes)
    assert not same(passes[0][:1], passes[0][1:2])


def test_one_clip_differs_each_time_it_is_seen(reader):
    images = np.concatenate([images for images, *_ in take(2, reader, labels={3: 0}, weighing={3: 1.0})])
    assert len({image.tobytes() for image in images}) == 6


@pytest.mark.parametrize("augment", [AugmentConfig(), NONE])
@pytest.mark.parametrize("skip", [1, 2, 5])
def test_skip_goes_on_exactly(reader, augment, skip):
    config = replace(CONFIG, augment=augment)
    assert same(take(7, reader, config)[skip:], take(7 - skip, reader, config, skip=skip))


def test_fewer_clips_than_a_batch(reader):
    images, labels, _ = take(1, reader, labels={2: 1}, weighing={2: 1.0}, config=PLAIN)[0]
    assert images.shape == (3, 28, 28, 3)
    assert (labels == [0, 1, 0]).all()
    with pytest.raises(InputError, match="at least one clip"):
        training_batches(reader, {}, {}, 3, CONFIG, 0)


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


def test_pooling_then_warping_is_warping_each_frame_then_pooling(frames):
    changes = {"shift": 0.1, "rotate": 10.0, "scale": 0.1, "flip": True}
    random = draws(0.9, 0.2, 0.3, 0.8, 0.1)
    one = warp(signed_motion(frames[0]).astype(np.float32), 28, random, **changes)
    each = np.stack([warp(frame.astype(np.float32), 28, random, **changes) for frame in frames[0]])
    assert np.abs(one).max() > 10
    np.testing.assert_allclose(one, signed_motion(each), atol=2e-3)


def retime(frames: np.ndarray, step: int, **augment) -> np.ndarray:
    random = timing.draw(5, tf.constant(step, tf.int64), len(frames))
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
    result = changes.finish(images, replace(NONE, gain=0.2), random, 0, tf.constant(0, tf.int64)).numpy()
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
        factor = 0.5 + float(timing.draw(5, tf.constant(step, tf.int64), length)[0][timing.SPEED])
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


def test_light_that_does_not_change_over_the_clip_changes_nothing(frames):
    """Why there is no augmentation of brightness: it is taken out by pooling and scaling."""
    clip = frames[0].astype(np.float64)
    np.testing.assert_allclose(picture(1.3 * clip + 20, SIZE), picture(clip, SIZE), atol=1e-9)


def test_a_ready_made_image_has_no_speed_and_no_lighting():
    image = np.full((1, 4, 4, 3), 200, np.uint8)
    for step in range(5):
        np.testing.assert_array_equal(retime(image, step, speed=0.9, lighting=0.9, jitter=0.4, drop=0.9), image)


def test_noise():
    image = np.full((2, 64, 64, 3), 0.5, np.float32)
    noisy = [
        changes.finish(image, replace(NONE, noise=0.1), draws(), 0, tf.constant(step, tf.int64)).numpy()
        for step in (0, 0, 1)
    ]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])
    assert not np.array_equal(noisy[0][0], noisy[0][1])
    assert noisy[0].mean() == pytest.approx(0.5, abs=0.003)
    assert noisy[0].std() == pytest.approx(0.1, rel=0.03)
    loud = changes.finish(image, replace(NONE, noise=1.0), draws(), 0, tf.constant(0, tf.int64)).numpy()
    assert loud.min() == 0
    assert loud.max() == 1


@pytest.mark.parametrize("change", [{"speed": 0.3}, {"lighting": 0.3}, {"noise": 0.1}, {"mixup": 0.4}])
def test_every_change_is_decided_by_the_seed_and_can_be_gone_on_with(reader, change):
    config = replace(PLAIN, augment=replace(NONE, **change))
    first = take(5, reader, config)
    assert not same(first, take(5, reader, PLAIN)), "it must change something"
    assert same(first[2:], take(3, reader, config, skip=2))


def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses():
    """Weighted and smoothed cross-entropy, by hand, in float64."""
    rng = np.random.default_rng(0)
    images = rng.random((8, 4, 4, 3)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 8)]
    weighing = rng.uniform(0.2, 3, 8).astype(np.float32)
    mixed, label, weight = (each.numpy() for each in mixup(images, labels, weighing, 0.7, 3, tf.constant(5, tf.int64)))
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
    """Its variance is 1 / (4 (2 alpha + 1)); labels of two classes in turn show the shares."""
    labels = np.eye(2, dtype=np.float32)[np.arange(4000) % 2]
    _, label, _ = mixup(tf.zeros((4000, 1, 1, 3)), labels, tf.ones(4000), alpha, 0, tf.constant(0, tf.int64))
    share = label.numpy()[np.arange(4000), np.arange(4000) % 2]
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


def test_a_still_clip_stays_finite(tmp_path):
    clips = forge_clips(tmp_path / "casme2", subjects=1, clips=1)
    face = cv2.imread(str(clips[0].frames / "img9.png"))
    for file in clips[0].frames.iterdir():
        cv2.imwrite(str(file), face)
    still = prepare(clips, tmp_path / "store", CropConfig(SIZE, "none")).store
    assert not motion_images(read_clips(still), MotionConfig(), 28).any()
    images = take(1, ClipReader(still), labels={0: 0}, weighing={0: 1.0})[0][0]
    assert np.isfinite(images).all()


def test_a_store_that_is_opened_again_reads_the_same(store, frames):
    for (_, ours, _), theirs in zip(read_clips(open_store(store.path)).as_numpy_iterator(), frames, strict=True):
        np.testing.assert_array_equal(ours, theirs)
