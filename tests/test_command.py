"""How a command ends: one line and an exit code, whatever went wrong."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from affnet_tf.files import numbered_images

AFFNET = [sys.executable, "-m", "affnet_tf"]


def run(*words, **options):
    return subprocess.run([*AFFNET, *map(str, words)], capture_output=True, text=True, check=False, **options)


def test_an_interruption_says_how_to_go_on_and_leaves_nothing_half_written(tmp_path):
    words = ["synth", tmp_path / "people", "--subjects", 40, "--clips", 12, "--workers", 1]
    # A shell's background job hands on that interrupts are ignored.
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [*AFFNET, *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen)
    while not list(tmp_path.rglob("*.jpg")):  # until it is at work
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("affnet: interrupted; the same command")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        ("KeyboardInterrupt()", 130, "affnet: interrupted; the same command"),
        ("InputError('it must be so')", 2, "affnet: it must be so"),
        ("OSError(28, 'No space left', 'file')", 2, "affnet: 'file' must allow what was asked"),
    ],
)
def test_what_else_went_wrong_is_told_before_the_error(error, code, last):
    program = f"""
from affnet_tf.command import command, main
from affnet_tf.errors import InputError

@command("fall")
def fall(console):
    error = {error}
    error.add_note("the state could not be kept")
    raise error

@command("stand")
def stand(console):
    pass

main()
"""
    answer = subprocess.run([sys.executable, "-c", program, "fall"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (code, "")
    first, *rest = (line for line in answer.stderr.splitlines() if line)
    assert first == "affnet: the state could not be kept"
    assert len(rest) == 1
    assert rest[0].startswith(last)


@pytest.mark.parametrize("content", ["[1, 2]", '"text"', '{"config": 3}', "{"])
def test_settings_that_are_no_settings(tmp_path, content):
    (tmp_path / "settings.json").write_text(content)
    answer = run("train", "store", "--out", tmp_path / "run", "--config", tmp_path / "settings.json")
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert "must be" in answer.stderr
    assert "unexpected" not in answer.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["demo", "--out", "{file}"],
        ["synth", "{file}"],
        ["train", "store", "--out", "{file}"],
        ["evaluate", "store", "--out", "{file}"],
        ["train", "store", "--out", "{folder}/run", "--config", "{folder}"],
        ["prepare", "casme2", "{folder}", "{file}"],
    ],
)
def test_a_file_where_a_folder_is_asked_for_and_the_other_way_round(tmp_path, words):
    file = tmp_path / "file"
    file.write_text("mine")
    answer = run(*[word.format(file=file, folder=tmp_path) for word in words])
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert "unexpected" not in answer.stderr
    assert file.read_text() == "mine"


def test_debug_shows_the_traceback_of_every_error(tmp_path):
    bad = run("inspect", "casme2", tmp_path / "missing", "--debug")
    assert bad.returncode == 2
    assert "Traceback" in bad.stderr
    # A package that cannot be imported: an empty folder of that name is in the way.
    (tmp_path / "openpyxl.py").write_text("raise ModuleNotFoundError('gone', name='openpyxl')")
    (tmp_path / "data" / "Cropped").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    words = ("synth", tmp_path / "people", "--subjects", 1, "--clips", 1, "--workers", 1)
    short, long = run(*words, env=environment), run(*words, "--debug", env=environment)
    assert (short.returncode, long.returncode) == (2, 2)
    assert short.stderr.splitlines()[-1].startswith("affnet: this command needs the package 'openpyxl': pip install")
    assert "Traceback" not in short.stderr
    assert "Traceback" in long.stderr


def test_a_place_that_may_not_be_written_is_one_line():
    answer = run("synth", "/proc/people", "--subjects", 1, "--clips", 1, "--workers", 1)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "/proc" in answer.stderr
    assert "unexpected" not in answer.stderr


def test_the_demo_from_end_to_end(tmp_path):
    """The functions behind ``affnet demo``, with fewer people, kernels and epochs: everything that it names exists."""
    program = (
        "import sys; from pathlib import Path; from affnet_tf.console import Console; from affnet_tf.demo import run_demo;"
        f"sys.exit(run_demo(Path({str(tmp_path / 'demo')!r}), Console(json=True, quiet=True), subjects=2, clips=4,"
        "settings=['train.epochs=2', 'model.kernels=[3,5]', 'model.input_size=48']))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["synthetic"] is True
    assert document["scores"]["clips"] == 8
    assert document["verify"]["passed"] is True
    assert set(document["verify"]["recipes"]) == {"float32", "full_int8"}
    assert all(os.path.exists(path) for path in document["paths"].values())
    answers = document["predictions"]
    assert set(answers) == {"final", "bundle/float32", "bundle/full_int8"}
    for label, probability in answers["final"]["probabilities"].items():
        assert answers["bundle/float32"]["probabilities"][label] == pytest.approx(probability, abs=1e-5)
    assert len(list((tmp_path / "demo" / "people" / "Cropped").iterdir())) == 2
    clip = next((tmp_path / "demo" / "people" / "Cropped" / "sub01").iterdir())
    assert len(numbered_images(clip)) > 10
