"""For every dataset: forged layout, inspect, prepare, one training epoch."""

import cv2
import pytest
from layouts import LAYOUTS

from affnet_tf.config import override
from affnet_tf.datasets.inspection import inspect_dataset
from affnet_tf.pipeline.prepare import prepare_dataset
from affnet_tf.pipeline.store import open_store
from affnet_tf.presets import preset
from affnet_tf.training.experiment import train

CONFIG = override(
    preset("affectivenet_edge"),
    [
        "model.input_size=28",
        "model.kernels=[3,5]",
        "model.widths=[4,8]",
        "model.last_channels=8",
        "model.dense=8",
        "train.epochs=1",
        "train.batch_size=2",
        "labels=native",
    ],
)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_from_the_folder_to_a_training_epoch(name, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    LAYOUTS[name](root)
    inspection = inspect_dataset(name, root)
    assert inspection.usable >= 2
    prepared = prepare_dataset(name, root, tmp_path / "store", size=32, detector="none", workers=1)
    assert len(prepared.store.clips) + len(prepared.skipped) >= inspection.usable
    assert {clip.key for clip in open_store(tmp_path / "store").clips} == {clip.key for clip in prepared.store.clips}
    assert all(cv2.imread(str(picture)) is not None for picture in prepared.pictures)
    checkpoint = train(tmp_path / "store", tmp_path / "run", CONFIG, tensorboard=False)
    assert set(checkpoint.labels) == {clip.emotion for clip in prepared.store.clips}
    assert checkpoint.details["clips"] == len(prepared.store.clips)
