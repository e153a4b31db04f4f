"""The command line, run in-process: what it prints where, its exit codes, and what bad input leaves behind."""

import json
import shutil
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
from command_line import affnet, contents, write_clips

from affnet_tf.cli import app
from affnet_tf.export.vectors import make_vectors
from affnet_tf.inference.reverify import Vectors
from affnet_tf.inference.runtime import TFLiteModel
from affnet_tf.models.checkpoint import load_checkpoint
from affnet_tf.pipeline.input import motion_images, read_clips
from affnet_tf.pipeline.store import open_store

COMMANDS = [command.name for command in app.registered_commands]
SMALL = ("input_size=32", "kernels=[3,5]", "widths=[4,8]", "last_channels=8", "dense=8")
SETTINGS = [word for each in SMALL for word in ("--set", f"model.{each}")]
SETTINGS += ["--set", "train.batch_size=4", "--set", "train.epochs=2"]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A dataset, its store, a run with a held-out subject, and a bundle, all by the command line."""
    root = tmp_path_factory.mktemp("made")
    write_clips(root / "people")
    assert affnet("prepare", "casme2", root / "people", root / "store", "--size", 40, "--workers", 1, "--quiet") == 0
    held_out = ("--set", "train.validation=0.34")
    assert affnet("train", root / "store", "--out", root / "run", *SETTINGS, *held_out, "--quiet") == 0
    assert affnet("export", root / "run", "--out", root / "bundle", "--recipe", "float32", "--quiet") == 0
    return root


def document(capsys, *words):
    """What a command prints with --json; nothing else may be on stdout."""
    capsys.readouterr()
    code = affnet(*words, "--json", "--quiet")
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_shows_an_example(command, capsys):
    assert affnet(command, "--help") == 0
    out, err = capsys.readouterr()
    assert f"Example: affnet {command}" in out
    assert err == ""


def test_the_command_line_is_imported_without_the_heavy_libraries():
    heavy = {"tensorflow", "keras", "cv2", "numpy", "jax", "matplotlib"}
    program = f"import sys, affnet_tf.cli; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_without_a_command_the_help_is_shown(capsys):
    assert affnet() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "\n  prepare " in err


def test_json_is_one_document(made, tmp_path, capsys):
    assert {"casme2", "samm", "custom"} <= {row["name"] for row in document(capsys, "datasets")}
    assert document(capsys, "inspect", "casme2", made / "people")
    assert document(capsys, "describe", "affectivenet_edge")
    assert document(capsys, "describe", made / "run")
    scores = document(capsys, "evaluate", made / "store", "--out", tmp_path / "loso", *SETTINGS)
    assert scores
    assert document(capsys, "report", tmp_path / "loso")
    assert document(capsys, "score", tmp_path / "loso" / "predictions.csv")
    trained = document(capsys, "train", made / "store", "--out", tmp_path / "run", *SETTINGS)
    assert (trained["clips"], trained["validation_clips"]) == (12, 0)
    prepared = document(capsys, "prepare", "casme2", made / "people", tmp_path / "store", "--workers", 1)
    assert prepared["stored"] == 12


def test_tables_go_to_stdout_and_notes_to_stderr(made, capsys):
    clip = made / "people" / "Cropped" / "sub01" / "EP00"
    capsys.readouterr()
    assert affnet("predict", clip, "--model", made / "run", "--detector", "none") == 0
    out, err = capsys.readouterr()
    assert "EP00, frames 3 to 9\n" in out
    assert err == "no face was looked for: the frames are taken as face crops\n"


# Export and verify


HELD_OUT = "4 clips of validation subjects, whom the network was not trained on"


def test_an_export_calibrates_on_training_clips_and_is_verified_on_held_out_ones(made, tmp_path, capsys, monkeypatch):
    from affnet_tf.export import run as export_room

    seen = {}

    def spy(checkpoint, out, names, calibration, holdout, **options):
        seen.update(calibration=calibration, holdout=holdout, **options)
        return real(checkpoint, out, names, calibration, holdout, **options)

    real = export_room.export
    monkeypatch.setattr(export_room, "export", spy)
    answer = document(capsys, "export", made / "run", "--out", tmp_path / "bundle", "--recipe", "float32")
    assert answer["recipes"]["float32"]["data"] == HELD_OUT
    metadata = json.loads((tmp_path / "bundle" / "float32" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["crop"] == ["The frames were face crops already; each axis was resized by itself."]
    checkpoint, store = load_checkpoint(made / "run" / "model"), open_store(made / "store")
    (person,) = checkpoint.details["validation_subjects"]
    clips = {store.clips[row].clip_id: (row, frames) for row, frames, _ in read_clips(store).as_numpy_iterator()}
    held_out = [each for each in store.clips if f"casme2/{each.subject}" == person]
    assert len(seen["holdout"]) == 4
    for clip, frames in zip(held_out, seen["holdout"], strict=True):
        np.testing.assert_array_equal(frames, clips[clip.clip_id][1])
    images = motion_images(read_clips(store), checkpoint.config.motion, 32)
    rows = [row for row, clip in enumerate(store.clips) if clip not in held_out]
    np.testing.assert_array_equal(seen["calibration"], images[rows])


def test_without_validation_subjects_some_training_subjects_verify_and_the_others_calibrate(
    made, tmp_path, monkeypatch
):
    from affnet_tf.export import run as export_room

    assert affnet("train", made / "store", "--out", tmp_path / "run", *SETTINGS, "--quiet") == 0
    seen = {}
    real = export_room.export
    monkeypatch.setattr(
        export_room, "export", lambda *words, **options: (seen.update(images=words[3]), real(*words, **options))[1]
    )
    answer, (title, _, _) = export_room.export_run(tmp_path / "run", tmp_path / "bundle", ["float32"])
    data = "4 training clips of 1 of 3 subjects, of whom the others calibrated; nobody was held out"
    assert answer["recipes"]["float32"]["data"] == data
    store = open_store(made / "store")
    rows = [row for row, clip in enumerate(store.clips) if clip.subject != "sub02"]
    motion = load_checkpoint(tmp_path / "run" / "model").config.motion
    np.testing.assert_array_equal(seen["images"], motion_images(read_clips(store), motion, 32)[rows])
    assert title.endswith(f"every file beside Keras, on {data}")
    assert answer["notes"] == []


def test_a_bare_checkpoint_needs_no_store_for_float32(made, tmp_path, fails, capsys):
    model = shutil.copytree(made / "run" / "model", tmp_path / "model")
    assert "--store names them" in fails("export", model, "--out", tmp_path / "b", "--recipe", "full_int8")
    answer = document(capsys, "export", model, "--out", tmp_path / "bundle", "--recipe", "float32")
    assert answer["recipes"]["float32"]["data"] == "clips made from random patterns"
    answer = document(
        capsys,
        "export",
        model,
        "--out",
        tmp_path / "bundle",
        "--recipe",
        "float32",
        "--store",
        made / "store",
        "--force",
    )
    assert answer["recipes"]["float32"]["data"] == HELD_OUT


def test_exports_that_cannot_be_made(made, tmp_path, fails):
    out = ("--out", tmp_path / "bundle")
    line = fails("export", made / "run", *out)
    assert "--recipe (float32, float16, dynamic_int8, full_int8" in line
    assert "Did you mean 'float32'" in fails("export", made / "run", *out, "--recipe", "float31")
    assert "must hold a trained network" in fails("export", made / "store", *out, "--recipe", "float32")
    assert "--force" in fails("export", made / "run", "--out", made / "bundle", "--recipe", "float32")
    assert list(tmp_path.iterdir()) == []


def test_a_store_made_by_another_config(made, tmp_path, fails):
    other = tmp_path / "other"
    assert affnet("prepare", "casme2", made / "people", other, "--size", 48, "--workers", 1, "--quiet") == 0
    before = contents(tmp_path)
    line = fails("export", made / "run", "--out", tmp_path / "bundle", "--recipe", "float32", "--store", other)
    assert open_store(other).hash in line
    assert open_store(made / "store").hash in line
    line = fails("prepare", "casme2", made / "people", other, "--size", 40, "--workers", 1)
    assert "must have one size" in line
    line = fails("train", other, "--out", made / "run", "--resume", *SETTINGS, "--set", "train.validation=0.34")
    assert "store" in line
    assert open_store(other).hash in line
    assert contents(tmp_path) == before


def test_a_store_whose_labels_are_not_the_network_s(made, tmp_path, fails):
    run = shutil.copytree(made / "run", tmp_path / "run")
    document = json.loads((run / "model" / "config.json").read_text())
    theirs = document["labels"]
    document["labels"] = theirs[::-1]
    (run / "model" / "config.json").write_text(json.dumps(document))
    line = fails("export", run, "--out", tmp_path / "bundle", "--recipe", "full_int8")
    assert f"must give the network's labels, {', '.join(theirs[::-1])}. Received: {', '.join(theirs)}" in line
    assert not (tmp_path / "bundle").exists()


def test_a_run_whose_config_lacks_what_an_export_needs(made, tmp_path, fails):
    run = shutil.copytree(made / "run", tmp_path / "run")
    whole = json.loads((run / "model" / "config.json").read_text())
    for name in ("frame_size", "labels"):
        lacking = {key: value for key, value in whole.items() if key != name}
        (run / "model" / "config.json").write_text(json.dumps(lacking))
        assert f"must have {name}. Received: none" in fails(
            "export", run, "--out", tmp_path / "b", "--recipe", "float32"
        )
    whole["config"]["motion"]["representation"] = "flow"
    (run / "model" / "config.json").write_text(json.dumps(whole))
    line = fails("export", run, "--out", tmp_path / "b", "--recipe", "float32")
    assert "must have motion.representation 'motion'" in line
    assert not (tmp_path / "b").exists()


def test_scores_of_another_experiment_are_not_quoted(made, tmp_path, fails):
    out = ("--out", tmp_path / "b", "--recipe", "float32")
    assert "a finished run of affnet evaluate" in fails("export", made / "run", *out, "--scores", tmp_path)
    config = json.loads((made / "run" / "config.json").read_text())
    config["config"]["train"]["epochs"] += 1
    (tmp_path / "config.json").write_text(json.dumps({**config, "protocol": "loso", "store": "another"}))
    (tmp_path / "metrics.json").write_text("{}")
    line = fails("export", made / "run", *out, "--scores", tmp_path)
    assert "which differs in train, store" in line


def test_a_run_whose_store_is_gone_asks_for_it(made, tmp_path, fails):
    run = shutil.copytree(made / "run", tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "store": str(tmp_path / "gone")}))
    line = fails("export", run, "--out", tmp_path / "bundle", "--recipe", "float32")
    assert "--store says where it is now" in line


def test_a_bundle_is_verified_without_keras(made):
    program = (
        "import sys; from affnet_tf.inference.reverify import verify_bundle; "
        f"document, _ = verify_bundle({str(made / 'bundle')!r}); "
        "print(document['recipes']['float32']['classify']['questions'], "
        "sorted({'keras', 'tensorflow', 'cv2'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "4 []"
    assert (made / "bundle" / "float32" / "vectors.npz").stat().st_size < 1_000_000


def test_the_stored_vectors_are_keras_answers(made):
    network = load_checkpoint(made / "run" / "model").model
    vectors = Vectors.load(made / "bundle" / "float32" / "vectors.npz")
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(network(vectors.images.astype(np.float32) / 255)))
    np.testing.assert_allclose(vectors.image_probabilities, expected, atol=1e-6)
    answers = [TFLiteModel(made / "bundle").classify_clip(clip)[0] for clip in vectors.clips]
    np.testing.assert_allclose(vectors.clip_probabilities, answers, atol=1e-5)


@pytest.mark.parametrize(("size", "frames"), [(40, 8), (128, 6), (256, 2)])
def test_vectors_stay_small(made, size, frames):
    checkpoint = load_checkpoint(made / "run" / "model")
    rng = np.random.default_rng(0)
    object.__setattr__(checkpoint, "frame_size", size)
    clips = [rng.integers(0, 256, (9, size, size, 3), dtype=np.uint8) for _ in range(3)]
    vectors = make_vectors(checkpoint, clips, window=15)
    assert vectors.clips.shape == (2, frames, size, size, 3)
    assert sum(field.nbytes for field in vars(vectors).values()) < 1_000_000


def reseal(folder, without=None):
    """Make the sums agree with the files again."""
    from affnet_tf.inference.reverify import file_sums

    sums = {name: digest for name, digest in file_sums(folder).items() if name != without}
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


def test_sums_are_those_of_sha256sum(made):
    folder = made / "bundle" / "float32"
    if tool := shutil.which("sha256sum"):
        subprocess.run([tool, "--strict", "-c", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    listed = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}


def test_a_bundle_that_was_changed_is_refused(made, tmp_path, fails):
    def broken(change):
        shutil.rmtree(tmp_path / "bundle", ignore_errors=True)
        folder = shutil.copytree(made / "bundle", tmp_path / "bundle") / "float32"
        change(folder)
        return fails("verify", tmp_path / "bundle")

    def other_answers(folder, **changes):
        vectors = Vectors.load(folder / "vectors.npz")
        Vectors(**{**vars(vectors), **changes}).save(folder / "vectors.npz")
        reseal(folder)

    right = Vectors.load(made / "bundle" / "float32" / "vectors.npz")
    assert "labels.txt' must have the SHA-256" in broken(lambda folder: (folder / "labels.txt").write_text("a\n"))
    assert "model.tflite' must be as SHA256SUMS" in broken(lambda folder: (folder / "model.tflite").unlink())
    assert "no readable" in broken(lambda folder: (folder / "SHA256SUMS").unlink())
    unlisted = "labels.txt' must be as SHA256SUMS lists it. Received: a file that it does not list"
    assert unlisted in broken(lambda folder: reseal(folder, without="labels.txt"))
    line = broken(
        lambda folder: other_answers(folder, image_probabilities=right.image_probabilities + np.float32(1e-3))
    )
    assert "recipe 'float32', signature 'classify': max |delta p| must be at most 1e-05. Received: 0.001" in line
    line = broken(lambda folder: other_answers(folder, clip_probabilities=right.clip_probabilities[:, ::-1]))
    assert "signature 'classify_clip'" in line
    line = broken(lambda folder: other_answers(folder, window_probabilities=right.window_probabilities[:, ::-1]))
    assert "signature 'classify_state'" in line
    line = broken(
        lambda folder: other_answers(folder, image_probabilities=np.full_like(right.image_probabilities, np.nan))
    )
    assert "Received: nan" in line


def test_what_recipe_json_must_say(made, tmp_path, fails):
    clip = made / "people" / "Cropped" / "sub01" / "EP00"

    def lines(change, *commands):
        shutil.rmtree(tmp_path / "bundle", ignore_errors=True)
        folder = shutil.copytree(made / "bundle", tmp_path / "bundle") / "float32"
        document = json.loads((folder / "recipe.json").read_text())
        (folder / "recipe.json").write_text(json.dumps(change(document)))
        reseal(folder)
        options = {"verify": (), "predict": ("--model", tmp_path / "bundle", "--detector", "none")}
        paths = {"verify": tmp_path / "bundle", "predict": clip}
        return [fails(command, paths[command], *options[command]) for command in commands or options]

    for field in ("recipe", "labels", "motion", "frame_size", "input_size"):
        for line in lines(lambda document, field=field: {k: v for k, v in document.items() if k != field}):
            assert f"recipe.json' must have the field '{field}'. Received: none" in line
    for line in lines(lambda document: {**document, "recipe": {"name": "float32"}}):
        assert "must have the field 'recipe.max_delta'" in line
    for line in lines(lambda document: {**document, "recipe": {**document["recipe"], "max_delta": None}}):
        assert "must have a number as 'recipe.max_delta'. Received: None" in line
    for line in lines(lambda document: [document]):
        assert "must hold an object" in line
    (line,) = lines(lambda document: {**document, "motion": {"weight": "bilen"}}, "predict")
    assert "a field of motion must be one of" in line
    assert "Received: 'weight'" in line


# Bad input


def test_folders_that_are_missing_empty_or_something_else(tmp_path, fails, made):
    (tmp_path / "empty").mkdir()
    before = contents(tmp_path)
    for root in (tmp_path / "missing", tmp_path / "empty"):
        fails("prepare", "casme2", root, tmp_path / "store")
        fails("inspect", "casme2", root)
        fails("train", root, "--out", tmp_path / "run")
        fails("evaluate", root, "--out", tmp_path / "run")
        fails("export", root, "--out", tmp_path / "bundle", "--recipe", "float32")
        fails("verify", root)
        fails("report", root)
        fails("score", root)
        fails("predict", root, "--model", made / "run", "--out", tmp_path / "prediction")
        fails("predict", made / "people" / "Cropped" / "sub01" / "EP00", "--model", root)
    assert contents(tmp_path) == before


def test_settings_that_do_not_exist(made, tmp_path, fails):
    words = ("train", made / "store", "--out", tmp_path / "run")
    assert "affectivenet, affectivenet_edge" in fails(*words, "--preset", "affectivnet")
    assert "affectivenet, affectivenet_edge" in fails("describe", "resnet")
    assert "Did you mean 'epochs'" in fails(*words, "--set", "train.epoch=3")
    assert "train.epochs must be" in fails(*words, "--set", "train.epochs=0")
    assert "paper4" in fails(*words, "--labels", "paper5")
    assert "loso" in fails("evaluate", *words[1:], "--protocol", "holdon")
    assert "mtcnn, none" in fails("predict", made / "people", "--model", made / "run", "--detector", "haar")
    assert "'casme2'" in fails("prepare", "casme22", made / "people", tmp_path / "store")
    assert "No such command" in fails("trian")
    assert "--out" in fails("train", made / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_shape(made, tmp_path, fails):
    run = shutil.copytree(made / "run", tmp_path / "run")
    settings = json.loads((run / "model" / "config.json").read_text())
    settings["config"]["model"]["dense"] = 12
    (run / "model" / "config.json").write_text(json.dumps(settings))
    clip = made / "people" / "Cropped" / "sub01" / "EP00"
    for words in (
        ("predict", clip, "--model", run, "--detector", "none", "--out", tmp_path / "prediction"),
        ("export", run, "--out", tmp_path / "bundle", "--recipe", "float32"),
    ):
        assert "model.dense" in fails(*words)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# Predict


def write_video(path, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, frames.shape[2:0:-1])
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def test_videos_that_show_no_face_or_are_none(made, tmp_path, fails):
    grey = write_video(tmp_path / "grey.avi", np.full((6, 96, 96, 3), 128, np.uint8))
    (tmp_path / "text.mp4").write_text("a text file\n" * 20)
    out = tmp_path / "prediction"
    for model in ("run", "bundle"):
        line = fails("predict", grey, "--model", made / model, "--out", out)
        assert "must show a face. Received: none on 6 of its 6 frames" in line
        line = fails("predict", tmp_path / "text.mp4", "--model", made / model, "--out", out)
        assert "must be in a format that OpenCV reads" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grey.avi", "text.mp4"]


def test_a_prediction_is_written_and_is_the_same_from_every_source(made, tmp_path, capsys):
    clip = made / "people" / "Cropped" / "sub02" / "EP02"
    answers = [
        document(capsys, "predict", clip, "--model", made / model, "--detector", "none", "--out", tmp_path / "p", *part)
        for model in ("run", "bundle")
        for part in ((), ("--start", 4, "--end", 7))
    ]
    assert [(each["frames"], each["start"], each["end"]) for each in answers] == [(7, 3, 9), (4, 4, 7)] * 2
    for a, b in zip(answers[:2], answers[2:], strict=True):
        assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-5)
        assert sum(a["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert a["label"] == max(a["probabilities"], key=a["probabilities"].get)
        assert a["confidence"] == max(a["probabilities"].values())
    assert json.loads((tmp_path / "p" / "prediction.json").read_text()) == answers[-1]
    assert cv2.imread(str(tmp_path / "p" / "prediction.png")).shape[0] > 100
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["prediction.json", "prediction.png"]


def test_an_out_that_is_a_file_is_refused(made, tmp_path, fails):
    (tmp_path / "file").write_text("mine")
    clip = made / "people" / "Cropped" / "sub02" / "EP02"
    line = fails("predict", clip, "--model", made / "run", "--detector", "none", "--out", tmp_path / "file")
    assert "--out must be a folder" in line
    line = fails("predict", clip, "--model", made / "run", "--detector", "none", "--out", tmp_path / "file" / "deep")
    assert "--out must be a folder" in line
    for force in ((), ("--force",)):
        line = fails("export", made / "run", "--out", tmp_path / "file", "--recipe", "float32", *force)
        assert "--out must be a folder" in line
        assert "which is a file" in line
    assert (tmp_path / "file").read_text() == "mine"
