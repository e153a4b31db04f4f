"""TFRecords made without TensorFlow, against TensorFlow's own reader and writer."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from affnet_tf.pipeline.records import RecordWriter, encode_example

CASES = {
    "a clip": {"key": b"casme2\nsub01/EP02_01f", "frames": bytes(range(256)) * 300, "shape": [2, 112, 112, 3]},
    "lengths of one, two and three groups": {"a": b"x" * 127, "b": b"x" * 128, "c": b"x" * 20000, "d": [0, 127, 128, 2**40]},
    "empty values": {"frames": b"", "shape": []},
    "names out of order, not ASCII": {"z": b"1", "ä": b"2", "a": [3]},
}  # fmt: skip


def by_tensorflow(values) -> bytes:
    features = {}
    for name, value in values.items():
        if isinstance(value, bytes):
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        else:
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", CASES)
def test_an_example_has_tensorflows_bytes(name):
    assert b"".join(encode_example(CASES[name])) == by_tensorflow(CASES[name])


def test_an_array_is_written_as_its_bytes():
    array = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert b"".join(bytes(chunk) for chunk in encode_example({"frames": array})) == by_tensorflow(
        {"frames": array.tobytes()}
    )


def test_a_file_has_tensorflows_bytes(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    records = [[b"one"], [b""], [b"in ", b"pieces ", array], encode_example({"frames": array, "shape": array.shape})]
    whole = [b"".join(bytes(chunk) for chunk in chunks) for chunks in records]
    with open(tmp_path / "ours", "wb") as file:
        writer = RecordWriter(file)
        for chunks in records:
            writer.write(chunks)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as theirs:
        for record in whole:
            theirs.write(record)
    data = (tmp_path / "theirs").read_bytes()
    assert (tmp_path / "ours").read_bytes() == data
    assert (writer.size, writer.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert list(tf.data.TFRecordDataset(str(tmp_path / "ours")).as_numpy_iterator()) == whole


def test_no_tensorflow_is_needed():
    program = (
        "import sys, affnet_tf.pipeline.records; print(sorted({'tensorflow', 'google.protobuf'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
