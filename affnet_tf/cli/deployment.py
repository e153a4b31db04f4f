"""Commands that take a network out of the house: export, verify, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affnet_tf.command import command
from affnet_tf.console import Console
from affnet_tf.export.recipes import RECIPES
from affnet_tf.places import place_at
from affnet_tf.silence import silent


@command("export")
def export(
    console: Console,
    run: Annotated[
        str, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="A run of affnet train, or a checkpoint folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    recipe: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(each.name for each in RECIPES)}. May be repeated."),
    ] = None,
    all_recipes: Annotated[bool, typer.Option("--all", help="Every recipe that serves the network.")] = False,
    store: Annotated[
        str | None, typer.Option(metavar="<path>", help="Clip store to calibrate with; by default the run's own.")
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(metavar="<path>", help="A run of affnet evaluate with the same settings, for the model card."),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(help="Frames that the streaming signatures look back; by default half a second's at 30 fps."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
) -> None:
    """Convert a trained network to TFLite, verify every file against Keras, and write a bundle.

    Example: affnet export runs/final --out bundle --recipe float32 --recipe full_int8
    """
    with silent():
        from affnet_tf.export.run import export_run
    options = {"every": all_recipes, "store": store, "scores": scores, "force": force}
    if window is not None:
        options["window"] = window
    with console.chatter():
        document, table = export_run(run, out, recipe or [], **options)
    for note in document["notes"]:
        console.note(note)
    console.result(document, table)


@command("verify")
def verify(console: Console, bundle: Annotated[Path, typer.Argument(help="A bundle of affnet export.")]) -> None:
    """Check a bundle's files against the answers that Keras gave when it was made. Needs ai-edge-litert and NumPy alone.

    Example: affnet verify bundle
    """
    from affnet_tf.inference.reverify import verify_bundle

    with console.chatter():
        document, table = verify_bundle(bundle)
    for note in document["notes"]:
        console.note(note)
    console.result(document, table)


@command("predict")
def predict(
    console: Console,
    path: Annotated[Path, typer.Argument(help="A video, a folder of frames, or a motion image.")],
    model: Annotated[
        str, typer.Option(metavar="<path>", help="A checkpoint, a run of affnet train, a bundle or a .tflite file.")
    ],
    start: Annotated[
        float | None, typer.Option(help="First frame: seconds of a video, a frame number of a folder.")
    ] = None,
    end: Annotated[float | None, typer.Option(help="Last frame, likewise.")] = None,
    detector: Annotated[str, typer.Option(help="mtcnn, or none for frames that are face crops already.")] = "mtcnn",
    fps: Annotated[
        float | None, typer.Option(help="Frames per second of a folder, for a network of magnified clips.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="<path>", help="Folder for prediction.json and prediction.png.")
    ] = None,
) -> None:
    """The expression in a clip, with its probabilities.

    Example: affnet predict clip.mp4 --start 2.0 --end 2.4 --model runs/final --out prediction
    """
    from affnet_tf.inference.recording import predict_file

    with console.chatter():
        document, table = predict_file(path, model, start, end, detector, out, fps)
    for note in document["notes"]:
        console.note(note)
    console.result(document, table)
    if out:
        console.line(f"picture: {place_at(out) / 'prediction.png'}")
