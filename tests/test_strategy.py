import json
import os
import subprocess
import sys

import keras
import pytest

from affnet_tf.errors import InputError
from affnet_tf.training.strategy import Devices, choose_devices

# Two logical devices of one machine stand for a CPU and what the backend would rather use: an outer scope prefers the second.
TENSORFLOW = """
import json, keras, tensorflow as tf
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
from affnet_tf.training.strategy import choose_devices

def place():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((tf.zeros((8, 4)), tf.zeros((8, 2)))).repeat())
    tensors = [*model.variables, *model.optimizer.variables, *model.train_function(batches).values()]
    return sorted({getattr(tensor, "value", tensor).device[-5:] for tensor in tensors})

with tf.device("CPU:1"):
    outside = place()
    devices = choose_devices("cpu")
    with devices.scope():
        inside = place()
print(json.dumps([outside, inside, str(devices)]))
"""
JAX = """
import json, keras, numpy as np, jax
from affnet_tf.training.strategy import choose_devices

def place():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0)
    return sorted({str(d.id) for v in [*model.variables, *model.optimizer.variables] for d in v.value.devices()})

with jax.default_device(jax.devices("cpu")[1]):
    outside = place()
    devices = choose_devices("cpu")
    with devices.scope():
        inside = place()
print(json.dumps([outside, inside, str(devices)]))
"""


REFUSED = """
import json, os, keras
from affnet_tf.errors import InputError
from affnet_tf.training.strategy import choose_devices

def refusal(*arguments):
    try:
        return str(choose_devices(*arguments))
    except InputError as error:
        return str(error)

found = [refusal("tpu"), refusal("cpu:3"), refusal("auto:2"), refusal("cpu:none")]
os.environ["KERAS_BACKEND"] = "tensorflow"
print(json.dumps([*found, refusal("cpu")]))
"""


def answer(code: str, **environment: str) -> list:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_cpu_keeps_training_on_the_cpu():
    assert answer(TENSORFLOW) == [["CPU:1"], ["CPU:0"], "1 CPU device(s), float32"]


def test_cpu_keeps_training_on_the_cpu_under_jax():
    """Two devices are seen, one is used, and one is what is said."""
    pytest.importorskip("jax")
    flags = "--xla_force_host_platform_device_count=2"
    assert answer(JAX, KERAS_BACKEND="jax", XLA_FLAGS=flags) == [["1"], ["0"], "1 CPU device(s), float32"]


def test_tpu_under_tensorflow_is_refused():
    with pytest.raises(InputError, match=r"must be used with KERAS_BACKEND=jax.*Received: device 'tpu'"):
        choose_devices("tpu")


def test_what_jax_does_not_have_is_told():
    """With what was found, and how to get one; a backend that is named too late is no backend."""
    pytest.importorskip("jax")
    flags = "--xla_force_host_platform_device_count=2"
    tpu, three, auto, none, late = answer(REFUSED, KERAS_BACKEND="jax", XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    assert tpu.startswith("device must be one that the jax backend sees here: 2 cpu; a TPU comes with Colab")
    assert tpu.endswith("pip install 'jax[tpu]'. Received: 'tpu'")
    assert three == "device must be one that the jax backend sees here: 2 cpu. Received: 'cpu:3'"
    assert auto == "device must be a kind and a number, such as gpu:2. Received: 'auto:2'"
    assert none == "device must be a kind and a number, such as gpu:2. Received: 'cpu:none'"
    assert late.startswith("KERAS_BACKEND must be set before keras is imported: start Python anew")
    assert late.endswith("Received: KERAS_BACKEND=tensorflow where keras runs on jax")


def test_hosts_need_jax(monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    with pytest.raises(InputError, match=r"several hosts must use KERAS_BACKEND=jax"):
        choose_devices("cpu")


def test_a_batch_is_split_evenly_or_not_at_all():
    three = Devices("gpu", ("GPU:0", "GPU:1", "GPU:2"), "mixed_bfloat16")
    three.check_batch(18)
    with pytest.raises(
        InputError, match=r"multiple of the number of devices, 3; --device gpu:1 takes one\. Received: 16"
    ):
        three.check_batch(16)
    assert three.told(18) == "3 GPU device(s), mixed_bfloat16, global batch 18"


def test_unknown_or_missing_devices():
    with pytest.raises(
        InputError, match=r"device must be one of auto, cpu, gpu, tpu\. Received: 'cup'\. Did you mean 'cpu'"
    ):
        choose_devices("cup")
    if "gpu" not in str(choose_devices()).lower():
        with pytest.raises(InputError, match=r"sees here: 1 cpu\. Received: 'gpu'"):
            choose_devices("gpu")


def test_the_scope_sets_the_precision_and_takes_it_back():
    with choose_devices("cpu", "mixed_bfloat16").scope():
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"
