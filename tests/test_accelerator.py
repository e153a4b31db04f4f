"""A GPU or a TPU against the CPU of the same machine, under JAX: ``pytest -s -m accelerator`` prints what it finds.

TensorFlow is not needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.accelerator


@pytest.fixture(scope="module")
def found() -> dict:
    """What on_accelerator.py found."""
    pytest.importorskip("jax")
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, tests / "on_accelerator.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    if answer["kind"] == "cpu":
        pytest.skip("JAX sees neither a GPU nor a TPU")
    return answer


def difference(what: str, one: object, other: object) -> float:
    """The largest; with ``-s`` it is shown."""
    found = float(np.abs(np.subtract(one, other)).max())
    print(f"\n{what}: {found:.1e}")
    return found


def test_an_accelerator_is_chosen_and_told(found):
    assert found["told"].endswith(f"{found['kind'].upper()} device(s), {found['precision']}, global batch 8")
    assert found["precision"] in ("mixed_bfloat16", "mixed_float16")


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-3), ("mixed_bfloat16", 2e-2)])
def test_the_forward_pass_is_that_of_the_cpu(found, precision, bound):
    there, here = found[f"forward {found['kind']} {precision}"], found["forward cpu float32"]
    assert difference(f"forward, {precision}, a probability", there, here) < bound
    assert np.std(here, axis=0).min() > 5e-3, "images that differ must be told apart"


def test_motion_images_are_those_of_the_cpu(found):
    assert difference("a motion image", found[f"motion {found['kind']}"], found["motion cpu"]) < 1e-5


def test_twenty_steps_are_those_of_the_cpu(found):
    there, here = found[f"learned {found['kind']}"]["losses"], found["learned cpu"]["losses"]
    assert difference("20 steps, float32 with exact products, a loss", there, here) < 1e-3
    assert here[-1] < 0.5 * here[0]


def test_the_precision_that_is_chosen_learns_as_float32_does(found):
    there, here = found["learned as chosen"]["losses"], found["learned cpu"]["losses"]
    assert 0 < difference("20 steps, the chosen precision against float32 on the CPU, a loss", there, here) < 0.3


def test_folds_in_one_program_end_where_each_ends_on_its_own(found):
    learned = found[f"learned {found['kind']}"]
    words = "folds in one program, float32 with exact products, a probability"
    assert difference(words, learned["alone"], learned["together"]) < 1e-3
    assert difference("one fold and another", learned["alone"][0], learned["alone"][1]) > 0.1
    learned = found["learned as chosen"]
    # No bound: rounding in another order grows over the steps.
    difference("folds in one program, the chosen precision, a probability", learned["alone"], learned["together"])


def test_auto_takes_as_many_folds_as_memory_holds(found):
    told = found["memory"]
    assert told["folds"] > 8
    assert 0.1 < told["used"] / told["limit"] < 0.8
