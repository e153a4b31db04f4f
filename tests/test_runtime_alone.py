"""The extra ``[runtime]``: an environment with its requirements alone, where TensorFlow and Keras cannot be imported."""

import json
import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
import small_network as small
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def closure(names):
    """The distributions that installing these would bring, with those that they require in turn."""
    found, pending = {}, [Requirement(name) for name in names]
    while pending:
        requirement = pending.pop()
        dist = metadata.distribution(requirement.name)
        if requirement.name not in found:
            found[requirement.name] = dist
            extras = requirement.extras or {""}
            pending += [
                each
                for each in map(Requirement, dist.requires or [])
                if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
            ]
    return found


def required():
    """What setup.cfg asks for: the base and the extra."""
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    base = parser["options"]["install_requires"].split("\n")
    return [line for line in [*base, *parser["options.extras_require"]["runtime"].split("\n")] if line]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment that holds links to these distributions, and to the package."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # As installed: export/ is a part of the package.
    (packages / "affnet_tf").mkdir()
    for part in [*(ROOT / "affnet_tf").iterdir(), ROOT / "export"]:
        (packages / "affnet_tf" / part.name).symlink_to(part)
    for dist in closure(required()).values():
        for file in dist.files:
            top = file.parts[0]
            target = packages / top
            if top == "google":  # a folder that several distributions share
                top, target = "/".join(file.parts[:2]), packages / "google" / file.parts[1]
                target.parent.mkdir(exist_ok=True)
            if top not in ("..", "__pycache__") and not target.exists():
                target.symlink_to(dist.locate_file(top))
    return folder / "bin" / "python"


def run(python, *words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [python, *map(str, words)], capture_output=True, text=True, env=environment, cwd=python.parent, check=False
    )


def test_a_bundle_is_verified_where_tensorflow_and_keras_cannot_be_imported(python):
    bundle = small.exported_bundle()
    done = run(python, "-m", "affnet_tf", "verify", bundle, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["passed"]
    assert set(document["recipes"]) == {"float32", "full_int8"}
    for module in ("tensorflow", "keras", "tf_keras", "cv2", "jax", "sklearn", "matplotlib"):
        assert "ModuleNotFoundError" in run(python, "-c", f"import {module}").stderr


def test_and_so_is_a_clip_classified(python, tmp_path):
    import numpy as np

    from affnet_tf.inference.runtime import TFLiteModel

    folder = small.exported_bundle() / "full_int8"
    np.save(tmp_path / "clip.npy", small.clip(9, 40))
    program = (
        "import sys, numpy as np; from affnet_tf.inference.runtime import TFLiteModel; "
        "p, _ = TFLiteModel(sys.argv[1]).classify_clip(np.load(sys.argv[2])); print(p.tolist())"
    )
    done = run(python, "-c", program, folder, tmp_path / "clip.npy")
    assert done.returncode == 0, done.stderr
    expected = TFLiteModel(folder).classify_clip(small.clip(9, 40))[0]
    np.testing.assert_array_equal(json.loads(done.stdout.splitlines()[-1]), expected.astype(float))
    assert sys.executable != str(python)
