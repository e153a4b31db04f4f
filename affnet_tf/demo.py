"""The whole way on people who do not exist: ``affnet demo``."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affnet_tf.config import override
from affnet_tf.console import Console
from affnet_tf.datasets.annotations import read_dataset
from affnet_tf.datasets.synthetic import write_synthetic
from affnet_tf.errors import InputError
from affnet_tf.evaluation.report import write_report
from affnet_tf.export.run import export_run
from affnet_tf.files import write_json
from affnet_tf.inference.recording import predict_file
from affnet_tf.inference.reverify import verify_bundle
from affnet_tf.pipeline.prepare import prepare_dataset
from affnet_tf.places import local
from affnet_tf.presets import preset
from affnet_tf.training.experiment import evaluate, train

__all__ = ["run_demo"]

SUBJECTS, CLIPS = 8, 12
PRESET = "affectivenet_edge"
RECIPES = ("float32", "full_int8")
MARK = "demo.json"


def run_demo(
    out: Path, console: Console, *, subjects: int = SUBJECTS, clips: int = CLIPS, settings: Sequence[str] = ()
) -> int:
    """Synthesise, prepare, evaluate by LOSO, train, export, verify and predict; every path and score is printed.

    Args:
        out: folder for everything; one that an earlier demo wrote is replaced.
        console: where to print.
        subjects: synthetic people.
        clips: clips of each of them.
        settings: changes of the preset, such as ``train.epochs=2``.

    Returns:
        The exit code: 0, or 1 if a clip was skipped.

    Raises:
        InputError: ``out`` exists and is not a demo's.
    """
    out = local(out, "--out")
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            raise InputError(
                f"--out must be new, or an earlier demo's. Received: {str(out)!r}, which holds something else"
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / MARK, {"subjects": subjects, "clips": clips, "preset": PRESET, "recipes": RECIPES})
    config = override(preset(PRESET), settings)
    with console.progress("1/6 synthesise") as progress:
        people = write_synthetic(out / "people", subjects=subjects, clips=clips, progress=progress)
    with console.progress("2/6 prepare") as progress:
        prepared = prepare_dataset("casme2", people, out / "store", progress=progress)
    with console.progress("3/6 leave one subject out") as progress:
        result = evaluate(out / "store", out / "loso", config, progress=progress)
    _, tables = write_report(out / "loso")
    console.note("4/6 train on everybody")
    train(out / "store", out / "final", config)
    console.note("5/6 export and verify")
    with console.chatter():
        export_run(out / "final", out / "bundle", RECIPES)
        document, verified = verify_bundle(out / "bundle")
    console.note("6/6 predict")
    with console.chatter():
        answers, predicted = _predict(out, people, result.scores.labels)
    paths = {
        "report": out / "loso" / "report.html",
        "predictions": out / "loso" / "predictions.csv",
        "picture": out / "prediction" / "prediction.png",
        "checkpoint": out / "final" / "model",
        "bundle": out / "bundle",
    }
    everything = {
        "synthetic": True,
        "scores": result.scores.to_json(),
        "verify": document,
        "predictions": answers,
        "skipped": list(prepared.skipped),
        "paths": {name: str(path) for name, path in paths.items()},
    }
    console.line("Synthetic people: these numbers measure the pipeline, not the recognition of people.\n")
    console.result(
        everything,
        *tables,
        verified,
        predicted,
        ("What came out", ("", "path"), [(name, str(path)) for name, path in paths.items()]),
    )
    for line in prepared.skipped:
        console.note(f"skipped: {line}")
    return 1 if prepared.skipped else 0


def _predict(
    out: Path, people: Path, labels: Sequence[str]
) -> tuple[dict[str, Any], tuple[str, tuple[str, ...], list]]:
    """One clip, answered by the checkpoint and by the exported files: the answers, and a table of them."""
    clip = read_dataset("casme2", people)[0]
    answers = {}
    for name in ("final", *(f"bundle/{recipe}" for recipe in RECIPES)):
        target = out / "prediction" if name == "final" else None
        answers[name], _ = predict_file(clip.frames, out / name, clip.onset, clip.offset, "none", target)
    rows = [
        (name, answer["label"], *(f"{answer['probabilities'][label]:.4f}" for label in labels))
        for name, answer in answers.items()
    ]
    title = f"One clip ({clip.clip_id}, {clip.emotion}), three forms of one network"
    return answers, (title, ("model", "label", *labels), rows)
