"""What a call of a signature costs here: time on one and two threads, and memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from affnet_tf.export.join import read_file

__all__ = ["TIMED_FRAMES", "TIMING", "latency", "peak_memory", "ready"]

# Of the clip that classify_clip is timed with: half a second of a phone's camera.
TIMED_FRAMES = 15

TIMING = (
    "median of bare calls of ai-edge-litert's interpreter in this process (inputs set once beforehand, outputs not read), "
    f"on one and on two threads; classify_clip with {TIMED_FRAMES} frames"
)

_WARM_UP, _RUNS, _SECONDS = 3, 50, 0.15

# A process of its own, since the memory of this one is full of TensorFlow. The kernel's high-water mark is reset before each
# signature; what the interpreter had taken before, Python and NumPy, is subtracted.
_PROGRAM = """
import gc, json, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter

def kilobytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

with np.load(sys.argv[2]) as file:
    inputs = {key: file[key] for key in file.files}
found = {}
signatures = json.loads(sys.argv[3])
# The first one goes twice: what the runtime sets up once for all does not count.
for signature in [signatures[0], *signatures]:
    gc.collect()
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:  # a kernel or a container that does not allow it
        print(json.dumps(dict.fromkeys(signatures)))
        sys.exit()
    before = kilobytes("VmRSS")
    interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
    runner = interpreter.get_signature_runner(signature)
    given = {key.split("/", 1)[1]: value for key, value in inputs.items() if key.split("/", 1)[0] == signature}
    runner(**given)
    found[signature] = (kilobytes("VmHWM") - before) * 1024
    del runner, interpreter
print(json.dumps(found))
"""


def ready(file: bytes, inputs: Mapping[str, np.ndarray], threads: int) -> Interpreter:
    """An interpreter of a file with one signature, whose inputs are set.

    Args:
        file: such as ``graph.alone`` gives.
        inputs: by name, as the file stores them.
        threads: of the interpreter.
    """
    interpreter = Interpreter(model_content=file, num_threads=threads)
    (signature,) = read_file(file).signatureDefs
    places = {entry.name.decode(): entry.tensorIndex for entry in signature.inputs}
    for name, value in inputs.items():
        interpreter.resize_tensor_input(places[name], value.shape)
    interpreter.allocate_tensors()
    for name, value in inputs.items():
        interpreter.set_tensor(places[name], value)
    return interpreter


def latency(interpreter: Interpreter) -> float:
    """Median time of a bare call, in milliseconds, after a warm-up: no input is set and no output is read in it."""
    for _ in range(_WARM_UP):
        interpreter.invoke()
    times: list[float] = []
    while len(times) < _RUNS and sum(times) < _SECONDS:
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1000)


def peak_memory(model: Path, inputs: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, int | None]:
    """The most memory that loading a file and one call of a signature takes, in bytes, beyond Python, NumPy and the runtime.

    Args:
        model: the .tflite file.
        inputs: for each signature, its inputs by name, as the file stores them.

    Returns:
        By signature; None where it cannot be measured: anywhere but on Linux, or where the kernel does not allow it.

    Raises:
        RuntimeError: the file cannot be loaded or called there, or the process was killed; with what it printed.
    """
    if not Path("/proc/self/clear_refs").exists():
        return dict.fromkeys(inputs)
    with tempfile.TemporaryDirectory() as folder:
        arrays = {f"{name}/{key}": value for name, each in inputs.items() for key, value in each.items()}
        np.savez(f"{folder}/inputs.npz", **arrays)
        command = [sys.executable, "-c", _PROGRAM, str(model), f"{folder}/inputs.npz", json.dumps(list(inputs))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{model.name} could not be called in a process of its own: code {done.returncode}, {done.stderr.strip()}"
        )
    return json.loads(done.stdout.splitlines()[-1])
