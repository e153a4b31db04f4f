"""Experiments on a clip store: train one network, or evaluate by a protocol; a run folder comes out, and resumes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Generator, Sequence
from typing import Any

import keras

from affnet_tf.config import ExperimentConfig, check
from affnet_tf.errors import InputError
from affnet_tf.evaluation.headline import ALL, Headline, headlines
from affnet_tf.evaluation.metrics import Scores
from affnet_tf.evaluation.predictions import Prediction, Predictions, write_predictions
from affnet_tf.evaluation.protocols import BY_FOLD, Fold, Key, check_folds, hold_out_subjects
from affnet_tf.evaluation.protocols import folds as folds_of
from affnet_tf.files import read_json, write_json
from affnet_tf.models.checkpoint import Checkpoint, is_checkpoint, load_checkpoint, save_checkpoint
from affnet_tf.models.networks import build_network
from affnet_tf.pipeline.crop_config import TrainedCrop
from affnet_tf.pipeline.order import REVISION
from affnet_tf.pipeline.store import StoredClip
from affnet_tf.places import Address, place_at
from affnet_tf.training.cluster import check_engine, join_cluster, on_cluster
from affnet_tf.training.fitting import fit_clips, new_trainer, steps_of
from affnet_tf.training.fold_groups import folds_at_once
from affnet_tf.training.folds import FoldWork, Trainers, fold_steps, folds_elsewhere, folds_on_cluster
from affnet_tf.training.labelled import LabelledClips
from affnet_tf.training.parallel import in_processes
from affnet_tf.training.progress import Report
from affnet_tf.training.run import Run, open_run
from affnet_tf.training.strategy import Devices, choose_devices

__all__ = ["Evaluation", "evaluate", "train"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The outcome of ``evaluate``.

    Attributes:
        predictions: of all folds.
        rows: the scores of all clips and, of several, of each dataset; for ``cross_dataset`` those of each ordered pair.
        seconds: by fold.
    """

    predictions: Predictions
    rows: tuple[Headline, ...]
    seconds: dict[str, float]

    @property
    def scores(self) -> Scores:
        """The scores of all clips.

        Raises:
            InputError: the folds are experiments of their own, and are not pooled.
        """
        if self.rows[0].name != ALL:
            raise InputError(
                f"scores of all clips must come from folds that are pooled. Received: {self.rows[0].name}, …"
            )
        return self.rows[0].scores

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dictionary, without the predictions."""
        return {"rows": {row.name: row.to_json() for row in self.rows}, "seconds": self.seconds}


def train(
    store: Address,
    out: Address,
    config: ExperimentConfig,
    *,
    device: str = "auto",
    resume: bool = False,
    keep_seconds: float = 0.0,
    tensorboard: bool = True,
    progress: Report | None = None,
    note: Callable[[str], None] | None = None,
) -> Checkpoint:
    """Train one network on all labelled clips of a store; ``config.train.validation`` holds out subjects to watch it.

    Writes config.json, manifest.json, history.json, the checkpoint ``model/`` and TensorBoard logs to ``out``, on a local disk
    or at an address such as ``gs://bucket/run``. With ``resume`` a run that was killed goes on after the last epoch whose state
    was kept, and ends with the same weights; one that is finished is not trained again. The state, 17 MB for ``affectivenet``,
    is kept after an epoch if ``keep_seconds`` went by since it last was, by default after every epoch, and when training ends
    or breaks off. ``progress`` is called after each epoch with (epochs done, epochs in all, its losses in words); ``note`` is
    told in words what it is trained on.

    Raises:
        InputError: a bad store, an ``out`` that exists without ``resume``, or one that was made by another config; or
            ``keep_seconds`` is below 0 or no number.
    """
    check(keep_seconds >= 0, "keep_seconds", "be at least 0", keep_seconds)
    out = place_at(out)
    devices = _devices(device, config)
    data = LabelledClips(store, config)
    kept, held_out = hold_out_subjects(data.labelled, config.train.validation, config.train.seed)
    check_folds([Fold("train", kept, held_out, ())], data.label_of, data.scheme.labels)
    run = open_run(out, _document({"task": "train"}, config, data, devices), resume)
    if run.resumed and is_checkpoint(out / "model"):
        (out / "state.npz").unlink(missing_ok=True)
        return load_checkpoint(out / "model")
    told = devices.told(config.train.batch_size)
    if note is not None:
        note(told)
    data.load()
    with devices.scope():
        trainer = new_trainer(config, data.classes, steps_of(len(kept), config), devices)
        run.begin(told, _facts(config, data))
        history = fit_clips(
            trainer,
            data,
            config,
            kept,
            held_out,
            state=out / "state.npz",
            keep_seconds=keep_seconds,
            log_dir=out / "tensorboard" if tensorboard else None,
            progress=progress,
        )
        model = _float32_copy(trainer.model, config, data.classes)
    write_json(out / "history.json", history)
    details = {
        "store": data.store.hash,
        "clips": len(kept),
        "validation_clips": len(held_out),
        "subjects": data.subjects(kept),
        "validation_subjects": data.subjects(held_out),
        "crop": TrainedCrop.of_parts(data.store.manifest["parts"], (data.row_of[key] for key in kept)).to_json(),
    }
    checkpoint = Checkpoint(model, config, data.scheme.labels, data.store.frame_size, details)
    save_checkpoint(out / "model", checkpoint, replace=resume)
    (out / "state.npz").unlink(missing_ok=True)
    return checkpoint


def evaluate(
    store: Address,
    out: Address,
    config: ExperimentConfig,
    protocol: str = "loso",
    *,
    k: int | None = None,
    device: str = "auto",
    resume: bool = False,
    parallel: int = 1,
    fold_batch: str | int = 1,
    engine: str = "local",
    tensorboard: bool = False,
    progress: Report | None = None,
    note: Callable[[str], None] | None = None,
) -> Evaluation:
    """Train and test by a protocol; the predictions of all folds are pooled and then scored.

    Writes config.json, manifest.json, folds/<name>.json, predictions.csv and metrics.json to ``out``. All folds of a process
    share one compiled step. Finished folds are kept when a run is interrupted and resumed; the result is the same, however
    many processes run.

    Args:
        store: a clip store.
        out: folder of the run, on a local disk or at an address such as ``gs://bucket/run``.
        config: the experiment.
        protocol: one of ``evaluation.protocols.PROTOCOLS``.
        k: number of folds of ``kfold``.
        device: ``auto``, ``cpu``, ``gpu`` or ``tpu``.
        resume: go on with a run in the same folder.
        parallel: processes that folds are spread over.
        engine: ``local``, or ``ray``: the folds are tasks of a Ray cluster, whose machines read the store and write to ``out``
            at the same paths; ``parallel`` is then of no concern.
        fold_batch: folds that are trained in one program, under JAX: a number, or ``auto``, which is 1 where folds are spread
            over processes or logged.
        tensorboard: write logs for TensorBoard to tensorboard/<fold>.
        progress: called with (folds done, folds in all, a fold's name).
        note: told in words what the folds are trained on.

    Raises:
        InputError: unknown protocol, or one that the store's clips do not serve; a class that a fold cannot learn; a bad store,
            an ``out`` that exists without ``resume``, or one made by another config.
    """
    check(parallel >= 1, "parallel", "be at least 1", parallel)
    check_engine(engine)
    devices = _devices(device, config)
    data = LabelledClips(store, config)
    folds = folds_of(protocol, data.labelled, config.train.validation, config.train.seed, k=k, label_of=data.label_of)
    check_folds(folds, data.label_of, data.scheme.labels)
    task = {"task": "evaluate", "protocol": protocol, **({} if k is None else {"k": k})}
    run = open_run(out, _document(task, config, data, devices), resume)
    pending = [fold.name for fold in folds if not run.fold(fold.name).exists()]
    if pending:
        # Before anything is written: a network that cannot be built, or a cluster that doesn't answer, leaves no folder.
        trainers = Trainers(config, data.classes, fold_steps(folds, protocol, config), devices)
        work = FoldWork(data, config, folds, run, devices, trainers, tensorboard)
        together = _together(work, pending, fold_batch, parallel, engine)
        if engine == "ray":
            join_cluster()
        excluded = {fold.name: fold.reason for fold in folds if fold.excluded}
        told = devices.told(config.train.batch_size)
        run.begin(told, {**_facts(config, data), **({"excluded": excluded} if excluded else {})})
        if note is not None:
            note(told)
            if together > 1 and devices.kind == "cpu":
                note(
                    f"{together} folds in one program: on a CPU little faster for small images, and far slower for large ones"
                )
        finished = _hand_out(work, pending, device, engine, parallel, together)
        _follow(finished, pending, len(folds), progress)
    elif progress:
        progress(len(folds), len(folds), "done")
    return _gather(run, data, folds, protocol in BY_FOLD)


def _together(work: FoldWork, pending: Sequence[str], wanted: str | int, parallel: int, engine: str) -> int:
    """How many folds train in one program, which goes with one process of this machine and without logs."""
    apart = parallel > 1 or engine == "ray" or work.tensorboard
    wanted = 1 if apart and wanted == "auto" else wanted
    held = functools.partial(work.images_held, pending)
    count = folds_at_once(wanted, work.devices, work.trainers.of(pending[0]), work.config, len(pending), held)
    check(count == 1 or parallel == 1, "parallel", f"be 1 with a fold_batch of {count}", parallel)
    check(count == 1 or engine == "local", "engine", f"be local with a fold_batch of {count}", engine)
    check(count == 1 or not work.tensorboard, "tensorboard", f"be off with a fold_batch of {count}", work.tensorboard)
    return count


def _hand_out(
    work: FoldWork, pending: Sequence[str], device: str, engine: str, parallel: int, together: int
) -> Generator[str]:
    """The folds' names, each when it is done: on a cluster, in processes, several in one program, or one after the other."""
    if engine == "ray":
        kind = work.devices.kind
        variables = {"KERAS_BACKEND": keras.backend.backend()}
        return on_cluster(folds_on_cluster, pending, kind, work.sent(f"{kind}:1"), variables)
    if parallel > 1:
        processes = min(parallel, len(pending))
        return in_processes(folds_elsewhere, pending, processes, work.sent(device, processes))
    return work.together(pending, together) if together > 1 else work.in_turn(pending)


def _follow(finished: Generator[str], pending: Sequence[str], total: int, progress: Report | None) -> None:
    """Wait for all folds, and tell of each."""
    done = total - len(pending)
    with contextlib.closing(finished):
        if progress:
            progress(done, total, pending[0])
        for name in finished:
            done += 1
            if progress:
                progress(done, total, name)


def _devices(device: str, config: ExperimentConfig) -> Devices:
    devices = choose_devices(device, config.train.precision)
    if devices.hosts > 1:
        raise InputError(
            f"a run folder must be written by one host; training.fit takes several. Received: {devices.hosts}"
        )
    devices.check_batch(config.train.batch_size)
    return devices


def _float32_copy(model: keras.Model, config: ExperimentConfig, classes: int) -> keras.Model:
    """The network alone, in float32: saved with its optimizer, it would take three times the room."""
    keras.config.set_dtype_policy("float32")
    copy = build_network(config.model, classes)
    copy.set_weights(model.get_weights())
    return copy


def _document(task: dict[str, Any], config: ExperimentConfig, data: LabelledClips, devices: Devices) -> dict[str, Any]:
    return {
        **task,
        "config": config.to_json(),
        "precision": devices.precision,
        "labels": data.scheme.to_json(),
        "store": data.store.hash,
    }


def _facts(config: ExperimentConfig, data: LabelledClips) -> dict[str, Any]:
    return {"seed": config.train.seed, "draws": REVISION, **data.facts()}


def _gather(run: Run, data: LabelledClips, folds: Sequence[Fold], by_fold: bool) -> Evaluation:
    """Join the folds' predictions to the labels, by clip id, and score them."""
    clip_of: dict[Key, StoredClip] = {clip.key: clip for clip in data.labelled}
    rows, seconds = [], {}
    for fold in folds:
        document = read_json(run.fold(fold.name))
        seconds[fold.name] = document["seconds"]
        for dataset, clip_id, *numbers in document["predictions"]:
            clip = clip_of[dataset, clip_id]
            rows.append(Prediction(dataset, clip_id, clip.subject, fold.name, data.label_of[clip.key], tuple(numbers)))
    predictions = Predictions(data.scheme.labels, tuple(rows))
    write_predictions(run.path / "predictions.csv", predictions)
    result = Evaluation(predictions, tuple(headlines(predictions, by_fold)), seconds)
    write_json(run.path / "metrics.json", result.to_json())
    return result
