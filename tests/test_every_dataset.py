"""For every dataset: people in its layout, inspect, prepare, one training epoch; against what was written, frame by frame."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from affnet_tf.config import override
from affnet_tf.datasets.annotations import read_annotations
from affnet_tf.datasets.inspection import inspect_dataset
from affnet_tf.datasets.specs import SPECS
from affnet_tf.datasets.synthetic import LAYOUTS, annotate, plan, write_synthetic
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
        "train.batch_size=8",
        "labels=native",
    ],
)
SUBJECTS, CLIPS = 2, 4
# How readers name a subject, written out by hand.
NAMES = {
    "casme": "sub{:02d}",
    "casme2": "sub{:02d}",
    "casme_sq": "s{}",
    "casme_sq_macro": "s{}",
    "samm": "{:03d}",
    "samm_lv": "{:03d}",
    "smic_hs": "s{}",
    "smic_hs_e": "s{}",
    "mmew": "S{:02d}",
    "casme3": "spNO.{}",
    "4dme": "S{}",
    "dfme": "sub{:04d}",
    "custom": "person{:02d}",
}


def written(name):
    """(subject, emotion, onset, apex, offset) of what ``affnet synth`` was asked for, as a reader should find it."""
    layout = LAYOUTS[name]
    kinds = {"casme_sq": ("micro",), "casme_sq_macro": ("macro",)}.get(name, ("micro", "macro"))
    found = []
    for _, entry in annotate(layout, plan(0, layout, SUBJECTS, CLIPS), 0, 0):
        if entry.kind in kinds:
            onset = entry.apex if entry.cells.get("Onset") == -1 else entry.onset
            offset = entry.apex if entry.cells.get("offset") == 0 else entry.offset
            found.append((NAMES[name].format(entry.subject), entry.emotion, onset, entry.apex, offset))
    return sorted(found, key=str)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Every dataset, written once."""
    made = {}

    def root(name):
        if name not in made:
            made[name] = write_synthetic(
                tmp_path_factory.mktemp("roots") / name,
                dataset=name, subjects=SUBJECTS, clips=CLIPS, size=(64, 64), difficulty=0, workers=1,
            )  # fmt: skip
        return made[name]

    return root


def test_every_dataset_has_a_layout():
    assert sorted(LAYOUTS) == sorted(SPECS) == sorted(NAMES)


@pytest.mark.parametrize("name", SPECS)
def test_the_reader_finds_what_was_written(name, roots):
    read = read_annotations(name, roots(name))
    assert not [problem for problem in read.problems if problem.severity == "error"]
    found = [(clip.subject, clip.emotion, clip.onset, clip.apex, clip.offset) for clip in read.clips]
    assert sorted(found, key=str) == written(name)
    assert len({clip.subject for clip in read.clips}) == SUBJECTS
    assert len(found) == SUBJECTS * CLIPS
    inspection = inspect_dataset(name, roots(name))
    assert (inspection.clips, inspection.usable) == (SUBJECTS * CLIPS, SUBJECTS * CLIPS)


@pytest.mark.parametrize("name", SPECS)
def test_the_sheet_numbers_are_those_of_the_expression(name, roots):
    """Still until the onset, strongest at the apex, back at the offset; by the pixels on disk alone."""
    for clip in read_annotations(name, roots(name)).clips[:3]:
        frames = disk_frames(clip)
        away = np.abs(frames.astype(float) - frames[0]).mean((1, 2, 3))
        assert away.max() > 0.1
        if clip.apex is not None and clip.onset < clip.apex < clip.offset:
            assert away[clip.apex - clip.onset] >= 0.9 * away.max()
            assert away[-1] <= 0.25 * away.max()
        if clip.kind == "folder" and clip.apex != clip.onset:
            before = sorted(path for path in clip.frames.iterdir() if number(path) == clip.onset - 1)
            if before and name not in ("samm_lv", "smic_hs_e"):  # there another expression may end just before
                np.testing.assert_array_equal(cv2.imread(str(before[0]))[..., ::-1], frames[0])


def test_from_the_folders_to_a_training_epoch(roots, tmp_path):
    """One store of all the datasets: compiling a network for each of them would cost most of the tests' time."""
    clips, labels = {}, set()
    for name in SPECS:
        prepared = prepare_dataset(name, roots(name), tmp_path / "store", size=32, detector="none", workers=1)
        assert prepared.skipped == ()
        assert all(cv2.imread(str(picture)) is not None for picture in prepared.pictures)
        clips |= {clip.key: clip for clip in read_annotations(name, roots(name)).clips}
        labels |= {emotion for _, emotion, *_ in written(name)}
    assert prepared.store.synthetic
    stored = stored_frames(tmp_path / "store")
    assert stored.keys() == clips.keys()
    for key, frames in stored.items():
        exact = disk_frames(clips[key]).astype(float)
        means = (exact[:, ::2, ::2] + exact[:, ::2, 1::2] + exact[:, 1::2, ::2] + exact[:, 1::2, 1::2]) / 4
        assert frames.shape == means.shape
        away = np.abs(frames - means)
        # A JPEG is decoded at a half, which is the mean of four pixels but for what a block's frequencies make of an edge.
        jpegs = clips[key].kind == "folder" and any(clips[key].frames.glob("*.jpg"))
        assert away.max() <= (10 if jpegs else 0.5)
        assert away.mean() <= 1.5
    checkpoint = train(tmp_path / "store", tmp_path / "run", CONFIG, tensorboard=False)
    assert set(checkpoint.labels) == labels
    assert checkpoint.details["clips"] == len(SPECS) * SUBJECTS * CLIPS


def number(path) -> int:
    return int("".join(c if c.isdigit() else " " for c in path.name.replace(".jpg", "")).split()[-1])


def disk_frames(clip) -> np.ndarray:
    """The clip's frames from onset to offset, read with OpenCV alone: uint8 RGB (T, H, W, 3)."""
    if clip.kind == "video":
        capture = cv2.VideoCapture(str(clip.frames))
        frames = [capture.read()[1] for _ in range(clip.offset + 1)][clip.onset :]
    else:
        paths = {number(path): path for path in clip.frames.iterdir()}
        frames = [cv2.imread(str(paths[n])) for n in range(clip.onset, clip.offset + 1)]
    return np.stack(frames)[..., ::-1]


def stored_frames(path) -> dict[tuple[str, str], np.ndarray]:
    """The frames of a store by dataset and clip id, taken out of the TFRecords by their raw features."""
    frames = {}
    for record in tf.data.TFRecordDataset(list(open_store(path).shards)):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        shape = features["shape"].int64_list.value
        pixels = np.frombuffer(features["frames"].bytes_list.value[0], np.uint8).reshape(shape)
        frames[tuple(features["key"].bytes_list.value[0].decode().split("\n"))] = pixels
    return frames
