"""Which weights a fit keeps: those of the best epoch, and averages."""

import keras
import numpy as np
import pytest
from fits import CONFIG, STEPS, Killed, Planted, batches, equal, network, weights
from small import images

from affnet_tf.config import replace
from affnet_tf.training.fit import Trainer


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """Fits in this module share one compiled step; every test resets it first."""
    return Trainer(network(), CONFIG, STEPS)


# Validation clips are all of class 0: the more the classifier says 0, the better. Epoch 1 is the best.
BIASES = [(1, 0, 0), (3, 0, 0), (2, 0, 0), (0, 9, 0), (0, 0, 0), (0, 0, 0)]
VALIDATION = (images(5, 32), np.eye(3, dtype=np.float32)[[0] * 5])
PATIENT = replace(CONFIG, epochs=6, patience=2, validation=0.2)


@pytest.fixture(scope="module")
def patient() -> Trainer:
    return Trainer(network(), PATIENT, STEPS)


def test_patience_keeps_the_best_epoch_by_validation_loss(patient, tmp_path):
    patient.reset()
    planted = Planted(BIASES)
    history = patient.fit(batches, VALIDATION, callbacks=[planted])
    assert len(history["val_loss"]) == 4, "epochs 2 and 3 are no better than 1"
    assert int(np.argmin(history["val_loss"])) == 1
    assert equal(weights(patient.model), planted.seen[1])


def test_an_epoch_that_is_best_on_other_data_is_not_taken(patient):
    """Class 1 is what a test subject shows; epoch 3 is perfect for it, and must not be chosen."""
    patient.reset()
    planted = Planted(BIASES)
    patient.fit(batches, VALIDATION, callbacks=[planted])
    other = VALIDATION[0]
    scores = []
    for saved in planted.seen:
        patient.model.set_weights(saved)
        scores.append(float(np.mean(np.argmax(patient.model.predict_on_batch(other), axis=-1) == 1)))
    assert scores == [0, 0, 0, 1]
    patient.reset()
    planted = Planted(BIASES)
    patient.fit(batches, VALIDATION, callbacks=[planted])
    assert equal(weights(patient.model), planted.seen[1])
    assert not equal(weights(patient.model), planted.seen[3])


def test_without_patience_the_last_epoch_stays(trainer):
    trainer.reset()
    planted = Planted(BIASES)
    history = trainer.fit(batches, VALIDATION, callbacks=[planted])
    assert len(history["val_loss"]) == 4
    assert equal(weights(trainer.model), planted.seen[3])


@pytest.mark.parametrize("killed", [1, 2, 3])
def test_patience_outlives_an_interruption(patient, tmp_path, killed):
    patient.reset()
    planted = Planted(BIASES)
    with pytest.raises(KeyboardInterrupt):
        patient.fit(batches, VALIDATION, state=tmp_path / "s.npz", callbacks=[planted, Killed(killed)])
    patient.reset()
    history = patient.fit(batches, VALIDATION, state=tmp_path / "s.npz", callbacks=[planted])
    assert len(history["val_loss"]) == 4
    assert equal(weights(patient.model), planted.seen[1])


class Watching(keras.callbacks.Callback):
    """Keeps the trainable weights after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[np.ndarray]] = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append([np.array(v) for v in self.model.trainable_variables])


AVERAGED = replace(CONFIG, ema=0.8)


@pytest.fixture(scope="module")
def averaged():
    trainer = Trainer(network(), AVERAGED, STEPS)
    watching = Watching()
    history = trainer.fit(batches, VALIDATION, callbacks=[watching])
    return trainer, watching, history, weights(trainer.model)


def test_the_average_of_the_weights_by_a_loop(averaged):
    trainer, watching, history, _ = averaged
    average = [value.astype(np.float64) for value in watching.seen[0]]
    for values in watching.seen[1:]:
        average = [0.8 * old + 0.2 * new for old, new in zip(average, values, strict=True)]
    for ours, theirs in zip(trainer.model.trainable_variables, average, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert not equal(watching.seen[-1], [np.array(v) for v in trainer.model.trainable_variables])
    loss = trainer.model.evaluate(*VALIDATION, batch_size=4, verbose=0, return_dict=True)["loss"]
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5), "what is validated is what is kept"


@pytest.mark.parametrize("killed", [1, 3])
def test_averaging_outlives_an_interruption(averaged, tmp_path, killed):
    trainer, _, history, final = averaged
    trainer.reset()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches, VALIDATION, state=tmp_path / "s.npz", callbacks=[Killed(killed)])
    trainer.reset()
    assert trainer.fit(batches, VALIDATION, state=tmp_path / "s.npz") == history
    assert equal(weights(trainer.model), final)


def test_the_best_epoch_of_averaged_weights():
    """Validation and the choice of the epoch are those of the averages, not of the weights that go on being trained."""
    trainer = Trainer(network(), replace(AVERAGED, epochs=6, patience=2, validation=0.2), STEPS)
    history = trainer.fit(batches, VALIDATION, callbacks=[Planted(BIASES)])
    loss = trainer.model.evaluate(*VALIDATION, batch_size=4, verbose=0, return_dict=True)["loss"]
    assert min(history["val_loss"]) == pytest.approx(loss, rel=1e-5)
