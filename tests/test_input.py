import itertools

import cv2
import keras
import numpy as np
import pytest
from forged import SIZE, forge_clips

from affnet_tf.config import AugmentConfig, ExperimentConfig, ModelConfig, MotionConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.imaging.motion import weights
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.input import motion_images, training_batches
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
    ds = training_batches(reader, LABELS, WEIGHTS, 3, CONFIG, 0, 1)
    passes = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        passes.append(list(itertools.islice(ds.as_numpy_iterator(), 5)))
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


@pytest.mark.parametrize("change", [{"speed": 0.3}, {"lighting": 0.3}, {"noise": 0.1}, {"mixup": 0.4}])
def test_every_change_is_decided_by_the_seed_and_can_be_gone_on_with(reader, change):
    config = replace(PLAIN, augment=replace(NONE, **change))
    first = take(5, reader, config)
    assert not same(first, take(5, reader, PLAIN)), "it must change something"
    assert same(first[2:], take(3, reader, config, skip=2))


def test_light_that_does_not_change_over_the_clip_changes_nothing(frames):
    """Why there is no augmentation of brightness: it is taken out by pooling and scaling."""
    clip = frames[0].astype(np.float64)
    np.testing.assert_allclose(picture(1.3 * clip + 20, SIZE), picture(clip, SIZE), atol=1e-9)


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
