"""The whole app, compiled against stand-ins for Android and its libraries, and its unit tests, run; `make test-android`."""

import json
import os
import re

import kotlin
import pytest
import small_network

from affnet_tf.export.bundle import export
from affnet_tf.export.fronts import WINDOW_LENGTH
from affnet_tf.pipeline.crop_config import TrainedCrop

LIBRARIES = [kotlin.BUILD / "jars" / f"{name}.jar" for name in ("junit4", "hamcrest", "com.android.json")]
TESTS = sorted((kotlin.APP / "test" / "kotlin").rglob("*.kt"))
RESOURCES = kotlin.APP / "main" / "res"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The class path of the app, its tests and their libraries."""
    missing = [jar.name for jar in LIBRARIES if not jar.exists()]
    if missing:
        pytest.skip(f"{missing[0]} is not in build/kotlin/jars: make test-android brings it from Debian")
    resources = tmp_path_factory.mktemp("app") / "R.kt"
    resources.write_text(resource_names(), encoding="utf-8")
    tests = kotlin.ROOT / "tests"
    stand_ins = sorted(path for path in (tests / "android_stand_ins").rglob("*.*") if path.suffix in (".kt", ".java"))
    main = sorted((kotlin.APP / "main" / "kotlin").rglob("*.kt"))
    jar = kotlin.compiled([*stand_ins, resources, *main, *TESTS, tests / "android_recipe.kt"], LIBRARIES)
    return os.pathsep.join(map(str, [jar, *LIBRARIES, kotlin.APP / "test" / "resources"]))


def resource_names():
    """The class R that the build makes of the resources, by names: what is not there does not compile."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(RESOURCES.rglob("*.xml")))
    names = {
        "id": re.findall(r"@\+id/(\w+)", text),
        "layout": [path.stem for path in sorted((RESOURCES / "layout").iterdir())],
        "string": re.findall(r'<string name="(\w+)"', text),
    }
    inner = "".join(
        f"    object {kind} {{\n" + "".join(f"        const val {name} = 0\n" for name in found) + "    }\n"
        for kind, found in names.items()
    )
    return f"package affnet.android\n\nobject R {{\n{inner}}}\n"


def test_the_unit_tests_of_the_app_pass(app):
    classes = [f"affnet.android.{path.stem}" for path in TESTS if path.stem.endswith("Test")]
    count = sum(len(re.findall(r"^    @Test$", path.read_text(encoding="utf-8"), re.MULTILINE)) for path in TESTS)
    assert count >= 16
    assert f"OK ({count} tests)" in kotlin.run(["-cp", app, "org.junit.runner.JUnitCore", *classes])


def read(app, folder, document):
    (folder / "recipe.json").write_text(json.dumps(document), encoding="utf-8")
    return kotlin.run(["-cp", app, "affnet.android.Android_recipeKt", folder / "recipe.json"]).strip()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Of a network whose training clips had another margin, as it is exported."""
    network = small_network.checkpoint(40, weights="linear")
    crop = TrainedCrop(40, margin=0.3).to_json()
    network = type(network)(network.model, network.config, network.labels, network.frame_size, {"crop": crop})
    made = export(network, tmp_path_factory.mktemp("export") / "bundle", ["float32"], window=6)
    return json.loads((made.recipes["float32"].folder / "recipe.json").read_text(encoding="utf-8"))


def test_the_app_reads_what_is_exported_today(app, recipe, tmp_path):
    labels = ", ".join(small_network.LABELS)
    plain = f"labels=[{labels}], weights=linear, scaling=minmax, frameSize=40, inputSize=32"
    assert read(app, tmp_path, recipe) == f"Recipe({plain}, margin=0.3, window=6)"
    older = {name: value for name, value in recipe.items() if name not in ("crop", "window")}
    assert read(app, tmp_path, older) == f"Recipe({plain}, margin=0.1, window={WINDOW_LENGTH})"


def test_the_app_refuses_what_it_cannot_do(app, recipe, tmp_path):
    recipe = json.loads(json.dumps(recipe))
    recipe["crop"]["magnify"] = 4.0
    line = "refused: crop.magnify must be 0, since the app does not magnify motion. Received: 4.0"
    assert read(app, tmp_path, recipe) == line
    recipe["motion"]["representation"] = "flow"
    assert read(app, tmp_path, recipe) == "refused: the network must see motion images. Received: flow"
