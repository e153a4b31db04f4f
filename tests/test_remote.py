"""Stores and runs behind tf.io.gfile: on ``ram://``, which lives as long as this process, all is as on a local disk."""

import contextlib
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from command_line import affnet as run_command
from command_line import contents, write_clips
from forged import SIZE, forge_clips
from small import SMALLEST, images

from affnet_tf.config import ExperimentConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.evaluation.paper_table import compare_runs
from affnet_tf.evaluation.report import score_file, write_report
from affnet_tf.files import atomic_write, read_json, write_json
from affnet_tf.inference.predictor import load_predictor
from affnet_tf.models.checkpoint import load_checkpoint
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.pipeline.store import open_store
from affnet_tf.places import place_at
from affnet_tf.training.experiment import evaluate, train
from affnet_tf.training.repeat import repeat

CONFIG = ExperimentConfig(model=SMALLEST, train=TrainConfig(epochs=3, batch_size=4, seed=3))
CROPS = CropConfig(SIZE, "none")
FILES = tf.io.gfile


class Stopped(Exception):
    """Stands for a kill."""


def stop_after(count):
    def stop(done, *_):
        if done == count:
            raise Stopped

    return stop


def remote_contents(address: str) -> dict[str, bytes]:
    """Every file below, with what it holds, as TensorFlow itself reads it."""
    found = {}
    for folder, _, names in FILES.walk(address):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            with FILES.GFile(path, "rb") as file:
                found[path.removeprefix(f"{address}/")] = file.read()
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if data is not None}


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory):
    """Where a remote store is cropped, for this module."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("caches")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return forge_clips(tmp_path_factory.mktemp("data") / "casme2", subjects=3, clips=4)


@pytest.fixture(scope="module")
def stores(clips, tmp_path_factory):
    """One store, written to a local disk and to ram://."""
    here = prepare(clips, tmp_path_factory.mktemp("stores") / "store", CROPS, clips_per_shard=5).store.path
    there = prepare(clips, "ram://stores/store/", CROPS, clips_per_shard=5).store.path
    assert there == "ram://stores/store"
    return here, there


@pytest.fixture(scope="module")
def runs(stores, tmp_path_factory):
    """One evaluation, written to a local disk, and to ram:// in two goes."""
    here, there = tmp_path_factory.mktemp("runs") / "loso", "ram://runs/loso"
    evaluate(stores[0], here, CONFIG)
    with pytest.raises(Stopped):
        evaluate(stores[1], there, CONFIG, progress=stop_after(2))
    assert len(FILES.glob(f"{there}/folds/*.json")) == 2
    assert not FILES.exists(f"{there}/predictions.csv")
    with pytest.raises(InputError, match="must be new, or resumed with --resume"):
        evaluate(stores[1], there, CONFIG)
    FILES.copy(f"{there}/config.json", f"{there}/folds/.x.json.12345678.part")  # as a kill may leave it
    evaluate(stores[1], there, CONFIG, resume=True)
    return here, there


# Stores


def test_a_store_is_written_with_the_bytes_of_a_local_one(stores, caches):
    assert remote_contents(stores[1]) == files_of(Path(stores[0]))
    assert not any(path.is_file() for path in caches.rglob("*"))


def test_a_store_goes_on_after_a_kill_and_is_absent_until_then(clips, stores, caches):
    address = "ram://stores/killed"
    with pytest.raises(Stopped):
        prepare(clips, address, CROPS, clips_per_shard=5, progress=stop_after(7))
    assert not FILES.exists(address)
    shards = list(caches.rglob("*-00000-of-00003.tfrecord"))
    assert len(shards) == 1
    done = []
    prepare(clips, address, CROPS, clips_per_shard=5, progress=lambda *state: done.append(state))
    assert done[0] == (6, 12)  # five clips were there
    assert remote_contents(address) == files_of(Path(stores[0]))
    assert not any(path.is_file() for path in caches.rglob("*"))


def test_what_was_begun_by_other_settings_hinders_no_store(clips, stores, caches, tmp_path, monkeypatch):
    address, magnified = "ram://stores/begun", CropConfig(SIZE, "none", magnify=5.0)
    others = [replace(clip, dataset="samm") for clip in clips[:4]]
    for made_from, settings in ((clips, magnified), (others, CropConfig(28, "none"))):
        with pytest.raises(Stopped):
            prepare(made_from, address, settings, clips_per_shard=2, progress=stop_after(4))
    with pytest.raises(Stopped):
        prepare(clips, address, magnified, clips_per_shard=5, progress=stop_after(7))
    with monkeypatch.context() as patch:  # another machine is faster
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
        prepare(clips, address, CROPS, clips_per_shard=5)
    with pytest.raises(
        InputError, match=r"'ram://stores/begun' must be made by the same settings .*magnify 0\.0 against"
    ):
        prepare(clips, address, magnified, clips_per_shard=5)
    prepare(clips, address, CROPS, clips_per_shard=5)
    assert remote_contents(address) == files_of(Path(stores[0]))
    prepare(others, address, CROPS)
    assert len(open_store(address).clips) == 16
    kept = {path.parent for path in caches.rglob("*") if path.is_file()}
    assert len(kept) == 3, "what was begun by other settings is kept"
    for folder in kept:
        shutil.rmtree(folder)


@contextlib.contextmanager
def stopped_at_rename(number, left=""):
    """What a kill leaves when so many files had been given their names: the next one, under a temporary name if ``left``."""
    rename, names = FILES.rename, []

    def cut(source, target, overwrite=False):
        if len(names) == number:
            if left:
                FILES.copy(source, left.format(name=target.rpartition("/")[2]))
            raise Stopped
        names.append(target)
        rename(source, target, overwrite)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FILES, "rename", cut)
        yield


@pytest.mark.parametrize("moved", [0, 1, 5])
def test_a_store_whose_machine_is_lost_while_it_is_copied_up(clips, stores, tmp_path, monkeypatch, moved):
    address = f"ram://stores/lost{moved}"
    with stopped_at_rename(moved, left=f"{address}/.{{name}}.0a1b2c3d.part"), pytest.raises(Stopped):
        prepare(clips, address, CROPS, clips_per_shard=5)
    assert len(remote_contents(address)) == moved + 1
    with pytest.raises(InputError, match="must be finished" if moved else r"without manifest\.json"):
        open_store(address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # as on a new machine
    done = []
    prepare(clips, address, CROPS, clips_per_shard=5, progress=lambda *state: done.append(state))
    assert done[0] == ((6, 12) if moved == 5 else (1, 12))  # plan and first shard were there
    assert remote_contents(address) == files_of(Path(stores[0]))


def test_a_second_part_and_a_repeated_one(clips, tmp_path):
    others = [replace(clip, dataset="samm") for clip in clips[:4]]
    for store in ("ram://stores/two", tmp_path / "two"):
        prepare(clips[4:], store, CROPS)
        prepare(others, store, CROPS)
        with pytest.raises(InputError, match=r"two' must have each clip once\. Received: samm 'sub01/EP00'"):
            prepare(others[:1], store, CROPS, name="again")
    assert remote_contents("ram://stores/two") == files_of(tmp_path / "two")
    writes = FILES.stat("ram://stores/two/manifest.json").mtime_nsec
    done = []
    prepared = prepare(others, "ram://stores/two", CROPS, progress=lambda *state: done.append(state))
    assert (done, len(prepared.store.clips), len(prepared.pictures)) == ([], 12, 1)
    assert FILES.stat("ram://stores/two/manifest.json").mtime_nsec == writes


# Runs


def test_an_evaluation_killed_and_resumed_predicts_byte_for_byte_as_the_local_one(runs):
    here, there = runs
    found = remote_contents(there)
    assert found.keys() == files_of(here).keys()
    assert found["predictions.csv"] == (here / "predictions.csv").read_bytes()
    name = "folds/casme2-sub03.npz"
    with np.load(here / name) as ours, (place_at(there) / name).open("rb") as file, np.load(file) as theirs:
        assert ours.files == theirs.files
        for each in ours.files:
            np.testing.assert_array_equal(ours[each], theirs[each])


def test_reports_are_made_where_the_run_is(runs):
    here, there = runs
    ours, theirs = write_report(here), write_report(there)
    for document, _ in (ours, theirs):
        del document["manifest"]
    assert theirs == ours
    assert remote_contents(there).keys() == files_of(here).keys()
    assert remote_contents(there)["results.csv"] == (here / "results.csv").read_bytes()
    assert b"data:image/png;base64," in remote_contents(there)["report.html"]
    document, _, text = compare_runs([here, there])
    assert document["parts"]["all"][1]["against_first"]["difference"] == 0
    assert "| runs/loso |" in text
    assert score_file(f"{there}/predictions.csv") == score_file(here / "predictions.csv")
    with pytest.raises(InputError, match=r"Received: 'ram://runs/loso' twice"):
        compare_runs([there, f"{there}/"])


def test_seeds(stores):
    config = replace(CONFIG, train=replace(CONFIG.train, epochs=1))
    for resume, seeds in ((False, 1), (True, 2)):
        options = {"k": 2, "seeds": seeds, "resume": resume, "tensorboard": True}
        repeat(stores[1], "ram://runs/seeds", config, "kfold", **options)
        with pytest.raises(InputError, match="must be new, or resumed"):
            repeat(stores[1], "ram://runs/seeds", config, "kfold", k=2, seeds=seeds)
    runs = read_json("ram://runs/seeds/seeds.json")["runs"]
    assert list(runs) == ["seed-3", "seed-4"]
    for name, rows in runs.items():
        folds = FILES.listdir(f"ram://runs/seeds/{name}/folds")
        logs = FILES.glob(f"ram://runs/seeds/{name}/tensorboard/*/train/*.tfevents.*")
        assert {log.split("/")[-3] for log in logs} == {fold[:-5] for fold in folds if fold.endswith(".json")}
        scored, _ = score_file(f"ram://runs/seeds/{name}/predictions.csv")
        assert rows["all"]["uf1"] == scored["uf1"]
    with pytest.raises(InputError, match="one of them: seed-3, seed-4"):
        write_report("ram://runs/seeds")


@pytest.mark.slow
def test_processes_write_to_an_address(clips, runs, tmp_path):
    """Of a kind that several processes see."""
    store = prepare(clips, f"file://{tmp_path}/store", CROPS, clips_per_shard=5).store.path
    evaluate(store, f"file://{tmp_path}/run", CONFIG, parallel=2)
    assert files_of(tmp_path / "run").keys() == files_of(runs[0]).keys()
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == (runs[0] / "predictions.csv").read_bytes()


@pytest.fixture(scope="module")
def trained(stores, tmp_path_factory):
    """One network, trained on a local disk without keeping its state, and at ram:// in two goes: checkpoint and folders."""
    here, there = tmp_path_factory.mktemp("runs") / "final", "ram://runs/final"
    kept = []
    options = {
        "keep_seconds": 1e6,
        "tensorboard": False,
        "progress": lambda *_: kept.append((here / "state.npz").exists()),
    }
    checkpoint = train(stores[0], here, CONFIG, **options)
    assert kept == [False] * CONFIG.train.epochs
    with pytest.raises(Stopped):
        train(stores[1], there, CONFIG, progress=stop_after(2))
    assert {"config.json", "manifest.json", "state.npz"} <= set(FILES.listdir(there))
    seen = []
    keras.utils.set_random_seed(12345)
    train(stores[1], there, CONFIG, resume=True, progress=lambda done, *_: seen.append(done))
    assert seen == [3]
    return checkpoint, here, there


def test_a_checkpoint_killed_resumed_and_loaded_answers_as_the_local_one(trained, stores):
    checkpoint, here, there = trained
    assert not FILES.exists(f"{there}/state.npz")
    assert any(".tfevents." in name for name in FILES.listdir(f"{there}/tensorboard/train"))
    pictures = images(5, 32)
    loaded = load_checkpoint(f"{there}/model")
    assert (loaded.config, loaded.labels, loaded.details) == (CONFIG, checkpoint.labels, checkpoint.details)
    for ours, theirs in zip(checkpoint.model.get_weights(), loaded.model.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, ours)
    ours, theirs = load_predictor(here), load_predictor(there)
    np.testing.assert_array_equal(theirs.classify(pictures[0]), ours.classify(pictures[0]))
    again = train(stores[1], there, CONFIG, resume=True, progress=lambda *_: pytest.fail("it was finished"))
    np.testing.assert_array_equal(again.model.get_weights()[0], checkpoint.model.get_weights()[0])


def test_the_command_line(tmp_path, capsys):
    write_clips(tmp_path / "people")
    settings = ["--set", "model.input_size=32", "--set", "model.kernels=[3]", "--set", "model.widths=[4]", "--quiet"]
    settings += ["--set", "train.epochs=1", "--set", "train.batch_size=4"]
    store, run = "ram://cli/store", "ram://cli/run"
    assert run_command("prepare", "casme2", tmp_path / "people", store, "--size", 40, "--workers", 1, "--quiet") == 0
    assert run_command("evaluate", store, "--out", f"{run}/loso", "--protocol", "kfold", "--k", 2, *settings) == 0
    config = ("--config", f"{run}/loso/config.json")
    assert run_command("train", store, "--out", f"{run}/final", *config, "--quiet") == 0
    for name, data in remote_contents(f"{run}/loso").items():
        with atomic_write(f"{run}/again/{name}") as file:
            file.write(data)
    assert (
        run_command("evaluate", store, "--out", f"{run}/loso", "--protocol", "kfold", "--k", 2, *settings, "--resume")
        == 0
    )
    for words in (
        ("report", f"{run}/loso"),
        ("score", f"{run}/loso/predictions.csv"),
        ("compare", f"{run}/loso", f"{run}/again"),
        ("describe", f"{run}/final"),
        ("export", f"{run}/final", "--out", tmp_path / "bundle", "--recipe", "float32", "--store", store)
        + ("--scores", f"{run}/loso"),
    ):
        assert run_command(*words, "--quiet") == 0
    scored, _ = score_file(f"{run}/loso/predictions.csv")
    card = (tmp_path / "bundle" / "float32" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"| kfold | all | 12 | 3 | {scored['accuracy']:.3f} (" in card
    clip = tmp_path / "people" / "Cropped" / "sub01" / "EP00"
    out = ("--detector", "none", "--out", "ram://cli/prediction", "--quiet")
    assert run_command("predict", clip, "--model", f"{run}/final", *out) == 0
    assert {"prediction.json", "prediction.png"} == set(FILES.listdir("ram://cli/prediction"))
    out, err = capsys.readouterr()
    assert "ram://cli/run/loso/report.html" in out
    assert err == ""
    assert not any(path.name.startswith("ram:") for path in Path.cwd().iterdir())


# Bad input


@pytest.mark.parametrize(
    "words",
    [
        ("report", "foo://bucket/run"),
        ("train", "foo://bucket/store", "--out", "runs/x"),
        ("prepare", "casme2", "{people}", "foo://bucket/store"),
    ],
)
def test_a_scheme_that_tensorflow_does_not_know(fails, tmp_path, words):
    write_clips(tmp_path / "people", subjects=1)
    line = fails(*(word.format(people=tmp_path / "people") for word in words))
    assert "the scheme of 'foo://bucket/" in line
    assert "must be one of" in line
    assert "gs, ram. Received: 'foo'" in line


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("prepare", "casme2", "gs://b/people", "store"), "a dataset's folder"),
        (("inspect", "casme2", "gs://b/people"), "a dataset's folder"),
        (("synth", "gs://b/people"), "synthetic people"),
        (("demo", "--out", "gs://b/people"), "--out"),
        (("predict", "gs://b/people", "--model", "ram://runs/final"), "a recording"),
        (("export", "run", "--out", "gs://b/people", "--recipe", "float32"), "a bundle"),
        (("verify", "gs://b/people"), "a bundle"),
    ],
)
def test_what_must_be_local_says_so(fails, trained, words, what):
    line = fails(*words)
    assert line == f"affnet: {what} must be on a local disk. Received: 'gs://b/people'\n"


def test_a_tflite_file_at_an_address(fails, tmp_path):
    (tmp_path / "m.tflite").touch()
    line = fails("predict", tmp_path, "--model", f"file://{tmp_path}/m.tflite")
    assert line == (
        f"affnet: a model that is no checkpoint must be on a local disk. Received: 'file://{tmp_path}/m.tflite'\n"
    )


def test_what_is_not_there(fails):
    assert "a store must be a folder that affnet prepare wrote" in fails(
        "train", "ram://no/store", "--out", "ram://no/run"
    )
    assert "with predictions.csv. Received: 'ram://no/run'" in fails("report", "ram://no/run")
    with pytest.raises(InputError, match=r"a checkpoint must be a folder with .* Received: 'ram://no/model'"):
        load_checkpoint("ram://no/model")
    assert not FILES.exists("ram://no")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions as on Unix")
def test_a_place_without_permission(fails, tmp_path):
    """TensorFlow's own scheme for local files refuses as a bucket does. An administrator becomes nobody for this."""
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    administrator = os.geteuid() == 0
    try:
        if administrator:
            os.seteuid(65534)
        with pytest.raises(InputError, match=r"store 'file:///.*/closed/store' must be readable by who runs this"):
            open_store(f"file://{closed}/store")
        with pytest.raises(PermissionError):
            write_json(f"file://{closed}/run/config.json", {})
    finally:
        if administrator:
            os.seteuid(0)
        closed.chmod(0o755)
