"""Convolutions over blocks of pixels against Keras' own, and mapped over kernels against JAX' own."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from small import SMALL

from affnet_tf.config import replace
from affnet_tf.models.affectivenet import affectivenet
from affnet_tf.models.convolution import convolve, rewritten


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (5, 6)])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5), (11, 11)])
def test_stride_two_over_blocks_is_stride_two_over_pixels(size, kernel):
    rng = np.random.default_rng(0)
    images, weights = rng.normal(size=(2, *size, 3)).astype("f4"), rng.normal(size=(*kernel, 3, 5)).astype("f4")
    theirs = keras.ops.conv(images, weights, strides=2, padding="same", data_format="channels_last")
    ours = convolve(images, weights, 2)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_one_by_one_is_a_product_of_matrices():
    rng = np.random.default_rng(1)
    images, weights = rng.normal(size=(2, 4, 5, 3)).astype("f4"), rng.normal(size=(1, 1, 3, 6)).astype("f4")
    np.testing.assert_allclose(
        convolve(images, weights, 1), np.einsum("bhwc,co->bhwo", images, weights[0, 0]), atol=1e-5
    )


@pytest.mark.parametrize("changes", [{}, {"depthwise": True}, {"input_size": 33}])
def test_a_rewritten_network_gives_the_same_logits(changes):
    keras.utils.set_random_seed(0)
    model = affectivenet(replace(SMALL, **changes), 4)
    images = np.random.default_rng(2).random((3, *model.input_shape[1:]), np.float32)
    before = keras.ops.convert_to_numpy(model(images))
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]
    with rewritten(model):
        assert any("convolution_op" in vars(layer) for layer in layers)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(model(images)), before, atol=1e-5)
    assert not any("convolution_op" in vars(layer) for layer in layers)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(images)), before)
    assert np.abs(before).max() > 0


MAPPED = """
import jax, numpy as np
from affnet_tf.models.convolution import convolve

def gradients(images, kernel, of):
    return jax.grad(lambda images, kernel: (of(images, kernel) ** 2).sum(), (0, 1))(images, kernel)

def theirs(images, kernel):
    return jax.lax.conv_general_dilated(images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

rng = np.random.default_rng(0)
for size in (3, 5, 11):
    images, kernels = (rng.normal(size=shape).astype("f4") for shape in ((2, 3, 9, 8, 3), (2, size, size, 3, 4)))
    found = jax.vmap(lambda i, k: gradients(i, k, lambda i, k: convolve(i, k, 2)))(images, kernels)
    expected = [gradients(*each, theirs) for each in zip(images, kernels)]
    for place in (0, 1):
        np.testing.assert_allclose(found[place], np.stack([each[place] for each in expected]), rtol=1e-3, atol=1e-3)
        assert np.abs(found[place]).max() > 1
"""


def test_gradients_mapped_over_kernels_are_those_of_each_kernel():
    pytest.importorskip("jax")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    done = subprocess.run([sys.executable, "-c", MAPPED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
