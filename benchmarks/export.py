"""Size and one-thread latency of every recipe for the edge network beside MobileNetV2, in one run on one machine.

    python benchmarks/export.py [--rounds 15] [--network affectivenet_edge] [--recipe full_int8]

Random weights: neither size nor latency depends on them, but for the compressed size of pruned and clustered ones, which are
fine-tuned for two epochs on noise. Every round times each file once, one after the other, so that a busy moment of the machine
hits all of them; the ratio is the median over rounds of the ratio within a round, to MobileNetV2 (1.0, 112×112) in full_int8.

The second table is what a file with all signatures costs an app beyond the network alone: the time from opening a file to the
end of the first call, and the resident memory that this took. Each figure is the median of processes of their own, in which a
tiny network was run before, so that what the runtime sets up once for all does not count.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from affnet_tf.silence import silent

with silent():
    import keras
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter
    from tensorflow.python.framework.ops import get_stats_for_node_def

    from affnet_tf.config import ExperimentConfig, ModelConfig
    from affnet_tf.export.convert import convert_graph, convert_network
    from affnet_tf.export.cost import TIMED_FRAMES, latency
    from affnet_tf.export.fronts import convert_fronts
    from affnet_tf.export.graph import alone, delegated, operators
    from affnet_tf.export.qat import fine_tune, fine_tuned_file
    from affnet_tf.export.recipes import RECIPES, Recipe, recipe
    from affnet_tf.export.representative import representative_dataset
    from affnet_tf.export.signatures import Graph, MotionPath
    from affnet_tf.inference.runtime import CLASSIFY, MOTION_IMAGE, PROBABILITIES
    from affnet_tf.models.checkpoint import Checkpoint
    from affnet_tf.models.describe import describe
    from affnet_tf.models.networks import build_network
    from affnet_tf.presets import PRESETS

CLASSES, FRAME_SIZE, YARDSTICK_SIZE = 4, 128, 112
YARDSTICK = "MobileNetV2 full_int8"
LOADED, PROCESSES = ("float32", "full_int8"), 9

_LOAD = f"""
import json, sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter

def run(path, names):
    interpreter = Interpreter(model_path=path, num_threads=1)
    for name in names or interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(name)
        given = {{}}
        for key, detail in runner.get_input_details().items():
            shape = [{TIMED_FRAMES} if side < 0 else side for side in detail["shape_signature"]]
            given[key] = np.zeros(shape, detail["dtype"])
        runner(**given)
    return interpreter

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) * 1024

run(sys.argv[1], [])
before, start = resident(), time.perf_counter()
kept = run(sys.argv[2], sys.argv[3:])
print(json.dumps([(time.perf_counter() - start) * 1000, resident() - before]))
"""


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


def tiny_file() -> bytes:
    """Logistic regression: a network of one layer."""
    config = ExperimentConfig(model=ModelConfig(network="logistic", input_size=32))
    checkpoint = Checkpoint(build_network(config.model, CLASSES), config, ("a", "b", "c", "d"), FRAME_SIZE)
    return convert_network(checkpoint, recipe("float32"))


def print_loading(files: dict[str, bytes]) -> None:
    """The second table, for files with all signatures."""
    if not Path("/proc/self/status").exists():
        return
    print(f"\n{'opened and called':42} {'KB':>6} {'ms':>7} {'resident MB':>11}")
    with tempfile.TemporaryDirectory() as folder:
        path, tiny = Path(folder) / "model.tflite", Path(folder) / "tiny.tflite"
        tiny.write_bytes(tiny_file())
        for name, whole in files.items():
            ways = {
                "the network alone": (alone(whole)[CLASSIFY], [CLASSIFY]),
                "the file, classify": (whole, [CLASSIFY]),
                "the file, every signature": (whole, []),
            }
            for words, (file, signatures) in ways.items():
                path.write_bytes(file)
                command = [sys.executable, "-c", _LOAD, str(tiny), str(path), *signatures]
                done = [subprocess.run(command, capture_output=True, check=True) for _ in range(PROCESSES)]
                times, sizes = zip(*(json.loads(each.stdout.splitlines()[-1]) for each in done), strict=True)
                print(
                    f"{f'{name}: {words}':42} {len(file) / 1000:6.0f} {statistics.median(times):7.1f} "
                    f"{statistics.median(sizes) / 1e6:11.1f}",
                    flush=True,
                )


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
    print_loading({name: files[name] for name in LOADED if name in files})


if __name__ == "__main__":
    main()
