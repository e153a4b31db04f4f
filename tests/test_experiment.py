import csv
import dataclasses
import json
import os
import shutil

import keras
import numpy as np
import pytest
from forged import SIZE, forge_clips
from small import SMALLEST

from affnet_tf.config import ExperimentConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.evaluation.metrics import intervals, score
from affnet_tf.evaluation.predictions import read_predictions
from affnet_tf.models.affectivenet import affectivenet
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.input import motion_images, training_batches
from affnet_tf.pipeline.order import REVISION
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.pipeline.reading import ClipReader, read_clips
from affnet_tf.pipeline.store import open_store
from affnet_tf.training.experiment import evaluate, train
from affnet_tf.training.fit import Trainer, balanced_weights

CONFIG = ExperimentConfig(model=SMALLEST, train=TrainConfig(epochs=2, batch_size=4, seed=3))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three subjects, six clips each; one emotion that paper4 does not know."""
    root = tmp_path_factory.mktemp("data")
    clips = forge_clips(root / "casme2", subjects=3, clips=6)
    clips[4] = dataclasses.replace(clips[4], emotion="boredom")
    return prepare(clips, root / "store", CropConfig(SIZE, "none")).store.path


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    """A LOSO run in one go, and what it returned."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, evaluate(store, out, CONFIG)


def test_every_labelled_clip_is_predicted_once_by_its_own_fold(run, store):
    out, _ = run
    clips = {clip.clip_id: clip for clip in open_store(store).clips}
    with open(out / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["clip_id"] for row in rows) == sorted(c for c in clips if clips[c].emotion != "boredom")
    words = {"happiness": "positive", "disgust": "negative", "surprise": "surprise", "others": "others"}
    for row in rows:
        clip = clips[row["clip_id"]]
        assert (row["dataset"], row["subject"]) == (clip.dataset, clip.subject)
        assert row["fold"] == f"casme2-{clip.subject}"
        assert row["y_true"] == words[clip.emotion]


def test_a_fold_done_again_by_hand(run, store):
    """The second subject's fold from its parts: one clip at a time, each row of predictions.csv found by its clip id."""
    opened = open_store(store)
    index = {"happiness": 0, "disgust": 1, "surprise": 2, "others": 3}
    truth = {row: index[clip.emotion] for row, clip in enumerate(opened.clips) if clip.emotion in index}
    labels = {row: label for row, label in truth.items() if opened.clips[row].subject != "sub02"}
    share = balanced_weights(labels.values(), 4)
    weighing = {row: float(share[label]) for row, label in labels.items()}
    keras.utils.set_random_seed(3)
    steps = round((11 + 11 + 12) / 3 / 4)
    trainer = Trainer(affectivenet(CONFIG.model, 4), CONFIG.train, steps)
    clips = read_clips(opened)
    trainer.fit(lambda skip: training_batches(ClipReader(opened), labels, weighing, 4, CONFIG, 3, skip))
    images = motion_images(clips, CONFIG.motion, 32)
    rows = {row.clip_id: row for row in read_predictions(run[0] / "predictions.csv").rows}
    for row, clip in enumerate(opened.clips):
        if clip.subject == "sub02":
            logits = trainer.model(images[row : row + 1], training=False)
            np.testing.assert_allclose(rows[clip.clip_id].probabilities, keras.ops.softmax(logits)[0], atol=1e-5)
    spread = np.std([rows[clip.clip_id].probabilities for clip in opened.clips if clip.subject == "sub02"], axis=0)
    assert spread.max() > 1e-3, "clips must differ, or the test says nothing"


def test_scores_are_those_of_the_pooled_predictions(run):
    out, result = run
    again = score(read_predictions(out / "predictions.csv"))
    assert again == result.scores
    document = json.loads((out / "metrics.json").read_text())
    assert list(document["rows"]) == ["all"]
    assert document["rows"]["all"]["uf1"] == again.uf1
    assert document["rows"]["all"]["intervals"]["uf1"] == list(intervals(result.predictions).uf1)
    assert set(document["seconds"]) == {"casme2-sub01", "casme2-sub02", "casme2-sub03"}


def test_the_run_folder_says_what_made_it(run, store):
    out, _ = run
    document = json.loads((out / "config.json").read_text())
    assert ExperimentConfig.from_json(document["config"]) == CONFIG
    assert document["store"] == open_store(store).hash
    assert document["labels"]["labels"] == ["positive", "negative", "surprise", "others"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["versions"]["keras"] == keras.__version__
    assert manifest["clips"] == 17
    assert manifest["dropped"] == {"casme2 boredom": 1}
    assert manifest["seed"] == 3
    folds = [
        json.loads((out / "folds" / name).read_text())
        for name in sorted(os.listdir(out / "folds"))
        if name.endswith(".json")
    ]
    assert len(folds) == 3
    assert all(len(fold["history"]["loss"]) == CONFIG.train.epochs for fold in folds)


class Stopped(Exception):
    """Stands for a kill between two folds."""


def test_an_interrupted_run_resumes_to_the_same_predictions(run, store, tmp_path):
    def stop(done, total, name):
        assert total == 3
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        evaluate(store, tmp_path / "run", CONFIG, progress=stop)
    assert len(list((tmp_path / "run" / "folds").glob("*.json"))) == 2
    assert not (tmp_path / "run" / "predictions.csv").exists()
    with pytest.raises(InputError, match="must be new, or resumed with --resume"):
        evaluate(store, tmp_path / "run", CONFIG)
    manifest = tmp_path / "run" / "manifest.json"
    kept = manifest.read_text()
    manifest.write_text(kept.replace(f'"draws": {REVISION}', '"draws": 1'))
    with pytest.raises(InputError, match=f"Received: revision {REVISION} against 1$"):
        evaluate(store, tmp_path / "run", CONFIG, resume=True)
    manifest.write_text(kept)
    seen = []
    keras.utils.set_random_seed(12345)
    result = evaluate(store, tmp_path / "run", CONFIG, resume=True, progress=lambda *state: seen.append(state))
    assert seen == [(2, 3, "casme2-sub03"), (3, 3, "casme2-sub03")]
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == (run[0] / "predictions.csv").read_bytes()
    assert result.scores == run[1].scores


def test_a_finished_run_is_pooled_again_without_training(run, store):
    before = (run[0] / "predictions.csv").read_bytes()
    (run[0] / "predictions.csv").unlink()
    manifest = json.loads((run[0] / "manifest.json").read_text())
    assert manifest.pop("draws") == REVISION
    (run[0] / "manifest.json").write_text(json.dumps(manifest))  # of a version that did not say so: nothing is drawn
    seen = []
    result = evaluate(store, run[0], CONFIG, resume=True, progress=lambda *state: seen.append(state))
    assert seen == [(3, 3, "done")]
    assert (run[0] / "predictions.csv").read_bytes() == before
    assert result.seconds == run[1].seconds


def test_one_seed_gives_one_result(run, store, tmp_path):
    evaluate(store, tmp_path / "again", CONFIG)
    first = (run[0] / "predictions.csv").read_bytes()
    assert (tmp_path / "again" / "predictions.csv").read_bytes() == first
    evaluate(store, tmp_path / "other", replace(CONFIG, train=replace(CONFIG.train, seed=4)))
    assert (tmp_path / "other" / "predictions.csv").read_bytes() != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": replace(CONFIG.train, epochs=3)}, "config.train.epochs 2 against 3"),
        ({"model": replace(CONFIG.model, kernels=(3, 7))}, "config.model.kernels [3] against [3, 7]"),
        ({"labels": "megc3"}, "config.labels 'paper4' against 'megc3'"),
    ],
)
def test_a_run_of_another_config_is_refused(run, store, change, message):
    before = (run[0] / "config.json").read_bytes()
    with pytest.raises(InputError) as error:
        evaluate(store, run[0], replace(CONFIG, **change), resume=True)
    assert "must be resumed with the settings that began it" in str(error.value)
    assert message in str(error.value)
    assert (run[0] / "config.json").read_bytes() == before


def test_a_run_on_another_store_is_refused(run, tmp_path):
    clips = forge_clips(tmp_path / "casme2", subjects=2, seed=9)
    other = prepare(clips, tmp_path / "store", CropConfig(SIZE, "none")).store.path
    with pytest.raises(InputError, match="store '"):
        evaluate(other, run[0], CONFIG, resume=True)


def test_a_run_of_another_task_or_no_run_is_refused(run, store, tmp_path):
    with pytest.raises(InputError, match="task 'evaluate' against 'train'"):
        train(store, run[0], CONFIG, resume=True)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="which holds something else"):
        evaluate(store, tmp_path, CONFIG, resume=True)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_labels_that_map_nothing(store, tmp_path):
    scheme = tmp_path / "own.json"
    scheme.write_text(json.dumps({"labels": ["a", "b"], "mapping": {"x": "a", "y": "b"}}))
    with pytest.raises(InputError, match="must map an emotion of the store"):
        evaluate(store, tmp_path / "run", replace(CONFIG, labels=str(scheme)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        (train, {"train": replace(CONFIG.train, validation=0.9)}, "validation must leave a subject to train on"),
        (evaluate, {"train": replace(CONFIG.train, validation=0.9)}, "validation must leave a subject to train on"),
        (train, {"labels": "native"}, "2 or more distinct labels"),
        (evaluate, {"labels": "native"}, "2 or more distinct labels"),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(tmp_path, task, change, message):
    clips = forge_clips(tmp_path / "casme2", subjects=3, clips=1)
    store = prepare(clips, tmp_path / "store", CropConfig(SIZE, "none")).store.path
    with pytest.raises(InputError, match=message):
        task(store, tmp_path / "run", replace(CONFIG, **change))
    assert not (tmp_path / "run").exists()


def test_a_resumption_by_another_version_keeps_the_manifest_of_the_beginning(store, tmp_path):
    def stop(done, total, name):
        raise Stopped

    with pytest.raises(Stopped):
        evaluate(store, tmp_path, CONFIG, progress=stop)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["commit"] = "0123456789ab"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Stopped):
        evaluate(store, tmp_path, CONFIG, resume=True, progress=stop)
    again = json.loads((tmp_path / "manifest.json").read_text())
    assert again.pop("resumed")[0]["devices"] == manifest["devices"]
    assert again == manifest


def test_unknown_protocol(store, tmp_path):
    with pytest.raises(InputError, match=r"protocol must be one of loso.*Did you mean 'loso'"):
        evaluate(store, tmp_path / "run", CONFIG, "losso")


def test_a_network_that_diverges_is_not_scored(store, tmp_path):
    with pytest.raises(InputError, match=r"^fold 'casme2-sub01': .* finite loss: lower train\.learning_rate.*step"):
        evaluate(store, tmp_path / "run", replace(CONFIG, train=replace(CONFIG.train, learning_rate=1e30, warmup=0.0)))
    assert not (tmp_path / "run" / "folds").exists()


def test_predictions_of_validation_subjects_and_logs_stand_beside_each_fold(store, tmp_path):
    """For a temperature, which may look at training subjects alone: what the fold's network says of those held out."""
    config = replace(CONFIG, train=replace(CONFIG.train, epochs=1, validation=0.5))
    evaluate(store, tmp_path, config, tensorboard=True)
    subject_of = {clip.clip_id: clip.subject for clip in open_store(store).clips}
    for name in ("casme2-sub01", "casme2-sub02", "casme2-sub03"):
        fold = json.loads((tmp_path / "folds" / f"{name}.json").read_text())
        people = {subject_of[clip_id] for _, clip_id, *_ in fold["validation_predictions"]}
        assert len(people) == 1
        assert people.isdisjoint(subject_of[clip_id] for _, clip_id, *_ in fold["predictions"])
        np.testing.assert_allclose([sum(row[2:]) for row in fold["validation_predictions"]], 1, atol=1e-5)
        assert any((tmp_path / "tensorboard" / name).rglob("events*"))


@pytest.fixture(scope="module")
def two_datasets(tmp_path_factory):
    """Two people of CASME II, and two of CAS(ME)², one of whom is one of them; four emotions each."""
    folder = tmp_path_factory.mktemp("two")
    words = {"happiness": "positive", "disgust": "negative"}
    clips = []
    for dataset, names in (("casme2", ("sub01", "sub15")), ("casme_sq", ("s01", "s15"))):
        for clip in forge_clips(folder / dataset):
            emotion = words.get(clip.emotion, clip.emotion) if dataset == "casme_sq" else clip.emotion
            subject = names[clip.subject == "sub02"]
            clips.append(dataclasses.replace(clip, dataset=dataset, subject=subject, emotion=emotion))
    return prepare(clips, folder / "store", CropConfig(SIZE, "none"), name="both").store.path


@pytest.mark.parametrize("protocol", ["composite", "cross_dataset", "holdout", "kfold"])
def test_every_protocol_runs_and_its_folds_are_those_of_the_protocol(two_datasets, tmp_path, protocol):
    """What was trained on and tested is read back from the run and held against the identities, not against the protocol."""
    options = {"k": 2} if protocol == "kfold" else {}
    config = replace(CONFIG, train=replace(CONFIG.train, epochs=1, validation=0.0))
    result = evaluate(two_datasets, tmp_path / "run", config, protocol, **options)
    clips = {(clip.dataset, clip.clip_id): clip for clip in open_store(two_datasets).clips}
    rows = read_predictions(tmp_path / "run" / "predictions.csv").rows
    names = {"composite": 3, "kfold": 2, "cross_dataset": 2, "holdout": 2}
    assert len({row.fold for row in rows}) == names[protocol]
    tested = {(row.dataset, row.clip_id) for row in rows}
    assert len(tested) == len(rows) == len([clip for clip in clips.values() if clip.emotion != "boredom"])
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    same = {("casme2", "sub15"): "he", ("casme_sq", "s15"): "he"}
    for file in (tmp_path / "run" / "folds").glob("*.json"):
        fold = json.loads(file.read_text())
        found = [(clips[dataset, name].dataset, clips[dataset, name].subject) for dataset, name in fold["train"]]
        trained = {same.get(each, each) for each in found}
        found = [
            (clips[dataset, name].dataset, clips[dataset, name].subject) for dataset, name, *_ in fold["predictions"]
        ]
        assert trained
        assert not trained & {same.get(each, each) for each in found}
        if protocol in ("cross_dataset", "holdout"):
            # Subject 15 of both is one person, whose clips may not train what is tested on him.
            assert len(fold["excluded"]) == sum(clip.subject in ("sub15", "s15") for clip in clips.values()) // 2
            assert "persons" in manifest["excluded"][file.stem]
    assert [row.name for row in result.rows][:1] == ["casme2-to-casme_sq" if protocol == "cross_dataset" else "all"]


def test_another_dataset_in_the_store_changes_no_pairs_predictions(tmp_path):
    words = {"happiness": "positive", "disgust": "negative"}
    casme2 = forge_clips(tmp_path / "casme2", subjects=3)
    casme_sq = [
        dataclasses.replace(clip, dataset="casme_sq", emotion=words.get(clip.emotion, clip.emotion))
        for clip in forge_clips(tmp_path / "casme_sq", seed=1)
    ]
    more = [
        dataclasses.replace(clip, dataset="custom", subject=f"x{clip.subject}")
        for clip in forge_clips(tmp_path / "more", subjects=6, seed=2)
    ]
    predicted = []
    for name, clips in (("two", [*casme2, *casme_sq]), ("three", [*casme2, *casme_sq, *more])):
        store = prepare(clips, tmp_path / f"{name}-store", CropConfig(SIZE, "none"), name="all").store.path
        config = replace(CONFIG, train=replace(CONFIG.train, epochs=3))
        result = evaluate(store, tmp_path / name, config, "cross_dataset")
        predicted.append(result.predictions.by_fold()["casme2-to-casme_sq"].rows)
    assert predicted[0] == predicted[1]
    assert len(predicted[0]) == 8


@pytest.mark.parametrize("limit", [None, 0])
def test_a_flipped_bit_in_a_shard_is_named(store, tmp_path, monkeypatch, limit):
    """Whether the clips are held in memory or read one record at a time."""
    if limit is not None:
        monkeypatch.setattr("affnet_tf.training.labelled.CACHE_BYTES", limit)
    copy = shutil.copytree(store, tmp_path / "store")
    shard = next(copy.glob("*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match=shard.name):
        train(copy, tmp_path / "run", CONFIG)
