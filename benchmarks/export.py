"""Size and one-thread latency of every recipe for the edge network beside MobileNetV2, in one run on one machine.

    python benchmarks/export.py [--rounds 15] [--network affectivenet_edge] [--recipe full_int8 ...]

Random weights: neither size nor latency depends on them, but for the compressed size of pruned and clustered ones, which are
fine-tuned for two epochs on noise. Every round times each file once, one after the other, so that a busy moment of the machine
hits all of them; the ratio is the median over rounds of the ratio within a round, to MobileNetV2 (1.0, 112×112) in full_int8.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import statistics
import warnings

import numpy as np

from affnet_tf.silence import silent

with silent():
    import keras
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter
    from tensorflow.python.framework.ops import get_stats_for_node_def

    from affnet_tf.export.convert import convert_graph, convert_network
    from affnet_tf.export.cost import latency
    from affnet_tf.export.fronts import convert_fronts
    from affnet_tf.export.graph import alone, delegated, operators
    from affnet_tf.export.qat import fine_tune, fine_tuned_file
    from affnet_tf.export.recipes import RECIPES, Recipe, recipe
    from affnet_tf.export.representative import representative_dataset
    from affnet_tf.export.signatures import Graph, MotionPath
    from affnet_tf.inference.runtime import MOTION_IMAGE, PROBABILITIES
    from affnet_tf.models.checkpoint import Checkpoint
    from affnet_tf.models.describe import describe
    from affnet_tf.models.networks import build_network
    from affnet_tf.presets import PRESETS

CLASSES, FRAME_SIZE, YARDSTICK_SIZE = 4, 128, 112
YARDSTICK = "MobileNetV2 full_int8"


def preset_file(name: str, chosen: Recipe) -> bytes:
    """A preset as it would be shipped, with all signatures."""
    config = PRESETS[name].config
    checkpoint = Checkpoint(build_network(config.model, CLASSES), config, ("a", "b", "c", "d"), FRAME_SIZE)
    images = noise(config.model.input_size)
    fronts = convert_fronts(MotionPath.of(checkpoint))
    if chosen.fine_tuning is None:
        return fronts.around(convert_network(checkpoint, chosen, images))
    short = dataclasses.replace(chosen, fine_tuning=dataclasses.replace(chosen.fine_tuning, epochs=2, batch_size=4))
    tuned = fine_tune(checkpoint, short, images, np.arange(len(images)) % CLASSES)
    if chosen.fine_tuning.method == "quantise":
        representative = representative_dataset(images, config.model.input_size, chosen)
        return fronts.around(fine_tuned_file(tuned, chosen, representative))
    return fronts.around(convert_network(tuned.checkpoint, chosen, images))


def yardstick_file(chosen: Recipe) -> bytes:
    """MobileNetV2 with one signature, converted by the same recipe."""
    shape = (YARDSTICK_SIZE, YARDSTICK_SIZE, 3)
    model = keras.applications.MobileNetV2(weights=None, alpha=1.0, input_shape=shape, classes=CLASSES)
    graph = Graph(
        lambda motion_image: {PROBABILITIES: model(motion_image, training=False)},
        (tf.TensorSpec((1, *shape), tf.float32, name=MOTION_IMAGE),),
        model,
    )
    return convert_graph(graph, chosen, representative_dataset(noise(YARDSTICK_SIZE), YARDSTICK_SIZE, chosen))


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(0).random((8, size, size, 3), np.float32)


def cost(name: str) -> tuple[int, int]:
    """Parameters and multiply-accumulates; the yardstick's are counted by TensorFlow's own statistics, two FLOP each."""
    if name in PRESETS:
        described = describe(PRESETS[name].config.model, CLASSES)
        return described.parameters, described.macs
    shape = (YARDSTICK_SIZE, YARDSTICK_SIZE, 3)
    model = keras.applications.MobileNetV2(weights=None, alpha=1.0, input_shape=shape, classes=CLASSES)
    graph = tf.function(model).get_concrete_function(tf.TensorSpec((1, *shape), tf.float32)).graph
    layers = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
    operations = [operation for operation in graph.get_operations() if operation.type in layers]
    flops = sum(get_stats_for_node_def(graph, operation.node_def, "flops").value for operation in operations)
    return model.count_params(), flops // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--network", default="affectivenet_edge")
    parser.add_argument("--recipe", action="append", help="by default all")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    print(f"{'network':18} {'parameters':>10} {'million MACs':>12}")
    for name in ("MobileNetV2", given.network):
        with silent():
            parameters, macs = cost(name)
        print(f"{name:18} {parameters:10,} {macs / 1e6:12.1f}", flush=True)
    with silent():
        files = {YARDSTICK: yardstick_file(recipe("full_int8"))}
        for chosen in [recipe(name) for name in given.recipe] if given.recipe else RECIPES:
            files[chosen.name] = preset_file(given.network, chosen)
        interpreters = {name: Interpreter(model_content=file, num_threads=1) for name, file in files.items()}
        for interpreter in interpreters.values():
            interpreter.allocate_tensors()
            latency(interpreter)
        taken = {name: next(iter(delegated(alone(file)).values())) for name, file in files.items()}
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(given.rounds):
        for name, interpreter in interpreters.items():
            times[name].append(latency(interpreter))
    print(
        f"\n{'':22} {'KB':>6} {'gzip KB':>7} {'of yardstick':>12} {'ms':>7} {'of yardstick':>12}  integer layers  delegated"
    )
    for name, file in files.items():
        ratio = statistics.median(t / y for t, y in zip(times[name], times[YARDSTICK], strict=True))
        integer, heavy = next(iter(operators(file).values())).integer
        print(
            f"{name:22} {len(file) / 1000:6.0f} {len(gzip.compress(file)) / 1000:7.0f} "
            f"{len(file) / len(files[YARDSTICK]):12.3f} {statistics.median(times[name]):7.3f} {ratio:12.3f}  "
            f"{f'{integer} of {heavy}':14}  {taken[name][0]} of {taken[name][1]}"
        )


if __name__ == "__main__":
    main()
