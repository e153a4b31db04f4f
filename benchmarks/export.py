"""Size and one-thread latency of exported networks beside MobileNetV2, in one run on one machine.

    python benchmarks/export.py [--rounds 15]

Random weights: neither size nor latency depends on them. Every round times each file once, one after the other, so that a
busy moment of the machine hits all of them; the ratio is the median over rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.python.framework.ops import get_stats_for_node_def

from affnet_tf.export.convert import convert_graph, convert_motion, convert_network
from affnet_tf.export.join import join
from affnet_tf.export.recipes import RECIPES, Recipe
from affnet_tf.export.representative import representative_dataset
from affnet_tf.export.signatures import Graph
from affnet_tf.export.verify import operators
from affnet_tf.inference.runtime import CLASSIFY, MOTION_IMAGE, PROBABILITIES
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.models.describe import describe
from affnet_tf.models.networks import build_network
from affnet_tf.presets import PRESETS

CLASSES, FRAME_SIZE, YARDSTICK_SIZE, CALLS = 4, 128, 112, 40
NAMES = ("affectivenet", "affectivenet_edge")


def preset_file(name: str, recipe: Recipe) -> bytes:
    """A preset as it would be shipped, with both signatures."""
    config = PRESETS[name].config
    checkpoint = Checkpoint(build_network(config.model, CLASSES), config, ("a", "b", "c", "d"), FRAME_SIZE)
    images = noise(config.model.input_size)
    return join(convert_network(checkpoint, recipe, images), convert_motion(checkpoint))


def yardstick_file(recipe: Recipe) -> bytes:
    """MobileNetV2 with one signature, converted by the same recipe."""
    shape = (YARDSTICK_SIZE, YARDSTICK_SIZE, 3)
    model = keras.applications.MobileNetV2(weights=None, alpha=1.0, input_shape=shape, classes=CLASSES)
    graph = Graph(
        lambda motion_image: {PROBABILITIES: model(motion_image, training=False)},
        tf.TensorSpec((1, *shape), tf.float32, name=MOTION_IMAGE),
        model,
    )
    return convert_graph(graph, recipe, representative_dataset(noise(YARDSTICK_SIZE), YARDSTICK_SIZE, recipe))


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(0).random((8, size, size, 3), np.float32)


def cost(name: str) -> tuple[int, int]:
    """Parameters and multiply-accumulates; the yardstick's are counted by TensorFlow's own statistics, two FLOP each."""
    if name in NAMES:
        described = describe(PRESETS[name].config.model, CLASSES)
        return described.parameters, described.macs
    shape = (YARDSTICK_SIZE, YARDSTICK_SIZE, 3)
    model = keras.applications.MobileNetV2(weights=None, alpha=1.0, input_shape=shape, classes=CLASSES)
    graph = tf.function(model).get_concrete_function(tf.TensorSpec((1, *shape), tf.float32)).graph
    layers = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
    operations = [operation for operation in graph.get_operations() if operation.type in layers]
    flops = sum(get_stats_for_node_def(graph, operation.node_def, "flops").value for operation in operations)
    return model.count_params(), flops // 2


def time_call(interpreter: Interpreter) -> float:
    """Median milliseconds of one call."""
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    warnings.filterwarnings("ignore", message=".*calibration images are few")
    print(f"{'network':18} {'parameters':>10} {'million MACs':>12}")
    for name in ("MobileNetV2", *NAMES):
        parameters, macs = cost(name)
        print(f"{name:18} {parameters:10,} {macs / 1e6:12.1f}")
    print(
        f"\n{'recipe':10} {'network':18} {'KB':>7} {'of yardstick':>12} {'ms':>7} {'of yardstick':>12}  integer layers"
    )
    for recipe in RECIPES:
        files = {"MobileNetV2": yardstick_file(recipe), **{name: preset_file(name, recipe) for name in NAMES}}
        interpreters = {name: Interpreter(model_content=file, num_threads=1) for name, file in files.items()}
        for interpreter in interpreters.values():
            interpreter.allocate_tensors()
            time_call(interpreter)
        times: dict[str, list[float]] = {name: [] for name in files}
        for _ in range(rounds):
            for name, interpreter in interpreters.items():
                times[name].append(time_call(interpreter))
        for name, file in files.items():
            ratio = statistics.median(t / y for t, y in zip(times[name], times["MobileNetV2"], strict=True))
            _, (integer, heavy) = operators(file)[CLASSIFY if name in NAMES else "serve"]
            print(
                f"{recipe.name:10} {name:18} {len(file) / 1000:7.0f} {len(file) / len(files['MobileNetV2']):12.3f} "
                f"{statistics.median(times[name]):7.3f} {ratio:12.3f}  {integer} of {heavy}"
            )


if __name__ == "__main__":
    main()
