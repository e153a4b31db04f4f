import dataclasses
import itertools
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from forged import SIZE, forge_clips

from affnet_tf.config import AugmentConfig, ExperimentConfig, ModelConfig, MotionConfig, TrainConfig
from affnet_tf.errors import InputError
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.input import training_batches
from affnet_tf.pipeline.pool import signed_motion
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.pipeline.reading import ClipReader, read_clips
from affnet_tf.pipeline.store import naming_damage, open_store

ROWS = (0, 3, 31, 32, 33, 59)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Sixty clips in two shards."""
    root = tmp_path_factory.mktemp("data")
    return prepare(forge_clips(root / "casme2", subjects=2, clips=30), root / "store", CropConfig(SIZE, "none")).store


@pytest.fixture(scope="module")
def clips(store) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Frames and flow by row, as they come in order."""
    return {int(row): (frames, flow) for row, frames, flow in read_clips(store).as_numpy_iterator()}


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("rows", [None, ROWS])
def test_any_clip_by_its_row(store, clips, rows, limit):
    reader = ClipReader(store, rows, limit)
    wanted = [*(rows or range(60))][::-1]
    found = tf.data.Dataset.from_tensor_slices(tf.constant(wanted, tf.int64)).map(reader.frames.of)
    for row, frames in zip(wanted, found.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(frames, clips[row][0])


@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("size", [None, 20])
@pytest.mark.parametrize("motion", [MotionConfig(), MotionConfig(representation="flow")])
def test_any_pooled_image_by_its_row(store, clips, motion, size, limit):
    look_up = ClipReader(store, ROWS, limit).signed(motion, size).of
    for row in (59, 0, 32):
        image, ready = look_up(tf.constant(row, tf.int64))
        expected, _ = signed_motion(*map(tf.constant, clips[row]), motion)
        if size:
            expected = cv2.resize(expected.numpy(), (size, size), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-3)
        assert not ready
    if limit is None:
        images, ready = look_up(tf.constant([59, 0, 32], tf.int64))
        np.testing.assert_array_equal(images[0], look_up(tf.constant(59, tf.int64))[0])
        assert ready.shape == (3,)


def test_the_rows_alone_in_order(store):
    assert [int(row) for row, *_ in ClipReader(store, ROWS[::-1]).in_order()] == list(ROWS)


def test_rows_by_themselves_are_those_in_order_and_nothing_else_is_read(store, clips, damaged):
    for row, frames, flow in ClipReader(store, ROWS[::-1]).each_by_itself().as_numpy_iterator():
        np.testing.assert_array_equal(frames, clips[int(row)][0])
        np.testing.assert_array_equal(flow, clips[int(row)][1])
    assert [int(row) for row, *_ in ClipReader(store, ROWS[::-1]).each_by_itself()] == list(ROWS)
    broken = damaged(5000)  # in the data of the second shard's first record
    first = len(list(read_clips(store, shards=store.shards[:1])))
    others = [row for row in range(60) if row != first]
    found = ClipReader(broken, others).each_by_itself().as_numpy_iterator()
    assert [int(row) for row, *_ in found] == others
    with pytest.raises(InputError, match=r"^shard '.*' must have the SHA-256"), naming_damage(broken):
        list(ClipReader(broken, others).in_order())


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts the bytes read as Linux does")
@pytest.mark.parametrize("augment", [AugmentConfig(), AugmentConfig(jitter=0, drop=0)])
def test_what_does_not_fit_is_not_gathered_in_memory(store, augment):
    """Shuffling must not read ahead: two batches of two clips cost a few clips, not sixty."""
    config = ExperimentConfig(model=ModelConfig(input_size=28), train=TrainConfig(batch_size=2), augment=augment)
    batches = training_batches(
        ClipReader(store, limit=0), dict.fromkeys(range(60), 0), dict.fromkeys(range(60), 1.0), 2, config, 0
    )

    def read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = read()
    list(itertools.islice(batches.as_numpy_iterator(), 2))
    assert read() - before < sum(Path(shard).stat().st_size for shard in store.shards) / 2


@pytest.fixture
def damaged(store, tmp_path):
    """A copy of the store in which one bit of a byte of its second shard is turned round."""

    def damage(position: int, bit: int = 7):
        shutil.copytree(store.path, tmp_path / "store")
        copied = open_store(tmp_path / "store")
        with open(copied.shards[1], "r+b") as file:
            file.seek(position)
            (byte,) = file.read(1)
            file.seek(position)
            file.write(bytes([byte ^ 1 << bit]))
        return copied

    return damage


@pytest.mark.parametrize(("position", "bit"), [(0, 0), (3, 3), (6, 0), (7, 7), (8, 0), (11, 7), (5000, 4), (-1, 0)])
def test_a_damaged_record_is_one_line_not_a_crash(damaged, store, position, bit):
    """In the length, from its low byte to its high one, in the length's checksum, in the data, in the data's checksum."""
    size = Path(store.shards[1]).stat().st_size
    broken = damaged(position % size, bit)

    def read() -> None:
        with naming_damage(broken):
            list(tf.data.Dataset.range(len(store.clips)).map(ClipReader(broken, limit=0).frames.of))

    with pytest.raises(InputError, match=r"^shard '.*' must have the SHA-256 [^\n]* Received: [^\n]*$"):
        read()


def test_a_record_for_each_clip(store):
    fewer = dataclasses.replace(store, shards=store.shards[1:])
    with pytest.raises(InputError, match=r"record for each of its 60 clips\. Received: [1-5][0-9]$"):
        ClipReader(fewer, limit=0).frames.of(tf.constant(0, tf.int64))
