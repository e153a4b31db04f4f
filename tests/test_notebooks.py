"""The notebooks are in order, and run from top to bottom with small settings and without a network."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from environments import environment_without_tensorflow
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

ROOT = Path(__file__).parent.parent
NAMES = ("01_quickstart", "02_train_on_tpu", "03_evaluate", "04_export_android")

# Put before the notebook's own cells: whoever asks for a host or connects to one is told no.
OFFLINE = """
import sys

def refuse(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname") or (
        event == "socket.connect" and isinstance(arguments[1], tuple)
    ):
        raise RuntimeError(f"no network: {event} {arguments}")

sys.addaudithook(refuse)
"""

# Put after the cell that says where all is kept: the runtime is lost once the training's state is there for the second time.
LOST = """
import signal
import tensorflow as tf
renamed = []

def rename(source, target, overwrite, move=tf.io.gfile.rename):
    move(source, target, overwrite)
    renamed.append(target)
    if [name.endswith("/runs/final/state.npz") for name in renamed].count(True) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

tf.io.gfile.rename = rename
"""

# Put before the install cell: what the constraints hold at the moment when pip starts, and what it is to install.
CONSTRAINTS = """
import sys

def tell(event, arguments):
    if event == "subprocess.Popen" and "--constraint" in arguments[1]:
        print(open(arguments[1][arguments[1].index("--constraint") + 1]).read())
        print("pip is asked for", arguments[1][-1])

sys.addaudithook(tell)
"""


def read(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters(notebook):
    """Place of the cell, and the values that it sets."""
    (place,) = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())]
    body = ast.parse(notebook.cells[place].source).body
    return place, {each.targets[0].id: ast.literal_eval(each.value) for each in body}


def prepared(name, folder, *, until=None, **settings):
    """What executes a notebook in a folder, with other settings than its own, and up to a cell."""
    notebook = read(name)
    if until is not None:
        del notebook.cells[[cell.id for cell in notebook.cells].index(until) + 1 :]
    place, known = parameters(notebook)
    assert set(settings) <= set(known)
    small = "\n".join(f"{setting} = {value!r}" for setting, value in settings.items())
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(small))
    notebook.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE))
    folder.mkdir(exist_ok=True)
    return NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})


def execute(name, folder, *, until=None, **settings):
    """The outputs of the notebook's cells, {id of the cell: outputs}."""
    executed = prepared(name, folder, until=until, **settings).execute()
    return {cell.id: cell.outputs for cell in code(executed)}


def words(outputs):
    """All that a cell said, as text."""
    parts = []
    for each in outputs:
        data = each.get("data", {})
        parts += [each.get("text", ""), *(data.get(f"text/{kind}", "") for kind in ("plain", "markdown", "html"))]
    return "\n".join(parts)


def pictures(outputs):
    return [each.data["image/png"] for each in outputs if "image/png" in each.get("data", {})]


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """Kernels know no settings of this user, draw into the notebook, and find no package index."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)


def repository():
    """Account and name: one for all badges and install cells."""
    (found,) = {
        re.search(r'SOURCE = "git\+https://github.com/(.+/affnet_tf)"', read(name).cells[1].source)[1] for name in NAMES
    }
    return found


def badge(name):
    page = f"https://colab.research.google.com/github/{repository()}/blob/main/notebooks/{name}.ipynb"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({page})"


def test_these_are_all_notebooks():
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_valid_small_and_stripped(name):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.stat().st_size < 200_000
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert [cell.id for cell in code(notebook) if cell.outputs or cell.execution_count is not None] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_begins_with_its_badge_and_the_install(name):
    notebook = read(name)
    assert notebook.cells[0].cell_type == "markdown"
    assert badge(name) in notebook.cells[0].source
    assert badge(name) in (ROOT / "README.md").read_text(encoding="utf-8")
    assert notebook.cells[1].id == "install"


def test_the_notebooks_install_in_the_same_way_but_for_the_extras():
    sources = [read(name).cells[1].source for name in NAMES]
    heads, tails = zip(*(source.split("\n\nthere = ") for source in sources), strict=True)
    assert len(set(tails)) == 1
    assert len({head.split("SOURCE = ")[0] for head in heads}) == 1
    lines = [line for head in heads for line in head.splitlines() if line.strip().startswith("EXTRAS")]
    assert {name for line in lines for name in re.findall(r'"(.*?)"', line)} == {
        *("train", "tpu", "mtcnn"),
        *("export", "ai_edge_quantizer", "qat", "tensorflow_model_optimization"),
    }
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    brings = config["options.extras_require"]
    assert "mtcnn>" in brings["train"]
    assert "mtcnn>" in brings["tpu"]
    assert "ai-edge-quantizer>" in brings["export"]
    assert "tensorflow-model-optimization>" in brings["qat"]


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_literals_in_one_cell_with_a_form_field_each(name):
    notebook = read(name)
    place, known = parameters(notebook)
    assert len(known) >= 3
    assert place == 2
    assert notebook.cells[place].source.count("# @param ") == len(known)


@pytest.mark.parametrize("name", ["02_train_on_tpu", "03_evaluate"])
def test_every_preset_but_the_floors_can_be_chosen(name):
    from affnet_tf.presets import PRESETS

    notebook = read(name)
    (line,) = re.findall(r"^PRESET = .*# @param (.*)$", notebook.cells[parameters(notebook)[0]].source, re.MULTILINE)
    assert ast.literal_eval(line) == [preset for preset in PRESETS if preset not in ("logistic", "majority")]


def test_the_quickstart_runs(tmp_path, kernel):
    outputs = execute("01_quickstart", tmp_path / "colab", SUBJECTS=3, CLIPS=4, EPOCHS=2)
    assert "12 clips of 3 synthetic people" in words(outputs["store"])
    assert (
        len(pictures(outputs["motion"])) == len(pictures(outputs["curves"])) == len(pictures(outputs["picture"])) == 1
    )
    assert re.search(r"Synthetic people: [0-4] of 4 clips right", words(outputs["predict"]))
    assert "seconds after the install" in words(outputs["time"])


@pytest.mark.slow
def test_a_run_on_jax_goes_on_after_the_runtime_was_lost(tmp_path, kernel):
    settings = {"KEEP": f"file://{tmp_path}/bucket", "BACKEND": "jax", "PRECISION": "mixed_bfloat16"}
    settings |= {"DATASET": "smic_hs", "LABELS": "megc3", "SUBJECTS": 2, "CLIPS": 4}
    settings |= {"PRESET": "affectivenet_edge", "EPOCHS": 3, "KEEP_SECONDS": 0}
    kept = tmp_path / "bucket" / "runs" / "final"
    first = prepared("02_train_on_tpu", tmp_path / "first", **settings)
    place = [cell.id for cell in first.nb.cells].index("keep")
    first.nb.cells.insert(place + 1, nbformat.v4.new_code_cell(LOST))
    with pytest.raises(DeadKernelError):
        first.execute()
    assert {path.name for path in kept.iterdir()} == {"config.json", "manifest.json", "state.npz"}
    files = [path for path in (tmp_path / "bucket" / "stores").rglob("*") if path.is_file()]
    assert max(files, key=lambda path: path.stat().st_mtime_ns).name == "manifest.json"  # which says that all is there

    outputs = execute("02_train_on_tpu", tmp_path / "second", **settings)
    assert "1 CPU device(s), mixed_bfloat16; Keras on jax" in words(outputs["devices"])
    assert "prepare" not in words(outputs["store"])  # it was there
    assert "8 clips of 2 synthetic people" in words(outputs["store"])
    assert re.findall(r"train: (\d)/3", words(outputs["train"])) == ["3"]
    assert "mixed_bfloat16" in words(outputs["made-by"])
    assert len(pictures(outputs["curve"])) == 1
    assert not (kept / "state.npz").exists()

    from affnet_tf.files import read_json
    from affnet_tf.models.checkpoint import load_checkpoint

    assert len(read_json(kept / "history.json")["loss"]) == 3
    assert load_checkpoint(kept / "model").labels == ("negative", "positive", "surprise")


@pytest.mark.slow
def test_the_evaluation_runs_on_synthetic_people_without_a_dataset(tmp_path, kernel):
    outputs = execute("03_evaluate", tmp_path / "colab", SUBJECTS=2, CLIPS=6, PRESET="affectivenet_edge", EPOCHS=1)
    assert "24 clips of 4 synthetic people" in words(outputs["store"])
    assert "srcdoc=" in words(outputs["report"])
    assert "Synthetic" in words(outputs["report"])
    for cell, tables in (("compare", 1), ("cross", 2)):
        table = words(outputs[cell])
        assert "Synthetic people." in table
        for network in ("majority", "logistic", "affectivenet_edge"):
            assert len(re.findall(rf"^\| {network} ", table, re.MULTILINE)) == tables, network
    assert "srcdoc=" in words(outputs["cross-report"])


@pytest.mark.slow
def test_the_evaluation_takes_a_dataset_of_the_reader(tmp_path, kernel):
    from affnet_tf.datasets.synthetic import write_synthetic

    mine = write_synthetic(tmp_path / "mine", dataset="smic_hs", subjects=3, clips=3, size=(100, 80))
    settings = {"DATASET": "smic_hs", "DATASET_FOLDER": str(mine), "PRESET": "logistic", "BASELINES": "majority"}
    outputs = execute("03_evaluate", tmp_path / "colab", EPOCHS=1, **settings)
    assert "9 clips of 3" in words(outputs["store"])
    assert re.search(r"^\| logistic ", words(outputs["compare"]), re.MULTILINE)
    assert "Only one dataset" in words(outputs["cross"])
    assert not list((tmp_path / "colab").rglob("people"))


@pytest.mark.slow
def test_the_evaluation_makes_as_many_people_as_it_was_last_told_to(tmp_path, kernel):
    settings = {"DATASET": "smic_hs", "SECOND": "smic_hs_e", "SUBJECTS": 2}
    for clips in (2, 3, 2):
        outputs = execute("03_evaluate", tmp_path / "colab", until="store", CLIPS=clips, **settings)
        assert f"{4 * clips} clips of 2 synthetic people" in words(outputs["store"])


@pytest.mark.slow
def test_the_export_runs_and_packs_a_bundle(tmp_path, kernel):
    recipes = ("float32", "full_int8")
    outputs = execute("04_export_android", tmp_path / "colab", RECIPES=" ".join(recipes), SUBJECTS=3, CLIPS=4, EPOCHS=2)
    assert "weight4" in words(outputs["recipes"])
    for cell in ("export", "verify"):
        table = words(outputs[cell])
        assert all(recipe in table for recipe in recipes)
        assert "yes" in table
        assert not re.search(r"\bno\b", table)
    assert len(pictures(outputs["graph"])) == 1
    assert "**Synthetic.**" in words(outputs["card"])
    (archive,) = (tmp_path / "colab").glob("export-*/bundle.zip")
    names = zipfile.ZipFile(archive).namelist()
    assert {f"{recipe}/{file}" for recipe in recipes for file in ("model.tflite", "labels.txt")} <= set(names)


@pytest.mark.skipif(sys.platform == "win32", reason="links and folders as on Unix")
def test_the_install_cell_installs_from_where_it_is_told(tmp_path):
    """Into an environment that has everything but the project and TensorFlow; its dependencies are there, or do not matter."""
    python = environment_without_tensorflow(tmp_path)
    if subprocess.run([python, "-c", "import pip, setuptools"], capture_output=True, check=False).returncode:
        pytest.skip("needs pip and setuptools in the environment")
    checkout = tmp_path / "checkout"
    for name in ("affnet_tf", "export"):
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"AFFNET_SOURCE": checkout.as_uri(), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
    environment |= {"PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    here = tmp_path / "here"
    here.mkdir()

    def run(cell):
        return subprocess.run(
            [python, "-c", CONSTRAINTS + cell], capture_output=True, text=True, env=environment, cwd=here, check=False
        )

    cell = read("01_quickstart").cells[1].source
    done = run(cell)
    assert done.returncode == 0, done.stderr
    assert f"pip is asked for affnet_tf[train] @ {checkout.as_uri()}\n" in done.stdout
    kept, said = done.stdout.split("affnet_tf 0.")
    assert re.search(r"^numpy==\d", kept, re.MULTILINE)
    assert re.search(r"^keras==\d", kept, re.MULTILINE)
    assert "tensorflow" not in kept
    assert "on Python" in said
    assert list(here.iterdir()) == []

    del environment["AFFNET_SOURCE"]  # is not asked again
    fine = read("04_export_android").cells[1].source.replace("FINE_TUNING = False", "FINE_TUNING = True")
    assert fine != read("04_export_android").cells[1].source
    for extras, module, each in (
        ("train", "mtcnn", cell),
        ("train", "mtcnn", read("03_evaluate").cells[1].source),
        ("export,qat", "tensorflow_model_optimization", fine),
    ):
        for name in ("mtcnn", "ai_edge_quantizer", "tensorflow_model_optimization"):
            (here / f"{name}.py").touch()
        done = run(each)
        assert done.returncode == 0, done.stderr
        assert "pip is asked" not in done.stdout
        (here / f"{module}.py").unlink()
        done = run(each)
        assert done.returncode == 0, done.stderr
        assert f"pip is asked for affnet_tf[{extras}]\n" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="links and folders as on Unix")
def test_a_failed_install_stops_the_notebook_and_says_why(tmp_path):
    python = environment_without_tensorflow(tmp_path)
    environment = {"PATH": os.environ["PATH"], "AFFNET_SOURCE": (tmp_path / "nowhere").as_uri(), "PIP_NO_INDEX": "1"}
    cell = read("01_quickstart").cells[1].source
    done = subprocess.run(
        [python, "-c", cell], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode != 0
    assert "RuntimeError" in done.stderr
    assert "nowhere" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="links and folders as on Unix")
def test_the_install_cell_stops_where_nobody_hosts_the_repository(tmp_path):
    python = environment_without_tensorflow(tmp_path)
    environment = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1"}
    for name in NAMES:
        cell = read(name).cells[1].source.replace(repository(), "YOUR_ACCOUNT/affnet_tf")
        done = subprocess.run(
            [python, "-c", cell], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
        )
        assert done.returncode != 0
        assert done.stderr.splitlines()[-1] == (
            "RuntimeError: SOURCE must name the account that hosts the repository. "
            "Received: git+https://github.com/YOUR_ACCOUNT/affnet_tf"
        )


def test_a_repository_with_a_host_is_not_taken_for_one_without():
    """The README's command writes a name over the placeholder, in the cell that looks for it too."""
    for name in NAMES:
        cell = read(name).cells[1].source
        hosted = cell.replace(repository(), "YOUR_ACCOUNT/affnet_tf").replace("YOUR_ACCOUNT", "someone")
        (mark,) = re.findall(r'if "(.+)" in source', hosted)
        assert mark not in re.search(r'SOURCE = "(.+?)"', hosted)[1]


def test_what_keeps_jax_from_its_devices_is_shown(tmp_path):
    head, _ = read("02_train_on_tpu").cells[1].source.split("\n\nthere = ")
    for body, stated, tpu in (
        ("return 'tpu'", "", True),
        ("return 'cpu'", "", False),
        ("raise RuntimeError('The TPU is already in use by process 7')", "TPU is already in use by process 7", False),
    ):
        (tmp_path / "jax.py").write_text(f"def default_backend():\n    {body}\n")
        done = subprocess.run(
            [sys.executable, "-c", f"{head}\nprint('TPU:', TPU)"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *lines, last = done.stdout.splitlines()
        assert last == f"TPU: {tpu}"
        assert stated in "\n".join(lines)
        assert bool(lines) == bool(stated)
