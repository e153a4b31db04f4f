"""The command line: one command is one call of a function that lives elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from affnet_tf.command import app, command, main
from affnet_tf.console import Console
from affnet_tf.errors import InputError
from affnet_tf.silence import silent

__all__ = ["app", "main"]

Preset = Annotated[str | None, typer.Option(help="Named settings; affnet describe NAME shows them.")]
Config = Annotated[Path | None, typer.Option(help="A JSON file of settings, such as a run's config.json.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: train.epochs=30. May be repeated.")
]
Labels = Annotated[str | None, typer.Option(help="Label scheme: paper4, megc3, native or a JSON file.")]
Seed = Annotated[int | None, typer.Option(help="Seed of weights, shuffling, augmentation and dropout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, gpu or tpu.")]
Precision = Annotated[str | None, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")]
Release = Annotated[str | None, typer.Option(help="cropped or raw; by default the cropped one if it is there.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")]


@command("demo")
def demo(
    console: Console,
    out: Annotated[Path, typer.Option(help="Folder for everything that comes out.")] = Path("demo"),
) -> int:
    """The whole way on synthetic people: synthesise, prepare, LOSO, train, export, verify, predict.

    Example: affnet demo --out demo
    """
    with silent():
        from affnet_tf.demo import run_demo
    return run_demo(out, console)


@command("synth")
def synth(
    console: Console,
    out: Annotated[Path, typer.Argument(help="New folder.")],
    dataset: Annotated[str, typer.Option(help="Whose layout to write.")] = "casme2",
    subjects: Annotated[int, typer.Option(help="People.")] = 8,
    clips: Annotated[int, typer.Option(help="Clips for each of them.")] = 12,
    difficulty: Annotated[float, typer.Option(help="Scale of the nuisances; 0 is clean, 1 the default.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    raw: Annotated[bool, typer.Option("--raw", help="Uncropped 640x480 frames too.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
) -> None:
    """Write people who do not exist, in the layout of a dataset.

    Example: affnet synth people --subjects 8 --clips 12
    """
    from affnet_tf.datasets.synthetic import write_synthetic

    with console.progress("synthesise") as progress:
        path = write_synthetic(
            out,
            dataset=dataset,
            subjects=subjects,
            clips=clips,
            difficulty=difficulty,
            seed=seed,
            raw=raw,
            workers=workers,
            progress=progress,
        )
    console.result(
        {"path": str(path), "dataset": dataset, "subjects": subjects, "clips": subjects * clips},
        ("", ("synthetic dataset", "layout", "subjects", "clips"), [(str(path), dataset, subjects, subjects * clips)]),
    )


@command("describe")
def describe(
    console: Console,
    what: Annotated[
        str, typer.Argument(metavar="PRESET_OR_MODEL", help="A preset's name, or a checkpoint or run folder.")
    ],
    classes: Annotated[int | None, typer.Option(help="Number of labels.")] = None,
    size: Annotated[int | None, typer.Option(help="Height and width of the motion image.")] = None,
) -> None:
    """Layers, parameters, multiply-accumulates, receptive fields, and what is the paper's and what is ours.

    Example: affnet describe affectivenet --classes 4
    """
    from affnet_tf.models.describe import describe_network

    document, tables = describe_network(what, classes, size)
    console.result(document, *tables)


@command("datasets")
def datasets(console: Console) -> None:
    """The supported datasets, what folder is expected, and how to get them.

    Example: affnet datasets
    """
    from affnet_tf.datasets.catalogue import datasets_table

    rows = datasets_table()
    columns = ("name", "title", "subjects", "clips", "fps", "expects", "obtain")
    cells = [[row[name] if name != "expects" else "\n".join(row[name]) for name in columns] for row in rows]
    console.result(rows, ("", columns, cells))


@command("inspect")
def inspect_(
    console: Console,
    name: Annotated[str, typer.Argument(help="The dataset: affnet datasets lists them.")],
    root: Annotated[Path, typer.Argument(help="The dataset's folder, as its owners ship it.")],
    release: Release = None,
) -> int:
    """Subjects, clips, classes, lengths and problems of a dataset on disk, beside the published figures.

    Example: affnet inspect casme2 /data/CASME2
    """
    from affnet_tf.datasets.inspection import inspect_dataset

    inspection = inspect_dataset(name, root, release)
    console.result(inspection.to_json())
    console.line(inspection.to_text())
    return 1 if inspection.errors else 0


@command("prepare")
def prepare(
    console: Console,
    name: Annotated[str, typer.Argument(help="The dataset: affnet datasets lists them.")],
    root: Annotated[Path, typer.Argument(help="The dataset's folder, as its owners ship it.")],
    store: Annotated[Path, typer.Argument(help="Folder of the clip store.")],
    size: Annotated[int, typer.Option(help="Height and width of the crops, in pixels.")] = 128,
    detector: Annotated[
        str | None, typer.Option(help="mtcnn or none; by default none for a cropped release, mtcnn for a raw one.")
    ] = None,
    release: Annotated[
        str | None, typer.Option(help="cropped or raw; by default the cropped one if it is there.")
    ] = None,
    magnify: Annotated[float, typer.Option(help="Factor of the Eulerian motion magnification; 0: none.")] = 0.0,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one for each core.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop with code 2 at the first clip that cannot be used.")
    ] = False,
) -> int:
    """Crop a dataset's clips into a clip store. Run it again after an interruption: it goes on where it stopped.

    Example: affnet prepare casme2 /data/CASME2 stores/casme2
    """
    with silent():
        from affnet_tf.pipeline.prepare import prepare_dataset
    with console.progress("prepare") as progress:
        prepared = prepare_dataset(
            name,
            root,
            store,
            size=size,
            detector=detector,
            release=release,
            magnify=magnify,
            workers=workers,
            strict=strict,
            progress=progress,
        )
    for line in prepared.notes:
        console.note(line)
    for line in prepared.skipped:
        console.note(f"skipped: {line}")
    manifest = prepared.store.manifest
    row = (str(store), manifest["stored"], manifest["frames"], len(prepared.skipped), prepared.store.hash)
    console.result(
        {**{key: manifest[key] for key in ("stored", "frames", "skipped", "hash", "parts")}, "path": str(store)},
        ("", ("store", "clips", "frames", "skipped", "hash"), [row]),
    )
    for picture in prepared.pictures:
        console.line(f"contact sheet: {picture}")
    return 1 if prepared.skipped else 0


@command("train")
def train(
    console: Console,
    store: Annotated[Path, typer.Argument(help="A clip store.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    preset: Preset = None,
    config: Config = None,
    settings: Settings = None,
    labels: Labels = None,
    seed: Seed = None,
    device: Device = "auto",
    precision: Precision = None,
    resume: Resume = False,
) -> None:
    """Train one network on all labelled clips of a store.

    Example: affnet train stores/casme2 --out runs/final --preset affectivenet --set train.epochs=60
    """
    with silent():
        from affnet_tf.training.experiment import train as train_network
    chosen = _experiment(preset, config, settings, labels, seed, precision)
    checkpoint = train_network(
        store, out, chosen, device=device, resume=resume, verbose=0 if console.quiet or console.json else 2
    )
    console.result(
        {"model": str(out / "model"), "labels": list(checkpoint.labels), **checkpoint.details},
        (
            "",
            ("model", "labels", "clips"),
            [(str(out / "model"), ", ".join(checkpoint.labels), checkpoint.details["clips"])],
        ),
    )


@command("evaluate")
def evaluate(
    console: Console,
    store: Annotated[Path, typer.Argument(help="A clip store.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    protocol: Annotated[str, typer.Option(help="loso: leave one subject out.")] = "loso",
    preset: Preset = None,
    config: Config = None,
    settings: Settings = None,
    labels: Labels = None,
    seed: Seed = None,
    device: Device = "auto",
    precision: Precision = None,
    resume: Resume = False,
) -> None:
    """Train and test person-independently; predictions of all folds are pooled, then scored.

    Example: affnet evaluate stores/casme2 --out runs/loso --protocol loso
    """
    with silent():
        from affnet_tf.training.experiment import evaluate as run_protocol
    chosen = _experiment(preset, config, settings, labels, seed, precision)
    with console.progress(protocol) as progress:
        result = run_protocol(store, out, chosen, protocol, device=device, resume=resume, progress=progress)
    from affnet_tf.evaluation.report import report_tables, write_report

    document = write_report(out)
    console.result(document, *report_tables(result.scores, result.uf1_interval, result.chance_uf1))
    console.line(f"report: {out / 'report.html'}")


@command("report")
def report(console: Console, run: Annotated[Path, typer.Argument(help="A run folder with predictions.csv.")]) -> None:
    """Write a run's report.html and report.json again, from its predictions.

    Example: affnet report runs/loso
    """
    from affnet_tf.evaluation.report import write_report

    document = write_report(run)
    console.result(document, ("", ("report",), [(str(run / "report.html"),)]))


@command("score")
def score(console: Console, predictions: Annotated[Path, typer.Argument(help="A predictions.csv.")]) -> None:
    """Score anyone's predictions: accuracy, UF1, UAR, weighted F1, confusion matrix.

    Example: affnet score runs/loso/predictions.csv
    """
    from affnet_tf.evaluation.report import score_file

    document, tables = score_file(predictions)
    console.result(document, *tables)


@command("export")
def export(
    console: Console,
    run: Annotated[
        Path, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="A run of affnet train, or a checkpoint folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    recipe: Annotated[list[str] | None, typer.Option(help="float32, full_int8, ... May be repeated.")] = None,
    all_recipes: Annotated[bool, typer.Option("--all", help="Every recipe.")] = False,
    store: Annotated[Path | None, typer.Option(help="Clip store to calibrate with; by default the run's own.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
) -> None:
    """Convert a trained network to TFLite, verify every file against Keras, and write a bundle.

    Example: affnet export runs/final --out bundle --recipe float32 --recipe full_int8
    """
    with silent():
        from affnet_tf.export.run import export_run
    with console.chatter():
        document, table = export_run(run, out, recipe or [], every=all_recipes, store=store, force=force)
    console.result(document, table)


@command("verify")
def verify(console: Console, bundle: Annotated[Path, typer.Argument(help="A bundle of affnet export.")]) -> None:
    """Check a bundle's files against the answers that Keras gave when it was made. Needs ai-edge-litert and NumPy alone.

    Example: affnet verify bundle
    """
    from affnet_tf.inference.reverify import verify_bundle

    with console.chatter():
        document, table = verify_bundle(bundle)
    console.result(document, table)


@command("predict")
def predict(
    console: Console,
    path: Annotated[Path, typer.Argument(help="A video, a folder of frames, or a motion image.")],
    model: Annotated[Path, typer.Option(help="A checkpoint, a run of affnet train, a bundle or a .tflite file.")],
    start: Annotated[
        float | None, typer.Option(help="First frame: seconds of a video, a frame number of a folder.")
    ] = None,
    end: Annotated[float | None, typer.Option(help="Last frame, likewise.")] = None,
    detector: Annotated[str, typer.Option(help="mtcnn, or none for frames that are face crops already.")] = "mtcnn",
    out: Annotated[Path | None, typer.Option(help="Folder for prediction.json and prediction.png.")] = None,
) -> None:
    """The expression in a clip, with its probabilities.

    Example: affnet predict clip.mp4 --start 2.0 --end 2.4 --model runs/final --out prediction
    """
    from affnet_tf.inference.predictor import predict_file

    with console.chatter():
        document, table = predict_file(path, model, start, end, detector, out)
    for note in document["notes"]:
        console.note(note)
    console.result(document, table)
    if out:
        console.line(f"picture: {out / 'prediction.png'}")


def _experiment(
    preset: str | None,
    config: Path | None,
    settings: list[str] | None,
    labels: str | None,
    seed: int | None,
    precision: str | None,
) -> Any:
    from affnet_tf.config import ExperimentConfig, override
    from affnet_tf.files import read_json
    from affnet_tf.presets import preset as named

    if preset and config:
        raise InputError(
            f"settings must come from --preset or --config, not both. Received: {preset!r} and {str(config)!r}"
        )
    if config:
        document = read_json(config)
        chosen = ExperimentConfig.from_json(document.get("config", document))
    else:
        chosen = named(preset or "affectivenet")
    flags = {"labels": labels, "train.seed": seed, "train.precision": precision}
    return override(
        chosen, [*(settings or []), *(f"{name}={value}" for name, value in flags.items() if value is not None)]
    )
