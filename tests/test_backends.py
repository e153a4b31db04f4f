"""One network, the same numbers: under TensorFlow and JAX, on one device and on two, in one process and in two."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forged import SIZE, forge_clips
from small import images

from affnet_tf.export.bundle import export
from affnet_tf.inference.reverify import verify_bundle
from affnet_tf.models.affectivenet import probabilities
from affnet_tf.models.checkpoint import load_checkpoint
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare

pytest.importorskip("jax")

# Two backends are started for them, each of which compiles what it trains.
pytestmark = pytest.mark.slow

BACKENDS = ("tensorflow", "jax")


def start(task: str, backend: str, folder: Path, **environment: str) -> subprocess.Popen:
    """Run a task of on_devices.py in a process of its own."""
    tests = Path(__file__).parent
    # This file's folder and the project, whatever the environment has installed.
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    environment = {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path, **environment}
    return subprocess.Popen(
        [sys.executable, tests / "on_devices.py", task, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def answer(process: subprocess.Popen) -> dict:
    """What a task printed."""
    out, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


def difference(one: object, other: object) -> float:
    return float(np.abs(np.subtract(one, other)).max())


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """By backend, what ``on_devices.steps`` found."""
    return {backend: answer(start("steps", backend, tmp_path_factory.mktemp(backend))) for backend in BACKENDS}


def test_the_forward_pass_is_the_same_under_both_backends(steps):
    found = [steps[backend]["forward float32"] for backend in BACKENDS]
    assert difference(*found) < 1e-5
    assert np.std(found[0], axis=0).min() > 1e-3, "images that differ must be told apart"


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_devices_lose_what_one_loses_over_twenty_steps(steps, backend):
    """Batch normalisation sees the whole batch, and validation that fills no whole batch counts each clip once."""
    assert len(steps[backend]["cpu"]) == 40
    assert difference(steps[backend]["cpu"], steps[backend]["cpu:2"]) < 1e-4
    assert steps[backend]["told"] == "2 CPU device(s), float32, global batch 8"
    losses = steps[backend]["cpu"][:20]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5]), "twenty steps must change the network"


def test_twenty_steps_are_the_same_under_both_backends(steps):
    assert difference(steps["tensorflow"]["cpu"], steps["jax"]["cpu"]) < 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("precision", "bound"), [("mixed_bfloat16", 2e-2), ("mixed_float16", 2e-3)])
def test_mixed_precision_stays_within_its_bound(steps, backend, precision, bound):
    """Of a probability, for the same weights: 8 and 11 bits of a number are kept, through four layers."""
    assert 0 < difference(steps[backend]["forward float32"], steps[backend][f"forward {precision}"]) < bound


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_in_bfloat16_follows_float32(steps, backend):
    losses = [steps[backend][name][:20] for name in ("cpu", "mixed_bfloat16")]
    assert 0 < difference(*losses) < 0.3
    assert difference(losses[0][0], losses[1][0]) < 0.02


@pytest.mark.slow
def test_two_processes_lose_what_one_loses(steps, tmp_path):
    """JAX alone; the two meet over loopback, and each feeds its half of every batch."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    hosts = [
        start(
            "host",
            "jax",
            tmp_path,
            KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
            KERAS_DISTRIBUTION_NUM_PROCESSES="2",
            KERAS_DISTRIBUTION_PROCESS_ID=str(place),
        )
        for place in range(2)
    ]
    try:
        found = [answer(host) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert found[0] == found[1]
    assert found[0]["told"] == "2 CPU device(s) on 2 hosts, float32, global batch 8"
    assert difference(found[0]["losses"], steps["jax"]["cpu"][:20]) < 1e-4


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """By backend, a folder with a run on one device and one that was gone on with on two, and what was said of them."""
    found = {}
    for backend in BACKENDS:
        folder = tmp_path_factory.mktemp(f"runs-{backend}")
        clips = forge_clips(folder / "casme2", subjects=2, clips=8)
        prepare(clips, folder / "store", CropConfig(SIZE, "none"))
        found[backend] = folder, answer(start("resumed", backend, folder))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_begun_on_one_device_goes_on_on_two(runs, backend):
    _, found = runs[backend]
    assert found["told"] == ["killed", "2 CPU device(s), float32, global batch 8"]
    assert found["manifest"] == found["told"][1]
    whole, broken = found["losses"]
    assert len(whole) == 4
    assert whole[:2] == broken[:2]
    assert difference(whole, broken) < 1e-4


@pytest.mark.slow
def test_trained_on_jax_it_is_exported_from_tensorflow(runs, tmp_path):
    """The checkpoint knows no backend: loaded here it says the same, and its bundle passes its own verification."""
    folder, found = runs["jax"]
    checkpoint = load_checkpoint(folder / "whole" / "model")
    assert difference(probabilities(checkpoint.model, images(12, 28, seed=4)), found["probabilities"]) < 1e-5
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8) for _ in range(20)]
    bundle = export(checkpoint, tmp_path / "bundle", ["float32"], images(16, 28, seed=6), clips)
    assert list(bundle.recipes) == ["float32"]
    assert verify_bundle(bundle.folder)
