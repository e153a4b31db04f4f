import json
import os
import subprocess
import sys

import keras
import pytest

from affnet_tf.errors import InputError
from affnet_tf.training.strategy import choose_devices

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
