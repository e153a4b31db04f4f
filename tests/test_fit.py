import itertools
import math
import os

import keras
import numpy as np
import pytest
from fits import CONFIG, STEPS, Killed, Planted, batches, equal, network, weights
from small import SMALLEST, images

from affnet_tf.config import TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.models.affectivenet import affectivenet
from affnet_tf.training.fit import Trainer, balanced_weights

TRACES: list[int] = []


class Counting(keras.layers.Layer):
    """Passes its input on; its Python code runs once for each trace."""

    def call(self, inputs):
        TRACES.append(1)
        return inputs


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """Fits in this module share one compiled step; every test resets it first."""
    return Trainer(network(), CONFIG, STEPS)


@pytest.fixture(scope="module")
def reference(trainer):
    """The weights, optimizer state and history of an uninterrupted fit."""
    trainer.reset()
    history = trainer.fit(batches)
    return weights(trainer.model), [np.array(v) for v in trainer.model.optimizer.variables], history


@pytest.fixture(scope="module")
def restarted() -> Trainer:
    """What a process that is started again would make."""
    return Trainer(network(), CONFIG, STEPS)


def test_reset_gives_the_same_start_and_the_same_second_fit(trainer, reference):
    fresh = Trainer(network(), CONFIG, STEPS)
    trainer.reset()
    assert equal(weights(fresh.model), weights(trainer.model))
    states = [[np.array(v) for v in t.model.optimizer.variables] for t in (fresh, trainer)]
    assert equal(*states)
    assert not equal(weights(trainer.model), reference[0]), "a fit must change something"
    history = trainer.fit(batches)
    assert equal(weights(trainer.model), reference[0])
    assert equal([np.array(v) for v in trainer.model.optimizer.variables], reference[1])
    assert history == reference[2]
    assert len(history["loss"]) == len(history["accuracy"]) == CONFIG.epochs


def test_the_fit_learns():
    trainer = Trainer(network(dropout=0.0), replace(CONFIG, epochs=15), STEPS)
    history = trainer.fit(lambda skip: (next(batches(i % 2)) for i in itertools.count(skip)))
    assert history["loss"][-1] < 0.75 * history["loss"][0]
    assert history["accuracy"][-1] == 1


def test_dropout_differs_from_step_to_step_and_returns_on_reset(trainer):
    states = [v for v in trainer.model.variables if "seed" in v.path]
    assert states, "the generator of dropout must be among the variables that reset sets"
    trainer.reset()
    start = [np.array(v) for v in states]
    trainer.fit(batches)
    assert not equal(start, [np.array(v) for v in states])
    trainer.reset()
    assert equal(start, [np.array(v) for v in states])


def test_the_second_fit_is_not_traced_again():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(Counting()(inputs))
    trainer = Trainer(keras.Model(inputs, keras.layers.Dense(3)(x)), TrainConfig(epochs=2, batch_size=4), STEPS)

    def small(skip):
        return ((x[:, :8, :8], y, w) for x, y, w in batches(skip))

    validation = (images(6, 8), np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]])
    TRACES.clear()
    trainer.fit(small, validation)
    trainer.model.predict_on_batch(validation[0][:4])
    first = len(TRACES)
    assert first > 0
    for _ in range(2):
        trainer.reset()
        trainer.fit(small, validation)
        trainer.model.predict_on_batch(validation[0][:4])
    assert len(TRACES) == first


@pytest.mark.parametrize("killed", [0, 2])
def test_interrupted_and_resumed_it_ends_with_the_same_weights(trainer, restarted, reference, tmp_path, killed):
    state = tmp_path / "state.npz"
    trainer.reset()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches, state=state, callbacks=[Killed(killed)])
    assert os.listdir(tmp_path) == ["state.npz"]
    restarted.reset()
    keras.utils.set_random_seed(999)
    skipped = []

    def resumed(skip):
        skipped.append(skip)
        return batches(skip)

    history = restarted.fit(resumed, state=state)
    assert skipped == [(killed + 1) * STEPS]
    assert equal(weights(restarted.model), reference[0])
    assert equal([np.array(v) for v in restarted.model.optimizer.variables], reference[1])
    assert history == reference[2]


def epoch_of(state):
    if not state.exists():
        return 0
    with np.load(state) as saved:
        return int(saved["epoch"])


@pytest.mark.parametrize(
    ("keep_seconds", "kept"), [(0, [1, 2, 3, 4]), (20, [0, 2, 2, 4]), (25, [0, 0, 3, 3]), (math.inf, [0] * 4)]
)
def test_a_state_is_kept_once_so_many_seconds_went_by_and_at_the_end(
    trainer, restarted, reference, tmp_path, monkeypatch, keep_seconds, kept
):
    """Each epoch takes ten seconds by the clock."""
    state, now, seen = tmp_path / "state.npz", [100.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def tick(batch, logs):
        now[0] += 10 / STEPS

    def look(epoch, logs):
        seen.append(epoch_of(state))

    clock = keras.callbacks.LambdaCallback(on_train_batch_end=tick, on_epoch_end=look)
    trainer.reset()
    trainer.fit(batches, state=state, keep_seconds=keep_seconds, callbacks=[clock])
    assert seen == kept
    assert epoch_of(state) == CONFIG.epochs
    restarted.reset()
    history = restarted.fit(lambda skip: pytest.fail("no epoch is left"), state=state)
    assert equal(weights(restarted.model), reference[0])
    assert history == reference[2]


def test_what_breaks_a_fit_off_in_an_epoch_keeps_the_one_before(trainer, restarted, reference, tmp_path):
    steps = []

    def interrupt(batch, logs):
        steps.append(batch)
        if len(steps) == 2 * STEPS + 1:
            raise KeyboardInterrupt

    trainer.reset()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(
            batches,
            state=tmp_path / "state.npz",
            keep_seconds=1e6,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)],
        )
    assert epoch_of(tmp_path / "state.npz") == 2
    restarted.reset()
    history = restarted.fit(batches, state=tmp_path / "state.npz")
    assert equal(weights(restarted.model), reference[0])
    assert equal([np.array(v) for v in restarted.model.optimizer.variables], reference[1])
    assert history == reference[2]


def test_that_a_state_cannot_be_kept_is_told_beside_what_ended_the_fit(trainer, tmp_path):
    folder, steps = tmp_path / "run", []
    folder.mkdir()

    def interrupt(batch, logs):
        steps.append(batch)
        if len(steps) == STEPS + 1:
            folder.rmdir()
            folder.write_text("in the way")
            raise KeyboardInterrupt

    trainer.reset()
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)
    with pytest.raises(KeyboardInterrupt) as told:
        trainer.fit(batches, state=folder / "state.npz", keep_seconds=1e6, callbacks=[clock])
    (note,) = told.value.__notes__
    assert note.startswith("the state after the last epoch could not be kept: ")
    assert str(folder) in note


@pytest.mark.parametrize("synchronous", [True, False])
def test_a_loss_that_is_not_finite_stops_the_fit_at_its_step(trainer, tmp_path, synchronous):
    """The first batch of the third epoch is the first bad one; the state of the second epoch stays, and can be gone on from."""
    trainer.reset()

    def poisoned(skip):
        for number, (x, y, w) in enumerate(batches(skip), skip):
            yield x, y, np.full_like(w, np.nan) if number == 2 * STEPS else w

    watching = [Planted([(0, 0, 0)] * 4)] if synchronous else []
    with pytest.raises(InputError) as error:
        trainer.fit(poisoned, state=tmp_path / "state.npz", callbacks=watching)
    rate = learning_rates(CONFIG, STEPS)[2 * STEPS]
    assert f"Received: nan in epoch 3, step 1 of 2, at a learning rate of {rate:.3g}" in str(error.value)
    assert os.listdir(tmp_path) == ["state.npz"]
    with np.load(tmp_path / "state.npz") as state:
        assert state["epoch"] == 2
        assert all(np.isfinite(state[name]).all() for name in state if name.startswith("now"))
    if not synchronous:
        trainer.reset()
        history = trainer.fit(batches, state=tmp_path / "state.npz")
        assert len(history["loss"]) == CONFIG.epochs


def test_progress_is_told_after_each_epoch(trainer, capfd):
    trainer.reset()
    seen = []
    history = trainer.fit(batches, progress=lambda *state: seen.append(state))
    assert [state[:2] for state in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[3][2] == f"loss {history['loss'][3]:.3f}, accuracy {history['accuracy'][3]:.3f}"
    assert capfd.readouterr().out == ""


def test_a_finished_state_is_not_trained_on(trainer, reference, tmp_path):
    trainer.reset()
    trainer.fit(batches, state=tmp_path / "state.npz")
    trainer.reset()
    history = trainer.fit(lambda skip: pytest.fail("no epoch is left"), state=tmp_path / "state.npz")
    assert equal(weights(trainer.model), reference[0])
    assert history == reference[2]


def test_a_state_of_another_network_is_refused(trainer, tmp_path):
    trainer.reset()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches, state=tmp_path / "state.npz", callbacks=[Killed(0)])
    other = Trainer(affectivenet(replace(SMALLEST, dense=9), 3), CONFIG, STEPS)
    with pytest.raises(InputError, match=r"training state .*state\.npz' must be of this network"):
        other.fit(batches, state=tmp_path / "state.npz")


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_damaged_state_is_refused(trainer, tmp_path, keep):
    trainer.reset()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches, state=tmp_path / "state.npz", callbacks=[Killed(0)])
    data = (tmp_path / "state.npz").read_bytes()
    (tmp_path / "state.npz").write_bytes(data[:keep])
    with pytest.raises(InputError, match=r"training state .*state\.npz' must be whole"):
        trainer.fit(batches, state=tmp_path / "state.npz")


def test_mixed_float16_can_be_reset():
    """Its optimizer is wrapped to scale the loss, and has variables of its own."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        trainer = Trainer(network(), replace(CONFIG, epochs=1), STEPS)
        start = weights(trainer.model)
        trainer.fit(batches)
        first = weights(trainer.model)
        trainer.reset()
        assert equal(weights(trainer.model), start)
        trainer.fit(batches)
        assert equal(weights(trainer.model), first)
        assert not equal(start, first)
    finally:
        keras.config.set_dtype_policy("float32")


def test_focal_loss_by_hand():
    """Each class's share of a smoothed cross-entropy, times (1 - p) to the power of gamma; then weighted by clip."""
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    trainer = Trainer(model, TrainConfig(epochs=1, batch_size=4, label_smoothing=0.3, focal_gamma=2.0), 1)
    x, y, w = next(batches())
    logits = np.array(model(x)).astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = -((0.7 * y + 0.3 / 3) * (1 - p) ** 2 * np.log(p)).sum(axis=1)
    assert trainer.fit(batches)["loss"][0] == pytest.approx((losses * w).mean(), rel=1e-4)


def test_balanced_weights_by_hand():
    """6 clips, 3 classes: 4, 1 and 1 of them; 6 / (3 * 4) = 0.5, 6 / (3 * 1) = 2."""
    np.testing.assert_allclose(balanced_weights([0, 0, 0, 0, 1, 2], 3), [0.5, 2, 2])
    np.testing.assert_allclose(balanced_weights([0, 0, 2, 2], 3), [1, 0, 1])
    np.testing.assert_allclose(balanced_weights([1], 2), [0, 1])
    labels = np.random.default_rng(0).integers(0, 4, 50)
    assert balanced_weights(labels, 4)[labels].mean() == pytest.approx(1)
    assert balanced_weights(labels, 4).dtype == np.float32


def learning_rates(config: TrainConfig, steps: int) -> list[float]:
    trainer = Trainer(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]), config, steps)
    rates = []
    for step in range(config.epochs * steps + 1):
        trainer.model.optimizer.iterations.assign(step)
        rates.append(float(trainer.model.optimizer.learning_rate))
    return rates


def test_schedule():
    peak = 0.2
    rates = learning_rates(TrainConfig(epochs=10, learning_rate=peak, warmup=0.1), 10)
    assert rates[0] == pytest.approx(0.01 * peak)
    assert rates[5] == pytest.approx((0.01 + 0.99 * 0.5) * peak)
    assert rates[10] == pytest.approx(peak)
    assert max(rates) == rates[10]
    assert rates[55] == pytest.approx((0.01 + 0.99 * 0.5) * peak, rel=1e-5), "half-way down the cosine"
    third = 10 + 30
    assert rates[third] == pytest.approx((0.01 + 0.99 * (1 + math.cos(math.pi / 3)) / 2) * peak, rel=1e-5)
    assert rates[100] == pytest.approx(0.01 * peak)


def test_schedule_without_warmup():
    rates = learning_rates(TrainConfig(epochs=2, learning_rate=0.5, warmup=0), 5)
    assert rates[0] == pytest.approx(0.5)
    assert rates == sorted(rates, reverse=True)
    assert rates[10] == pytest.approx(0.005)


def test_a_constant_rate():
    rates = learning_rates(TrainConfig(epochs=2, learning_rate=0.5, warmup=0, schedule="constant"), 5)
    assert rates == pytest.approx([0.5] * len(rates))
    rates = learning_rates(TrainConfig(epochs=2, learning_rate=0.5, warmup=0.4, schedule="constant"), 5)
    assert rates[2] == pytest.approx(0.005 + 0.495 / 2)
    assert rates[4:] == pytest.approx([0.5] * len(rates[4:]))


def test_weight_decay_spares_biases_and_normalisation():
    """With no gradient at all, AdamW shrinks a weight by 1 - rate · decay; biases, gammas and betas stay as they are."""
    config = TrainConfig(epochs=1, batch_size=4, learning_rate=0.5, warmup=0, weight_decay=0.1)
    trainer = Trainer(network(), config, 1)
    variables = trainer.model.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    trainer.model.optimizer.apply([keras.ops.zeros(v.shape) for v in variables], variables)
    assert {v.path.split("/")[-1] for v in variables} == {"kernel", "bias", "gamma", "beta"}
    for variable in variables:
        expected = 0.95 if variable.path.endswith("kernel") else 1.0
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-6, err_msg=variable.path)


def test_weights_of_clips_and_label_smoothing_enter_the_loss():
    """The loss of the first step, by hand: mean over the clips of weighted, smoothed cross-entropy."""
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    trainer = Trainer(model, TrainConfig(epochs=1, batch_size=4, label_smoothing=0.3), 1)
    x, y, w = next(batches())
    logits = np.array(model(x)).astype(np.float64)
    log = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    losses = -((0.7 * y + 0.3 / 3) * log).sum(axis=1)
    history = trainer.fit(batches)
    assert history["loss"][0] == pytest.approx((losses * w).mean(), rel=1e-4)
    assert history["loss"][0] != pytest.approx(losses.mean(), rel=1e-4)
