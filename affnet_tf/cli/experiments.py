"""Commands that train networks, evaluate them and report."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from affnet_tf.command import command
from affnet_tf.console import Console
from affnet_tf.errors import InputError
from affnet_tf.places import place_at
from affnet_tf.silence import silent

Store = Annotated[str, typer.Argument(help="A clip store: a folder, or an address such as gs://bucket/store.")]
Out = Annotated[str, typer.Option(metavar="<path>", help="Folder of the run, or an address such as gs://bucket/run.")]
Preset = Annotated[str | None, typer.Option(help="Named settings; affnet describe NAME shows them.")]
Network = Annotated[
    str | None, typer.Option("--model", help="Another network under the same recipe, such as learnet or ststnet.")
]
Config = Annotated[
    str | None, typer.Option(metavar="<path>", help="A JSON file of settings, such as a run's config.json.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: train.epochs=30. May be repeated.")
]
Labels = Annotated[str | None, typer.Option(help="Label scheme: paper4, megc3, native or a JSON file.")]
Seed = Annotated[int | None, typer.Option(help="Seed of weights, shuffling, augmentation and dropout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, gpu or tpu; gpu:2 takes two of them.")]
Precision = Annotated[str | None, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")]


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


@command("train")
def train(
    console: Console,
    store: Store,
    out: Out,
    preset: Preset = None,
    model: Network = None,
    config: Config = None,
    settings: Settings = None,
    labels: Labels = None,
    seed: Seed = None,
    device: Device = "auto",
    precision: Precision = None,
    keep_seconds: Annotated[
        float, typer.Option(help="Keep the state after an epoch if so many seconds went by; 0: after every one.")
    ] = 0.0,
    resume: Resume = False,
) -> None:
    """Train one network on all labelled clips of a store.

    Example: affnet train stores/casme2 --out runs/final --preset affectivenet --set train.epochs=60
    """
    chosen = _experiment(preset, model, config, settings, labels, seed, precision)
    with silent():
        from affnet_tf.training.experiment import train as train_network
    with console.progress("train") as progress:
        checkpoint = train_network(
            store,
            out,
            chosen,
            device=device,
            resume=resume,
            keep_seconds=keep_seconds,
            progress=progress,
            note=console.note,
        )
    folder = str(place_at(out) / "model")
    console.result(
        {"model": folder, "labels": list(checkpoint.labels), **checkpoint.details},
        (
            "",
            ("model", "labels", "clips"),
            [(folder, ", ".join(checkpoint.labels), checkpoint.details["clips"])],
        ),
    )


@command("evaluate")
def evaluate(
    console: Console,
    store: Store,
    out: Out,
    protocol: Annotated[str, typer.Option(help="loso, kfold, cross_dataset, composite or holdout.")] = "loso",
    k: Annotated[int | None, typer.Option("--k", help="Number of folds of kfold; by default 5.")] = None,
    preset: Preset = None,
    model: Network = None,
    config: Config = None,
    settings: Settings = None,
    labels: Labels = None,
    seed: Seed = None,
    seeds: Annotated[int, typer.Option(help="Repeat with so many seeds, each a run of its own.")] = 1,
    parallel: Annotated[int, typer.Option(help="Processes that folds are spread over.")] = 1,
    engine: Annotated[
        str, typer.Option(help="local, or ray: folds are tasks of the cluster that RAY_ADDRESS names.")
    ] = "local",
    fold_batch: Annotated[
        str, typer.Option(help="Folds trained in one program, under KERAS_BACKEND=jax: a number, or auto.")
    ] = "1",
    device: Device = "auto",
    precision: Precision = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Logs of each fold, in tensorboard/.")] = False,
    resume: Resume = False,
) -> None:
    """Train and test person-independently; predictions of all folds are pooled, then scored. Writes a report.

    Example: affnet evaluate stores/casme2 --out runs/loso --protocol loso
    """
    chosen = _experiment(preset, model, config, settings, labels, seed, precision)
    with silent():
        from affnet_tf.training.experiment import evaluate as run_protocol
        from affnet_tf.training.repeat import repeat
    from affnet_tf.evaluation.report import write_report

    options = {"k": k, "device": device, "parallel": parallel, "tensorboard": tensorboard, "resume": resume}
    options |= {"fold_batch": fold_batch, "engine": engine, "note": console.note}
    with console.progress(protocol) as progress:
        if seeds == 1:
            run_protocol(store, out, chosen, protocol, progress=progress, **options)
        else:
            result = repeat(store, out, chosen, protocol, seeds=seeds, progress=progress, **options)
    folder = place_at(out)
    if seeds == 1:
        document, tables = write_report(folder)
        console.result(document, *tables)
        console.line(f"report: {folder / 'report.html'}")
        return
    reports = [folder / f"seed-{number}" for number in result.runs]
    for each in reports:
        write_report(each)
    console.result(result.to_json(), result.table())
    for each in reports:
        console.line(f"report: {each / 'report.html'}")


@command("report")
def report(console: Console, run: Annotated[str, typer.Argument(help="A run folder with predictions.csv.")]) -> None:
    """Write a run's report.html and report.json again, from its predictions.

    Example: affnet report runs/loso
    """
    from affnet_tf.evaluation.report import write_report

    document, _ = write_report(run)
    console.result(document, ("", ("report",), [(str(place_at(run) / "report.html"),)]))


@command("compare")
def compare(
    console: Console,
    runs: Annotated[
        list[str], typer.Argument(help="Runs of affnet evaluate on the same clips; the first is the basis.")
    ],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """The table of a paper, from the runs themselves: scores with intervals, differences to the first run, significance.

    Example: affnet compare runs/ststnet runs/affectivenet
    """
    from affnet_tf.evaluation.paper_table import compare_runs

    document, tables, text = compare_runs(runs)
    if markdown:
        console.line(text)
    else:
        console.result(document, *tables)
        for note in document["notes"]:
            console.note(note)


@command("score")
def score(
    console: Console,
    predictions: Annotated[
        str, typer.Argument(metavar="PREDICTIONS_CSV_OR_MEGC_LOG", help="A predictions.csv, or a log of MEGC2019.")
    ],
) -> None:
    """Score anyone's predictions: accuracy, UF1, UAR, weighted F1, confusion matrix.

    Example: affnet score runs/loso/predictions.csv
    """
    from affnet_tf.evaluation.report import score_file

    document, tables = score_file(predictions)
    console.result(document, *tables)


def _experiment(
    preset: str | None,
    model: str | None,
    config: str | None,
    settings: list[str] | None,
    labels: str | None,
    seed: int | None,
    precision: str | None,
) -> Any:
    from affnet_tf.config import ExperimentConfig, override
    from affnet_tf.files import read_json
    from affnet_tf.presets import preset as named
    from affnet_tf.presets import with_model

    if preset and config:
        raise InputError(f"settings must come from --preset or --config, not both. Received: {preset!r} and {config!r}")
    if config:
        document = read_json(config)
        chosen = ExperimentConfig.from_json(
            document.get("config", document) if isinstance(document, dict) else document
        )
    else:
        chosen = named(preset or "affectivenet")
    if model:
        chosen = with_model(chosen, model)
    flags = {"labels": labels, "train.seed": seed, "train.precision": precision}
    return override(
        chosen, [*(settings or []), *(f"{name}={value}" for name, value in flags.items() if value is not None)]
    )
