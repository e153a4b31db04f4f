"""Folds on a Ray cluster of this machine: a head and two workers, one of which is killed."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from forged import SIZE, forge_clips
from test_parallel import CONFIG

from affnet_tf.datasets.synthetic import write_synthetic
from affnet_tf.errors import InputError
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare, prepare_dataset
from affnet_tf.pipeline.store import open_store
from affnet_tf.training.cluster import on_cluster
from affnet_tf.training.experiment import evaluate

SUBJECTS = 6


def work(names):
    yield from names


def affnet(*words):
    return subprocess.run(
        [sys.executable, "-m", "affnet_tf", *map(str, words)], check=False, capture_output=True
    ).returncode


@pytest.fixture
def store(tmp_path):
    clips = forge_clips(tmp_path / "casme2", subjects=SUBJECTS)
    return prepare(clips, tmp_path / "store", CropConfig(SIZE, "none")).store.path


def test_a_cluster_must_be_named_and_answer(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=r"RAY_ADDRESS=host:6379.*Received: none"):
        next(on_cluster(work, ["a"], "cpu", ()))
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match=rf"must answer at RAY_ADDRESS.*Received: '{address}', Connection refused"):
        next(on_cluster(work, ["a"], "cpu", ()))
    monkeypatch.setenv("RAY_ADDRESS", "somewhere")
    with pytest.raises(InputError, match=r"must be host:port, or auto\. Received: 'somewhere'"):
        next(on_cluster(work, ["a"], "cpu", ()))


def test_what_a_crop_task_imports_is_no_network():
    """A machine that only crops need not load TensorFlow, and wait for it."""
    code = "import sys, affnet_tf.training.cluster, affnet_tf.pipeline.shards; print({'keras', 'tensorflow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_an_engine_must_be_known(tmp_path):
    with pytest.raises(InputError, match=r"engine must be one of local, ray\. Received: 'rey'\. Did you mean 'ray'"):
        evaluate(tmp_path / "store", tmp_path / "run", CONFIG, engine="rey")


def test_shards_that_others_write_make_the_same_store(tmp_path, monkeypatch):
    """What hands them out here is this process; below it is a cluster."""
    monkeypatch.chdir(tmp_path)
    write_synthetic("people", subjects=2, clips=10, size=(68, 56))
    asked = []

    def spread(work, names, arguments):
        asked.extend(names)
        yield from work(reversed(names), *arguments)

    ours = prepare_dataset("casme2", "people", "ours", size=SIZE, workers=1).store
    seen = []
    theirs = prepare_dataset(
        "casme2", "people", "theirs", size=SIZE, spread=spread, progress=lambda *state: seen.append(state)
    ).store
    assert len(asked) == 2
    assert seen[-1] == (20, 20)
    assert theirs.hash == ours.hash
    for shard in ours.shards:
        assert Path(shard).read_bytes() == (tmp_path / "theirs" / Path(shard).name).read_bytes()


@pytest.mark.slow
def test_a_worker_is_killed_and_the_predictions_are_those_of_this_machine(store, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    evaluate(store, tmp_path / "local", CONFIG)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        workers = [cluster.add_node(num_cpus=1) for _ in range(2)]
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        seen = []

        def progress(done, total, name):
            seen.append((done, total, name))
            if done == 1 and len(workers) == 2:
                cluster.remove_node(workers.pop(), allow_graceful=False)

        evaluate(store, tmp_path / "ray", CONFIG, engine="ray", progress=progress)
        write_synthetic(tmp_path / "people", subjects=2, clips=10, size=(68, 56))
        words = ["prepare", "casme2", tmp_path / "people", "--size", SIZE]
        assert affnet(*words, tmp_path / "here") == affnet(*words, tmp_path / "there", "--engine", "ray") == 0
        stores = [open_store(tmp_path / name) for name in ("here", "there")]
        assert stores[0].hash == stores[1].hash
        for frame in next((tmp_path / "people" / "Cropped" / "sub01").iterdir()).iterdir():
            frame.write_bytes(b"damaged")
        assert affnet(*words, tmp_path / "strict", "--engine", "ray", "--strict") == 2
        assert not (tmp_path / "strict").exists()
        with pytest.raises(InputError, match=r"must keep its machine, or find another within 3 tries"):
            next(on_cluster(lambda names: (os.kill(os.getpid(), 9) for _ in names), ["a"], "cpu", ()))
        cluster.remove_node(workers[0])
        monkeypatch.setattr("affnet_tf.training.cluster.PATIENCE_SECONDS", 1)
        with pytest.raises(InputError, match=r"with a free CPU; .*none for 5 seconds, with 1 tasks left"):
            next(on_cluster(lambda names: iter(names), ["a"], "cpu", ()))
    finally:
        cluster.shutdown()
    assert len(workers) == 1
    assert [done for done, *_ in seen] == list(range(SUBJECTS + 1))
    local, ray = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("local", "ray")]
    assert local == ray
