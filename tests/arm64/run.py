"""Every recipe's file on emulated arm64 beside this machine: integers identical up to the softmax, floats within 1e-5.

python tests/arm64/run.py [--bundle BUNDLE]

Correctness only: an emulator's speed says nothing of a phone's. docs/arm64.md says what is downloaded and what is compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from emulator import ROOT, Emulator, PreparationError, prepare

from affnet_tf.errors import InputError
from affnet_tf.inference.reverify import Vectors
from affnet_tf.inference.runtime import VECTORS_FILE, TFLiteModel, is_bundle
from affnet_tf.silence import silent

FOLDER = ROOT / "build" / "arm64"
BOUND = 1e-5
IMAGES, LENGTHS = 24, (2, 9, 40)
# By signature, what the motion image behind its probabilities is called.
IMAGE_OF = {"classify_clip": "motion_image", "classify_state": "state_image"}


def main() -> int:
    """0: all is as it should be; 1: a file answers otherwise; 2: there is nothing to compare, or no emulator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="an exported bundle; without it, a small network by every recipe")
    bundle = parser.parse_args().bundle
    try:
        emulator = prepare(FOLDER)
        print("emulator:", ", ".join(emulator.versions))
        with tempfile.TemporaryDirectory(dir=FOLDER) as place:
            failures = []
            if bundle is None:
                bundle = Path(place) / "bundle"
                failures = _export(bundle)
            failures += _compare(emulator, bundle, Path(place))
    except (PreparationError, InputError) as error:
        print(f"test-arm64: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"test-arm64: {error.cmd[0]} ended with {error.returncode}", file=sys.stderr)
        return 1
    print("failed: " + ", ".join(failures) if failures else "all files answer alike")
    return 1 if failures else 0


def _export(folder: Path) -> list[str]:
    """A small network by each recipe, one by one, so that a recipe that needs more than images is passed over by name.

    Returns:
        The recipes whose file broke its own bounds on this machine already: failures, not to be passed over.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    with silent():
        import small_network

        from affnet_tf.export.bundle import export
        from affnet_tf.export.recipes import RECIPES
        from affnet_tf.export.verify import VerificationError

    broken = []
    network = small_network.checkpoint(40)
    images = small_network.calibration(network)
    # What small_network.calibration shows, in its order.
    labels = [*(i % 3 for i in range(32)), *(seed % 3 for seed in range(60, 92))]
    holdout = [small_network.clip(length, 40, seed) for seed, length in enumerate([2, 9, 40] * 17)]
    for recipe in RECIPES:
        try:
            with silent():
                out = folder.with_name(recipe.name)
                made = export(network, out, [recipe.name], images, holdout, calibration_labels=labels).folder
        except VerificationError as error:
            print(f"{recipe.name}: not exported: {error}")
            broken.append(f"{recipe.name}/export")
            continue
        except InputError as error:
            print(f"{recipe.name}: passed over: {error}")
            continue
        folder.mkdir(exist_ok=True)
        (made / recipe.name).rename(folder / recipe.name)
    return broken


def _questions(bundle: Path) -> dict[str, np.ndarray]:
    """The bundle's own test vectors, smooth patterns and noise, as images and as clips."""
    folder = next(bundle.glob(f"*/{VECTORS_FILE}")).parent
    model, vectors = TFLiteModel(folder), Vectors.load(folder / VECTORS_FILE)
    rng = np.random.default_rng(0)
    size = model.input_size
    y, x = np.mgrid[0:size, 0:size] / size
    waves = [0.5 + 0.5 * np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-20, 20, (IMAGES // 2, 3))]
    noise = rng.random((IMAGES // 2, size, size, 3))
    images = np.concatenate([vectors.images / 255, np.repeat(np.stack(waves)[..., None], 3, axis=-1), noise])
    clips = list(vectors.clips)
    side = model.frame_size
    clips += [rng.integers(0, 256, (length, side, side, 3), np.uint8) for length in LENGTHS] if side else []
    return {"images": images.astype(np.float32)} | {f"clip{number:02}": clip for number, clip in enumerate(clips)}


def _compare(emulator: Emulator, bundle: Path, place: Path) -> list[str]:
    if not is_bundle(bundle) or not any(bundle.glob(f"*/{VECTORS_FILE}")):
        raise InputError(f"a bundle must hold folders with {VECTORS_FILE}. Received: {str(bundle)!r}")
    np.savez(place / "questions.npz", **_questions(bundle))
    script = Path(__file__).with_name("answers.py")
    files = [str(each.resolve()) for each in (bundle, place / "questions.npz")]
    subprocess.run([sys.executable, script, *files, place / "here.npz"], check=True)
    emulator.run(script, *files, str((place / "arm64.npz").resolve()))
    with np.load(place / "here.npz") as here, np.load(place / "arm64.npz") as arm:
        if str(arm["machine"]) != "aarch64":
            raise InputError(f"the emulated processor must be aarch64. Received: {arm['machine']}")
        print(f"{platform.machine()} against {arm['machine']}")
        return [name for name in here.files if name != "machine" and not _alike(name, here, arm, bundle)]


def _alike(name: str, here: Mapping[str, np.ndarray], arm: Mapping[str, np.ndarray], bundle: Path) -> bool:
    """Print one line, and say whether it keeps the rule."""
    recipe, _, output = name.partition("/")
    model = TFLiteModel(bundle / recipe)
    # A file with integers at its ends has integers throughout; the motion image before them is floats in every file.
    quantum = next(iter(model.signatures["classify"].outputs.values())).scale
    bound, rule = BOUND, f"within {BOUND:g}"
    if output in ("logits", "state"):
        bound, rule = 0.0, "identical"
    elif quantum and output not in IMAGE_OF.values():
        bound, rule = quantum, f"within {quantum:.3g}, one integer"
    bounds = np.full(len(here[name]), bound)
    if output in IMAGE_OF and model.recipe["recipe"]["activations"] != "float32":
        # The last bit of a motion image may turn the rounding of an activation: then the recipe's own bound holds.
        images = [each[f"{recipe}/{IMAGE_OF[output]}"] for each in (here, arm)]
        moved = np.abs(images[0] - images[1]).reshape(len(bounds), -1).any(1)
        bounds[moved] = model.recipe["recipe"]["max_delta"]
        if moved.any():
            rule += f"; {int(moved.sum())} with another motion image within {bounds.max():g}"
    deltas = np.abs(here[name].astype(np.float64) - arm[name]).reshape(len(bounds), -1).max(1)
    agree = float((here[name].argmax(-1) == arm[name].argmax(-1)).mean())
    kept = bool((deltas <= bounds).all())
    said = "identical"
    if deltas.any():
        said = f"max |delta| {deltas.max():.2e} in {int((deltas > 0).sum())}"
        said += f", labels {agree:.1%}" if output.startswith("classify") else ""
    print(f"{recipe:16} {output:14} {len(bounds):3} answers: {said}  (must be {rule}: {'kept' if kept else 'BROKEN'})")
    return kept


if __name__ == "__main__":
    sys.exit(main())
