"""The model card and where its facts come from; no network is built."""

import dataclasses

import numpy as np
import pytest
from runs import LABELS, forge_rows

from affnet_tf.config import ExperimentConfig, ModelConfig
from affnet_tf.errors import InputError
from affnet_tf.evaluation.headline import headlines
from affnet_tf.evaluation.predictions import Predictions
from affnet_tf.export.card import model_card
from affnet_tf.export.origin import Origin, read_score, store_origin
from affnet_tf.export.picture import boxes, draw_graph
from affnet_tf.export.recipes import recipe
from affnet_tf.files import write_json
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.pipeline.store import Store, StoredClip

CONFIG = ExperimentConfig(model=ModelConfig(input_size=32))
METADATA = {"labels": list(LABELS), "scheme": "megc3"}
CHECK = {"max_delta": 0.0123, "agreement": 0.98, "accuracy": 0.75, "keras_accuracy": 0.8}
VERIFICATION = {"bytes": 181_000, "gzip_bytes": 93_400, "data": "9 clips", "signatures": {"classify": CHECK}}


@pytest.fixture
def evaluated(tmp_path):
    """A finished evaluation as ``affnet evaluate`` leaves it."""
    rows = headlines(Predictions(LABELS, tuple(forge_rows({"casme2": 5, "samm": 4}))))
    write_json(tmp_path / "config.json", {"protocol": "loso", "config": CONFIG.to_json(), "store": "0f"})
    write_json(tmp_path / "metrics.json", {"rows": {row.name: row.to_json() for row in rows}})
    return tmp_path, rows


def checkpoint(**details):
    return Checkpoint(None, CONFIG, LABELS, 40, details)


def test_scores_of_an_evaluation_are_quoted_with_their_intervals(evaluated):
    folder, rows = evaluated
    scores = read_score(folder, checkpoint(store="0f"))
    assert [score.name for score in scores] == ["all", "casme2", "samm"]
    card = model_card(recipe("full_int8"), METADATA, Origin(scores=scores), VERIFICATION, ())
    for row in rows:
        low, high = row.intervals.uf1
        line = next(line for line in card.splitlines() if line.startswith(f"| loso | {row.name} |"))
        assert f"{row.scores.uf1:.3f} ({low:.3f} – {high:.3f})" in line
        assert f"| {row.scores.clips} | {row.intervals.people} |" in line
    assert "This very network was not tested so, and this file was not: the scores are of networks in float32" in card


@pytest.mark.parametrize(
    ("config", "store", "words"),
    [
        (CONFIG, "1f", "differs in store"),
        (dataclasses.replace(CONFIG, labels="megc3"), "0f", "differs in labels"),
        (dataclasses.replace(CONFIG, model=ModelConfig(input_size=48)), "0f", "differs in model"),
    ],
)
def test_scores_of_another_experiment_are_not(evaluated, config, store, words):
    with pytest.raises(InputError, match=words):
        read_score(evaluated[0], Checkpoint(None, config, LABELS, 40, {"store": store}))


def test_no_evaluation(tmp_path):
    with pytest.raises(InputError, match="must be a finished run of affnet evaluate"):
        read_score(tmp_path, checkpoint())


def clip(subject, number, fps):
    return StoredClip("casme2", subject, f"{subject}/{number}", "surprise", "frames", 9, 1, 4, 9, fps, ())


def test_the_origin_is_counted_from_the_store():
    clips = [clip("sub01", 1, 200.0), clip("sub01", 2, 200.0), clip("sub02", 1, 60.0), clip("sub03", 1, None)]
    parts = {
        "casme2": {"synthetic": True, "settings": {"detector": "none", "magnify": 0.0}},
        "samm": {
            "synthetic": True,
            "settings": {"detector": "mtcnn", "margin": 0.1, "magnify": 4.0, "band": [1.0, 10.0]},
        },
    }
    store = Store("store", tuple(clips), (), 40, {"parts": parts})
    origin = store_origin(store, clips, 2)
    assert dataclasses.replace(origin, crops=()) == Origin({"casme2": 4}, 3, 2, 200.0, True)
    assert "The frames were face crops already; each axis was resized by itself." in origin.crops
    magnified = next(words for words in origin.crops if "eyes are level" in words)
    assert "a margin of 0.1 " in magnified
    assert "1 to 10 Hz was magnified, factor 4" in magnified
    card = model_card(recipe("float32"), METADATA, origin, VERIFICATION, ("calibrated on few",))
    assert "casme2 (4 clips) of 3 people; 2 more were held out. 200 frames per second" in card
    assert "**Synthetic.**" in card
    assert "- calibrated on few" in card
    assert "| `classify` | 0.012 | 98.0% | 0.750 (0.800) |" in card
    assert "181 KB, 93 KB compressed" in card
    assert "gives 98.0% of the clips that verified it the label of the network in float32, and 0.750 of them" in card
    assert "in float32, 0.800: a change of -0.050." in card
    assert "None is known" in card


def test_fine_tuning_is_told():
    tuned = {
        "steps": 54,
        "images": 96,
        "training": {"before": 0.9, "after": 0.95},
        "held_out": {"before": 0.5, "after": 0.25},
        "sparsity": 0.5,
    }
    card = model_card(recipe("pruned_int8"), METADATA, Origin(), {**VERIFICATION, "fine_tuning": tuned}, ())
    assert "54 steps on 96 motion images" in card
    assert "0.900 and 0.950; on the clips above: 0.500 and 0.250." in card
    assert "50.0% of the weights" in card
    # Against the network as trained, not as fine-tuned.
    assert "the label of the fine-tuned network, and 0.750 of them the right one" in card
    assert "the network as trained, in float32, 0.500: a change of +0.250" in card
    unknown = {**VERIFICATION, "fine_tuning": {**tuned, "held_out": None}}
    card = model_card(recipe("pruned_int8"), METADATA, Origin(), unknown, ())
    assert "the label of the fine-tuned network; whether the labels are right is not known" in card


def test_every_layer_is_in_a_box_of_the_picture_and_no_box_covers_another():
    found = boxes(CONFIG.model, 3)
    text = "\n".join(line for box in found for line in box.lines)
    assert text.count("conv 11×11, ") == 3
    assert text.count("+\n") >= 3  # the exchange between streams
    assert (found[0].lines[0], found[-1].lines) == ("motion image", ["softmax", "3 probabilities"])
    for level in {box.level for box in found}:
        columns = sorted(box.column for box in found if box.level == level)
        assert np.all(np.diff(columns) >= 1 - 1e-9)
    for box in found:
        assert all(found[place].level < box.level for place in box.sources)
    assert draw_graph(CONFIG.model, 3, "x")[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("network", ["learnet", "ststnet", "mobilenetv3small", "logistic", "majority"])
def test_every_network_can_be_drawn(network):
    found = boxes(ModelConfig(network=network, input_size=32), 3)
    assert found[-1].level == max(box.level for box in found)
