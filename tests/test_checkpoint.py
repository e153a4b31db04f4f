import json
import os

import h5py
import keras
import numpy as np
import pytest
from small import SMALL, images, randomise

from affnet_tf.config import ExperimentConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.models.affectivenet import affectivenet
from affnet_tf.models.checkpoint import Checkpoint, is_checkpoint, load_checkpoint, save_checkpoint

LABELS = ("negative", "positive", "surprise")
CONFIG = ExperimentConfig(model=SMALL, labels="megc3")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    model = affectivenet(SMALL, 3)
    randomise(model)
    return Checkpoint(model, CONFIG, LABELS, 96, {"clips": 12, "store": "abc"})


@pytest.fixture
def folder(checkpoint, tmp_path):
    return save_checkpoint(tmp_path / "model", checkpoint)


def edit(folder, change) -> None:
    document = json.loads((folder / "config.json").read_text())
    change(document)
    (folder / "config.json").write_text(json.dumps(document))


def test_round_trip(checkpoint, folder):
    again = load_checkpoint(folder)
    assert (again.config, again.labels, again.frame_size) == (CONFIG, LABELS, 96)
    assert again.details == {"clips": 12, "store": "abc"}
    assert is_checkpoint(folder)
    for ours, theirs in zip(checkpoint.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    data = images(2, 32)
    np.testing.assert_array_equal(checkpoint.model(data).numpy(), again.model(data).numpy())


@pytest.mark.parametrize(
    "changes",
    [
        {"stem": 4, "depthwise": True, "normalise": "before_exchange"},
        {"mfl": False},
        {"taps": ("before",), "kernels": (3,), "exchange": False},
    ],
)
def test_round_trip_of_other_shapes(tmp_path, changes):
    config = replace(CONFIG, model=replace(SMALL, **changes))
    model = affectivenet(config.model, 3)
    randomise(model)
    again = load_checkpoint(save_checkpoint(tmp_path / "model", Checkpoint(model, config, LABELS, 32)))
    data = images(2, 32)
    np.testing.assert_array_equal(model(data).numpy(), again.model(data).numpy())


def test_the_folder_holds_two_plain_files(folder):
    assert sorted(os.listdir(folder)) == ["config.json", "model.weights.h5"]
    document = json.loads((folder / "config.json").read_text())
    assert document["versions"]["keras"] == keras.__version__
    with h5py.File(folder / "model.weights.h5") as file:
        objects = []
        file.visititems(lambda name, item: objects.append(item.dtype) if isinstance(item, h5py.Dataset) else None)
    assert objects
    assert all(dtype.kind in "fiu" for dtype in objects), "numbers only: nothing that could be unpickled"


def test_trained_in_low_precision_it_reloads_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = affectivenet(SMALL, 3)
        randomise(model)
        save_checkpoint(tmp_path / "model", Checkpoint(model, CONFIG, LABELS, 32))
        again = load_checkpoint(tmp_path / "model")
        assert keras.config.dtype_policy().name == "mixed_bfloat16", "loading must not change the policy"
    finally:
        keras.config.set_dtype_policy("float32")
    layers = [*again.model.layers, *again.model.get_layer("microfeat").sublayers]
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    for ours, theirs in zip(model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert "bfloat16" not in (tmp_path / "model" / "config.json").read_text()


@pytest.mark.parametrize(
    ("field", "value", "layer"),
    [
        ("input_size", 64, "before_project"),
        ("stem", 4, "stem_conv"),
        ("kernels", [3, 7], "stage1_stream2_conv"),
        ("kernels", [3, 5, 7], "stage1_stream3_conv"),
        ("kernels", [3], "stage1_stream2_conv"),
        ("widths", [4, 9], "stage2_stream1_conv"),
        ("widths", [4], "stage2_stream1_conv"),
        ("depthwise", True, "stage1_stream1_depthwise"),
        ("normalise", "before_exchange", "stage1_stream1_conv"),
        ("mfl", False, "before_reduce_conv"),
        ("taps", ["after"], "before_reduce_conv"),
        ("taps", ["before"], "last_conv"),
        ("tap_channels", [8, 32], "before_reduce_conv"),
        ("last_channels", 9, "last_conv"),
        ("dense", 9, "before_project"),
    ],
)
def test_an_edited_config_names_the_layer_and_the_field(folder, field, value, layer):
    edit(folder, lambda document: document["config"]["model"].update({field: value}))
    with pytest.raises(InputError) as error:
        load_checkpoint(folder)
    assert f"layer {layer!r}" in str(error.value)
    assert f"model.{field}" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_edited_exchange_is_noticed_although_no_shape_tells(folder):
    edit(folder, lambda document: document["config"]["model"].update(exchange=False))
    with pytest.raises(InputError, match=r"layer 'stage1_stream2_exchange' .* model\.exchange"):
        load_checkpoint(folder)


def test_another_number_of_labels_names_the_classifier(folder):
    edit(folder, lambda document: document["labels"].append("others"))
    with pytest.raises(InputError, match=r"layer 'logits' must have the shapes that labels"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("labels"), "must have labels"),
        (lambda d: d.pop("shapes"), "must have shapes"),
        (lambda d: d["shapes"].update(extra=[[3]]), "layer 'extra'"),
        (lambda d: d.update(shapes=3), "config.json of checkpoint"),
        (lambda d: d.update(labels="abc"), "config.json of checkpoint"),
        (lambda d: d.update(labels=[]), "at least 2 classes"),
        (lambda d: d.update(frame_size="96"), "config.json of checkpoint"),
        (lambda d: d["config"]["model"].update(kernel=3), "Did you mean 'kernels'?"),
        (lambda d: d.update(config=3), "config.json of checkpoint"),
    ],
)
def test_a_damaged_config_is_one_line(folder, change, message):
    edit(folder, change)
    with pytest.raises(InputError) as error:
        load_checkpoint(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null"])
def test_a_config_that_is_no_object(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        load_checkpoint(folder)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
def test_a_truncated_weights_file(folder, keep):
    data = (folder / "model.weights.h5").read_bytes()
    (folder / "model.weights.h5").write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(InputError, match=r"model\.weights\.h5 of .* must hold the network of its config\.json"):
        load_checkpoint(folder)


def test_a_weights_file_that_is_none(folder):
    (folder / "model.weights.h5").write_bytes(b"import os" * 100)
    with pytest.raises(InputError, match=r"model\.weights\.h5 of .* Received: "):
        load_checkpoint(folder)
    with h5py.File(folder / "model.weights.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(InputError, match=r"model\.weights\.h5 of .* Received: "):
        load_checkpoint(folder)


@pytest.mark.parametrize("changes", [{"kernels": (3, 7)}, {"dense": 9}, {"stem": 4}, {"taps": ("before",)}])
def test_the_weights_file_of_another_network(checkpoint, folder, changes):
    other = affectivenet(replace(SMALL, **changes), 3)
    other.save_weights(folder / "model.weights.h5", overwrite=True)
    with pytest.raises(InputError) as error:
        load_checkpoint(folder)
    assert "must hold the network of its config.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    assert not is_checkpoint(folder)
    with pytest.raises(InputError, match=r"must be a folder with config\.json and model\.weights\.h5"):
        load_checkpoint(folder)


def test_an_existing_folder_is_refused(checkpoint, folder):
    before = (folder / "config.json").read_bytes()
    with pytest.raises(InputError, match="must not exist yet"):
        save_checkpoint(folder, Checkpoint(checkpoint.model, CONFIG, LABELS, 33))
    assert (folder / "config.json").read_bytes() == before
    save_checkpoint(folder, Checkpoint(checkpoint.model, CONFIG, LABELS, 33), replace=True)
    assert load_checkpoint(folder).frame_size == 33
    assert os.listdir(folder.parent) == ["model"]
