"""Commands that make, show and prepare datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from affnet_tf.command import command
from affnet_tf.console import Console
from affnet_tf.errors import InputError
from affnet_tf.silence import silent

Release = Annotated[str | None, typer.Option(help="cropped or raw; by default the cropped one if it is there.")]


@command("demo")
def demo(
    console: Console,
    out: Annotated[Path, typer.Option(help="Folder for everything that comes out.", file_okay=False)] = Path("demo"),
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
    out: Annotated[Path, typer.Argument(help="New folder.", file_okay=False)],
    dataset: Annotated[
        str | None, typer.Option(help="Whose layout to write, by default casme2; affnet datasets lists them.")
    ] = None,
    subjects: Annotated[int | None, typer.Option(help="People, by default 8.")] = None,
    clips: Annotated[int | None, typer.Option(help="Clips for each of them, by default 12.")] = None,
    difficulty: Annotated[float, typer.Option(help="Scale of the nuisances; 0 is clean, 1 the default.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    raw: Annotated[bool, typer.Option("--raw", help="Uncropped frames too.")] = False,
    composite: Annotated[
        bool,
        typer.Option(
            "--composite", help="A stand-in for MEGC2019's three datasets: 442 clips of 68 subjects, as they are."
        ),
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
) -> None:
    """Write people who do not exist, in the layout of a dataset.

    Example: affnet synth people --subjects 8 --clips 12
    """
    from affnet_tf.datasets.synthetic import write_composite, write_synthetic

    chosen = {"dataset": dataset, "subjects": subjects, "clips": clips, "raw": raw or None}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if composite and chosen:
        raise InputError(f"--composite must stand without --{next(iter(chosen))}: its people and layouts are fixed")
    with console.progress("synthesise") as progress:
        options = {"difficulty": difficulty, "seed": seed, "workers": workers, "progress": progress}
        if composite:
            folders = write_composite(out, **options)
        else:
            folders = {dataset or "casme2": write_synthetic(out, **chosen, **options)}
    console.result(
        {"synthetic": True, "datasets": {name: str(path) for name, path in folders.items()}},
        ("", ("layout", "synthetic dataset"), [(name, str(path)) for name, path in folders.items()]),
    )


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
    root: Annotated[Path, typer.Argument(help="The dataset's folder on a local disk, as its owners ship it.")],
    store: Annotated[str, typer.Argument(help="Folder of the clip store, or an address such as gs://bucket/store.")],
    size: Annotated[int, typer.Option(help="Height and width of the crops, in pixels.")] = 128,
    detector: Annotated[
        str | None, typer.Option(help="mtcnn or none; by default none for a cropped release, mtcnn for a raw one.")
    ] = None,
    release: Annotated[
        str | None, typer.Option(help="cropped or raw; by default the cropped one if it is there.")
    ] = None,
    magnify: Annotated[float, typer.Option(help="Factor of the Eulerian motion magnification; 0: none.")] = 0.0,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes of this machine; by default one for each core. Faces are found by one."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local, or ray: shards are tasks of the cluster that RAY_ADDRESS names.")
    ] = "local",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop with code 2 at the first clip that cannot be used.")
    ] = False,
) -> int:
    """Crop a dataset's clips into a clip store. Run it again after an interruption: it goes on where it stopped.

    Example: affnet prepare casme2 /data/CASME2 stores/casme2
    """
    with silent():
        from affnet_tf.pipeline.prepare import prepare_dataset

        spread = _spread(engine)
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
            spread=spread,
            strict=strict,
            progress=progress,
        )
    for line in prepared.notes:
        console.note(line)
    for line in prepared.skipped:
        console.note(f"skipped: {line}")
    manifest = prepared.store.manifest
    row = (prepared.store.path, manifest["stored"], manifest["frames"], len(prepared.skipped), prepared.store.hash)
    console.result(
        {
            **{key: manifest[key] for key in ("stored", "frames", "skipped", "hash", "parts")},
            "path": prepared.store.path,
        },
        ("", ("store", "clips", "frames", "skipped", "hash"), [row]),
    )
    for picture in prepared.pictures:
        console.line(f"contact sheet: {picture}")
    return 1 if prepared.skipped else 0


def _spread(engine: str) -> Any:
    """What hands work to machines of a cluster; None for this one."""
    if engine == "local":
        return None
    from affnet_tf.training.cluster import check_engine, join_cluster, on_cluster

    check_engine(engine)
    join_cluster()
    return lambda work, names, arguments: on_cluster(work, names, "cpu", arguments)
