"""The default recipe on the synthetic composite: chosen by nested validation, against STSTNet, and what each part brings.

    python benchmarks/recipe.py nested   [--folder DIR] [--workers 2]
    python benchmarks/recipe.py ablation [--folder DIR] [--workers 2]

Both train AffectiveNet (``affectivenet_flow``, ``affectivenet_edge``) on the 442 clips that benchmarks/composite.py forges, for
two tasks alike: optical flow at 28×28 and affective-motion images at 64×64 (of crops of that size, since pooling larger ones
takes most of the time). Five folds of people; the same folds for every network.

``nested``: for each fold, the recipe with the best UF1 over the *other* four folds, each of them predicted by networks that saw
neither it nor the fold, the mean of both tasks; a network trained so predicts the fold. STSTNet trains as published, and by
AffectiveNet's recipe on what AffectiveNet sees. Differences have bootstrap intervals over people. No clip has a say in how the
network that predicts it was trained.

``ablation``: each part of the default recipe left out, and each that is off by default put in, against the default.

Predictions are kept in the folder: a second call with it goes on where the first was interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from affnet_tf.console import Console
from affnet_tf.files import write_json
from affnet_tf.silence import silent

if __name__ == "__main__":
    # Networks as small as these train faster so (docs/recipe.md). Read when TensorFlow is imported, in workers too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

with silent():
    from composite import forge

    from affnet_tf.config import ExperimentConfig, override
    from affnet_tf.evaluation.comparison import Comparison, compare
    from affnet_tf.evaluation.fold import Fold, people, who
    from affnet_tf.evaluation.metrics import score, score_by_dataset
    from affnet_tf.evaluation.predictions import Prediction, Predictions
    from affnet_tf.evaluation.protocols import kfold
    from affnet_tf.models.affectivenet import probabilities
    from affnet_tf.pipeline.store import open_store
    from affnet_tf.presets import preset, with_model
    from affnet_tf.training.fitting import fit_clips
    from affnet_tf.training.folds import Trainers, fold_steps
    from affnet_tf.training.labelled import LabelledClips
    from affnet_tf.training.parallel import in_processes
    from affnet_tf.training.strategy import choose_devices

FOLDS = 5
# What is held out of a training: one fold, or two of them for nested validation.
ONE = tuple((fold,) for fold in range(FOLDS))
TWO = tuple(itertools.combinations(range(FOLDS), 2))


@dataclasses.dataclass(frozen=True)
class Task:
    """A network and what it sees: settings of a preset, on crops of a size; ``like`` trains it by AffectiveNet's recipe."""

    preset: str
    sees: str
    settings: tuple[str, ...] = ()
    crops: int = 128
    like: bool = False


MOTION = ("motion.representation=motion", "motion.scaling=standard")
TASKS: Mapping[str, Task] = {
    "flow": Task("affectivenet_flow", "flow 28"),
    "motion": Task("affectivenet_edge", "motion image 64", ("model.input_size=64", "labels=megc3"), crops=64),
    "large": Task("affectivenet_edge", "motion image 96", ("labels=megc3",), crops=96),
    # As many steps as published: of the clips of four folds an epoch makes one full batch, where the authors' code has two.
    "ststnet": Task("ststnet", "flow 28", ("train.epochs=1000",)),
    "ststnet flow": Task("ststnet", "flow 28", like=True),
    "ststnet motion": Task("ststnet", "motion image 28", MOTION, crops=64, like=True),
}
# Candidates of nested validation, as changes of the default recipe.
RECIPES: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "averaged": ("train.ema=0.99",),
    "mixed": ("augment.mixup=0.2",),
    "less augmentation": ("augment.shift=0.02", "augment.rotate=2", "augment.scale=0.02", "augment.gain=0"),
}
ABLATION: Mapping[str, tuple[str, ...]] = {
    "without class weights": ("train.class_weights=false",),
    "without label smoothing": ("train.label_smoothing=0",),
    "without weight decay": ("train.weight_decay=0",),
    "a tenth of the weight decay": ("train.weight_decay=0.01",),
    "without dropout": ("model.dropout=0",),
    "without warm-up": ("train.warmup=0",),
    "constant learning rate": ("train.schedule=constant",),
    "without onset and offset jitter": ("augment.jitter=0",),
    "without dropped frames": ("augment.drop=0",),
    "without shift, rotation, scale": ("augment.shift=0", "augment.rotate=0", "augment.scale=0"),
    "without flip": ("augment.flip=false",),
    "without contrast": ("augment.gain=0",),
    "without any augmentation": (
        *(f"augment.{name}=0" for name in ("shift", "rotate", "scale", "gain")),
        "augment.flip=false",
    ),
    "focal loss, gamma 2": ("train.focal_gamma=2",),
    "speed 0.2": ("augment.speed=0.2",),
    "lighting 0.2": ("augment.lighting=0.2",),
    "no exchange between streams": ("model.exchange=false",),
    "one map instead of MFL": ("model.mfl=false",),
}  # fmt: skip
Jobs = Mapping[str, tuple[str, Sequence[str], Sequence[Sequence[int]]]]
"""By name: a task, the changes of its settings, and what is held out in turn."""

TEMPORAL = ("jitter", "drop", "speed", "lighting")


def settings(task: str, changes: Sequence[str]) -> ExperimentConfig:
    """The experiment of a task with some settings changed."""
    chosen = TASKS[task]
    config = with_model(preset("affectivenet_flow"), chosen.preset) if chosen.like else preset(chosen.preset)
    return override(config, [*chosen.settings, *changes])


def split(data: LabelledClips, held: Sequence[int]) -> Fold:
    """What is trained on and predicted when some of the five folds are held out."""
    parts = kfold(data.labelled, FOLDS, label_of=data.label_of)
    tested = {who(data.store.clips[data.row_of[key]]) for part in held for key in parts[part].test}
    keys: dict[bool, list] = {True: [], False: []}
    for clip in data.labelled:
        keys[who(clip) in tested].append(clip.key)
    return Fold("-".join(map(str, held)), tuple(keys[False]), (), tuple(keys[True]))


def kept(out: Path, name: str, jobs: Jobs, stores: Mapping[str, str]) -> Path:
    """Where a job's predictions lie; another recipe behind the same name, or other clips, have another file."""
    task, changes, held_out = jobs[name]
    what = json.dumps([settings(task, changes).to_json(), held_out, open_store(stores[task]).hash])
    return out / f"{name}-{zlib.crc32(what.encode()):08x}.json"


def work(names: Iterator[str], stores: Mapping[str, str], jobs: Jobs, out: Path) -> Iterator[str]:
    """Train and predict, job by job."""
    for name in names:
        task, changes, held_out = jobs[name]
        config = settings(task, changes)
        data = LabelledClips(stores[task], config)
        devices = choose_devices("cpu", config.train.precision)
        folds = [split(data, held) for held in held_out]
        trainers = Trainers(config, data.classes, fold_steps(folds, "kfold", config), devices)
        data.load()
        predicted = {}
        for fold in folds:
            trainer = trainers.of(fold.name)
            trainer.reset()
            fit_clips(trainer, data, config, fold.train, ())
            chances = probabilities(trainer.model, data.pictures(fold.test))
            predicted[fold.name] = [
                [*key, truth, *map(float, row)]
                for key, truth, row in zip(fold.test, data.truth(fold.test), chances, strict=True)
            ]
        write_json(kept(out, name, jobs, stores), predicted)
        yield name


class Bench:
    """The forged composite and what was predicted on it."""

    def __init__(self, folder: Path, workers: int, cast: int, console: Console) -> None:
        self.folder, self.workers, self.console = folder, workers, console
        # Flow is found on the store's frames; motion images are pooled of frames of their own size, which is faster.
        stores = {
            size: forge(folder, workers, console, size, cast) for size in sorted({t.crops for t in TASKS.values()})
        }
        self.stores = {name: str(stores[task.crops].path) for name, task in TASKS.items()}
        self.subjects = {clip.key: clip.subject for clip in stores[128].clips}
        data = LabelledClips(self.stores["flow"], settings("flow", ()))
        self.labels = data.scheme.labels
        self.parts = [set(fold.test) for fold in kfold(data.labelled, FOLDS, label_of=data.label_of)]
        self.people = len(people(data.labelled))

    def run(self, jobs: Jobs) -> None:
        """Do the jobs whose predictions are not in the folder, and read all of them."""
        out = self.folder / "predictions"
        out.mkdir(exist_ok=True)
        missing = [name for name in jobs if not kept(out, name, jobs, self.stores).exists()]
        with self.console.progress("train") as progress:
            arguments = (self.stores, jobs, out)
            for done, _ in enumerate(in_processes(work, missing, min(self.workers, len(missing)), arguments), 1):
                progress(done, len(missing))
        self.found = {name: json.loads(kept(out, name, jobs, self.stores).read_text()) for name in jobs}

    def predictions(self, job: str, held: Sequence[int], part: int) -> list[Prediction]:
        """Of the clips of one fold, by the networks of a job for which ``held`` was held out."""
        rows = self.found[job]["-".join(map(str, held))]
        return [
            Prediction(dataset, clip, self.subjects[dataset, clip], f"fold{part + 1}", truth, tuple(chances))
            for dataset, clip, truth, *chances in rows
            if (dataset, clip) in self.parts[part]
        ]

    def pooled(self, job_of: Mapping[int, str]) -> Predictions:
        """All clips, each fold by the network that was trained without it."""
        return Predictions(
            self.labels, tuple(row for fold in range(FOLDS) for row in self.predictions(job_of[fold], (fold,), fold))
        )

    def inner(self, job: str, fold: int) -> float:
        """UF1 over the other folds, each predicted by a network that saw neither it nor ``fold``."""
        rows = [
            row
            for other in range(FOLDS)
            if other != fold
            for row in self.predictions(job, sorted((fold, other)), other)
        ]
        return score(Predictions(self.labels, tuple(rows))).uf1


def nested(bench: Bench) -> None:
    """Choose the recipe of each fold, and compare what comes out with STSTNet."""
    tasks = ("flow", "motion")
    jobs = {f"{task} {name}": (task, changes, ONE + TWO) for name, changes in RECIPES.items() for task in tasks}
    bench.run({name: (name, (), ONE) for name in TASKS if name not in tasks} | jobs)
    inner = {
        name: [sum(bench.inner(f"{task} {name}", fold) for task in tasks) / len(tasks) for fold in range(FOLDS)]
        for name in RECIPES
    }
    chosen = [max(RECIPES, key=lambda name: inner[name][fold]) for fold in range(FOLDS)]
    rows = [(name, *(f"{value:.3f}" for value in values), chosen.count(name)) for name, values in inner.items()]
    columns = ("recipe", *(f"without fold {fold + 1}" for fold in range(FOLDS)), "chosen")
    bench.console.result({}, ("UF1 of validation, mean of flow and motion images (synthetic people)", columns, rows))
    theirs = {task: bench.pooled(dict.fromkeys(range(FOLDS), task)) for task in TASKS if task.startswith("ststnet")}
    published = theirs["ststnet"]
    rows = [("ststnet", TASKS["ststnet"].sees, "as published", *by_dataset(published), "", "")]
    for task in ("ststnet flow", "ststnet motion"):
        versus = lead(compare(theirs[task], published))
        rows.append(("ststnet", TASKS[task].sees, "default", *by_dataset(theirs[task]), versus, ""))
    default = ("default", ["default"] * FOLDS)
    for task in tasks:
        for title, names in (("chosen by nested validation", chosen), default):
            ours = bench.pooled({fold: f"{task} {name}" for fold, name in enumerate(names)})
            leads = [lead(compare(ours, other)) for other in (published, theirs[f"ststnet {task}"])]
            rows.append((TASKS[task].preset, TASKS[task].sees, title, *by_dataset(ours), *leads))
    ours = bench.pooled(dict.fromkeys(range(FOLDS), "large"))
    leads = [lead(compare(ours, other)) for other in (published, theirs["ststnet motion"])]
    rows.append((TASKS["large"].preset, TASKS["large"].sees, "default", *by_dataset(ours), *leads))
    columns = (
        "network",
        "input",
        "recipe",
        *DATASETS,
        "lead over ststnet as published",
        "on like input, by the default recipe",
    )
    title = f"UF1 on the synthetic composite, {FOLDS} folds of {bench.people} synthetic people"
    bench.console.result({}, (title, columns, rows))
    bench.console.line(f"chosen: {', '.join(f'{name} ({count})' for name, count in Counter(chosen).items())}")


def ablation(bench: Bench) -> None:
    """Each part of the recipe by itself: changes in time on motion images, all else on flow, which trains faster; and the
    candidates of nested validation, whose predictions are there already, on both."""
    jobs = {
        f"{task} {name}": (task, changes, ONE + TWO) for name, changes in RECIPES.items() for task in ("flow", "motion")
    }
    for name, changes in ABLATION.items():
        temporal = all(change.partition("=")[0].removeprefix("augment.") in TEMPORAL for change in changes)
        task = "motion" if temporal else "flow"
        if settings(task, changes) != settings(task, ()):  # what is off by default cannot be left out
            jobs[f"{task} {name}"] = (task, changes, ONE)
    bench.run(jobs)
    default = {task: bench.pooled(dict.fromkeys(range(FOLDS), f"{task} default")) for task in ("flow", "motion")}
    rows = []
    for job, (task, changes, _) in jobs.items():
        ours = bench.pooled(dict.fromkeys(range(FOLDS), job))
        versus = compare(ours, default[task])
        difference = lead(versus) if changes else ""
        rows.append((job.partition(" ")[2], TASKS[task].sees, f"{versus.uf1[0]:.3f}", difference))
    columns = ("recipe", "input", "UF1", "against the default")
    title = (
        f"UF1 on the synthetic composite, {FOLDS} folds of {bench.people} synthetic people, 95 % intervals over people"
    )
    bench.console.result({}, (title, columns, rows))


DATASETS = ("all", "smic_hs", "casme2", "samm")


def by_dataset(predictions: Predictions) -> list[str]:
    found = {"all": score(predictions), **score_by_dataset(predictions)}
    return [f"{found[name].uf1:.3f}" for name in DATASETS]


def lead(versus: Comparison) -> str:
    return f"{versus.difference:+.3f} [{versus.interval[0]:+.3f}, {versus.interval[1]:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("nested", "ablation"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cast", type=int, default=0, help="seed of the people; a folder holds one cast")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, options.workers, options.cast, Console())
        {"nested": nested, "ablation": ablation}[options.what](bench)


if __name__ == "__main__":
    main()
