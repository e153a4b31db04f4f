import keras
import numpy as np
import pytest
from small import SMALL, images, randomise

from affnet_tf.config import replace
from affnet_tf.models.affectivenet import affectivenet
from affnet_tf.training.gallery import Gallery, choose, grad_cam


def reference(model, config, pictures, classes, tap):
    """Grad-CAM by automatic differentiation: the gradient of the class's logit at the reduced map."""
    tf = pytest.importorskip("tensorflow")
    mfl = model.get_layer("mfl")
    layer = {each.name: each for each in mfl.sublayers}
    x = tf.convert_to_tensor(keras.Model(model.inputs[0], mfl.input)(pictures))
    maps = {"before": x}
    if "after" in config.taps:
        maps["after"] = layer["last_relu"](layer["last_norm"](layer["last_conv"](x)))
    reduced = {
        t: layer[f"{t}_reduce_relu"](layer[f"{t}_reduce_norm"](layer[f"{t}_reduce_conv"](maps[t]))) for t in config.taps
    }
    with tf.GradientTape() as tape:
        for each in reduced.values():
            tape.watch(each)
        parts = [tf.nn.relu(layer[f"{t}_project"](tf.reshape(reduced[t], [len(pictures), -1]))) for t in config.taps]
        logits = model.get_layer("logits")(tf.concat(parts, axis=-1))
        chosen = tf.gather(logits, classes, axis=1, batch_dims=1)
    np.testing.assert_allclose(logits, model(pictures), atol=1e-5)
    gradient = tape.gradient(chosen, reduced[tap]).numpy()
    cam = np.maximum((gradient.mean(axis=(1, 2), keepdims=True) * reduced[tap].numpy()).sum(-1), 0)
    return cam / np.maximum(cam.max(axis=(1, 2), keepdims=True), 1e-30)


@pytest.mark.parametrize("taps", [("before", "after"), ("before",), ("after",)])
def test_the_maps_are_those_of_automatic_differentiation(taps):
    config = replace(SMALL, taps=taps)
    model = affectivenet(config, 3)
    randomise(model)
    pictures, classes = images(6, 32), [0, 1, 2, 0, 1, 2]
    features = keras.Model(model.inputs[0], model.get_layer("mfl").input)(pictures)
    maps = grad_cam(model.get_layer("mfl"), model.get_layer("logits"), config, features, classes)
    assert tuple(maps) == taps
    for tap, found in maps.items():
        assert len(np.unique(found)) > 20
        np.testing.assert_allclose(found, reference(model, config, pictures, classes, tap), atol=1e-4)


def test_a_fold_s_pictures_and_maps_are_written_for_the_clips_that_are_shown(tmp_path):
    model = affectivenet(SMALL, 3)
    pictures = images(5, 32)
    gallery = Gallery(model, SMALL)
    randomise(model, seed=5)  # as a fold does after the gallery was made
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(model(pictures)))
    keys = [("casme2", f"sub01/EP{i}") for i in range(5)]
    truth = [0, 1, 2, 0, 1]
    gallery.write(tmp_path / "folds" / "a.npz", keys, pictures, truth, probabilities)
    rows = choose(truth, probabilities)
    classes = probabilities[rows].argmax(-1)
    with np.load(tmp_path / "folds" / "a.npz", allow_pickle=False) as file:
        assert list(zip(file["dataset"], file["clip_id"], strict=True)) == [keys[row] for row in rows]
        np.testing.assert_allclose(file["images"] / 255, pictures[rows], atol=0.5 / 255 + 1e-6)
        assert list(file["taps"]) == ["before", "after"]
        for tap in ("before", "after"):
            expected = reference(model, SMALL, pictures[rows], classes, tap)
            np.testing.assert_allclose(file[f"map_{tap}"] / 255, expected, atol=1 / 255)


def test_a_network_without_the_block_has_pictures_and_no_maps(tmp_path):
    config = replace(SMALL, mfl=False)
    Gallery(affectivenet(config, 3), config).write(
        tmp_path / "a.npz", [("d", "c")], images(1, 32), [0], np.array([[0.2, 0.5, 0.3]])
    )
    with np.load(tmp_path / "a.npz") as file:
        assert sorted(file) == ["clip_id", "dataset", "images", "taps"]
        assert file["images"].shape == (1, 32, 32, 3)
        assert len(file["taps"]) == 0


def test_the_surest_right_and_wrong_answers_are_shown_and_several_classes():
    truth = [0, 0, 1, 0, 1, 2]
    sure = [(0, 0.9), (0, 0.8), (1, 0.5), (1, 0.6), (0, 0.99), (0, 0.7)]
    probabilities = np.array([[p if i == label else (1 - p) / 2 for i in range(3)] for label, p in sure])
    assert choose(truth, probabilities) == [
        0,
        2,
        4,
        5,
    ]  # 0 and 2 are right and of two classes; 4 and 5 the surest misses
    assert choose(truth[:2], probabilities[:2]) == [0, 1]
    assert choose(truth[3:], probabilities[3:]) == [1, 2]
    assert choose([], np.zeros((0, 3))) == []
