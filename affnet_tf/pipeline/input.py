"""From the clip store to batches, on the fly and in the graph: read, sample, pool, augment, normalise, batch.

Rank pooling is linear in the frames, and every spatial change here is linear in the pixels and the same for all frames of a
clip. So a clip is pooled first, and one image is warped instead of all its frames, with the same result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from affnet_tf.config import AugmentConfig, ExperimentConfig, MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.pipeline.mixup import mixup
from affnet_tf.pipeline.pool import scaled, signed_motion
from affnet_tf.pipeline.reading import ClipReader, LookUp, read_clips
from affnet_tf.pipeline.store import Store
from affnet_tf.pipeline.timing import draw as draw_timing
from affnet_tf.pipeline.timing import retime
from affnet_tf.pipeline.warp import draw, finish, moves, resize, warp

__all__ = ["check_representation", "load", "motion_images", "read_clips", "training_batches"]


def check_representation(store: Store, representation: str) -> None:
    """Raise if a clip of the store cannot be represented so: a ready-made motion image has no flow.

    Raises:
        InputError: naming the first such clip.
    """
    without = [clip for clip in store.clips if clip.kind == "image"] if representation == "flow" else []
    if without:
        raise InputError(
            f"motion.representation 'flow' must be made of frames. Received: {len(without)} clips that are one image, "
            f"such as {without[0].dataset} {without[0].clip_id!r}"
        )


def load(clips: ClipReader, config: ExperimentConfig) -> LookUp:
    """Read what training looks up into memory, if it fits: frames, or pooled images where no frame is changed.

    ``training_batches`` does it too. Under a distribution strategy it must have been done outside the strategy's scope.
    """
    if _temporal(config):
        return clips.frames
    return clips.signed(config.motion, None if moves(config.augment) else config.model.input_size)


def training_batches(
    clips: ClipReader,
    labels: Mapping[int, int],
    weights: Mapping[int, float],
    classes: int,
    config: ExperimentConfig,
    seed: int,
    skip: int = 0,
) -> tf.data.Dataset:
    """Endless batches of augmented motion images; the same for the same arguments, however they are interrupted.

    TensorFlow mixes its global seed into the order of the clips, so ``keras.utils.set_random_seed`` must have been called
    with the same seed too. Every pass over the dataset is the same.

    Args:
        clips: the store's clips by row; whether they are held in memory changes nothing but the speed.
        labels: label index by the clip's row in the store; clips that are not named are left out.
        weights: loss weight by row.
        classes: number of labels.
        config: motion, augmentation, input size and batch size.
        seed: of shuffling and augmentation.
        skip: number of batches that an interrupted run has consumed already.

    Returns:
        Batches of (motion images float32 (B, S, S, 3) in [0, 1], labels float32 (B, classes), one-hot unless clips are mixed,
        weights float32 (B,)).

    Raises:
        InputError: ``labels`` is empty.
    """
    if not labels:
        raise InputError("training must have at least one clip. Received: none")
    order = sorted(labels)
    columns = (
        tf.constant(order, tf.int64),
        tf.constant([labels[row] for row in order], tf.int64),
        tf.constant([weights[row] for row in order], tf.float32),
    )
    size = config.train.batch_size
    look_up = load(clips, config)
    changes = _changes(config.motion, config.augment, config.model.input_size, classes, seed)
    # Numbers are shuffled, not frames: the buffer holds every clip, so that each epoch has each of them once.
    numbers = tf.data.Dataset.from_tensor_slices(columns)
    # Shuffled inside a function, it begins anew with each pass: Keras looks at the first batch in a pass of its own, but not
    # under every backend, and not with one device as with several.
    picks = tf.data.Dataset.range(1).flat_map(
        lambda _: numbers.shuffle(len(order), seed=seed, reshuffle_each_iteration=True).repeat().skip(skip * size)
    )
    if look_up.many:
        batches = picks.batch(size, drop_remainder=True).map(lambda row, *rest: (*look_up.of(row), *rest))
    else:
        retimed = _retimed(clips, look_up, config, seed)
        numbered = tf.data.Dataset.zip(tf.data.Dataset.counter(start=skip * size), picks)
        clips_of = numbered.map(
            lambda step, pick: (*retimed(step, pick[0]), *pick[1:]),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        batches = clips_of.batch(size, drop_remainder=True)
    batches = tf.data.Dataset.zip(tf.data.Dataset.counter(start=skip), batches)
    batches = batches.map(
        lambda number, batch: changes(number, *batch), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def motion_images(
    clips: tf.data.Dataset, motion: MotionConfig, size: int, progress: Callable[[int], None] | None = None
) -> np.ndarray:
    """The motion image of every clip of the store, without augmentation.

    Args:
        clips: what ``read_clips`` gave.
        motion: how a clip is pooled.
        size: height and width of the images.
        progress: called with the number of clips done.

    Returns:
        float32 (N, size, size, 3) in [0, 1], in the order of the store.
    """

    def image(row: tf.Tensor, frames: tf.Tensor, flow: tf.Tensor) -> tf.Tensor:
        signed, ready = signed_motion(frames, flow, motion)
        return scaled(resize(signed, size), ready, motion)

    images = []
    for each in clips.map(image, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).as_numpy_iterator():
        images.append(each)
        if progress:
            progress(len(images))
    return np.stack(images)


def _temporal(config: ExperimentConfig) -> bool:
    augment = config.augment
    changed = augment.jitter or augment.drop or augment.speed or augment.lighting
    return config.motion.representation == "motion" and bool(changed)


def _retimed(clips: ClipReader, look_up: LookUp, config: ExperimentConfig, seed: int) -> Callable:
    """From a clip's number in the training and its row to its image before it is scaled, and whether it came ready-made."""
    if not _temporal(config):
        return lambda step, row: look_up.of(row)

    @tf.function
    def retimed(step: tf.Tensor, row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        frames = look_up.of(row)
        frames = retime(frames, config.augment, draw_timing(seed, step, tf.shape(frames)[0]))
        return signed_motion(frames, None, config.motion)

    return clips.functions.setdefault((config.motion, config.augment, seed), retimed)


@functools.lru_cache(maxsize=16)
def _changes(motion: MotionConfig, augment: AugmentConfig, size: int, classes: int, seed: int) -> Callable:
    """What is done to a batch of pooled images: one function for all folds, since tracing it takes longer than an epoch."""

    @tf.function
    def changes(
        number: tf.Tensor, signed: tf.Tensor, ready: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        random = draw(seed, number, signed.shape[0])
        warped = warp(signed, size, augment, random, vectors=motion.representation == "flow")
        images = finish(scaled(warped, ready, motion), augment, random, seed, number)
        labels = tf.one_hot(labels, classes)
        return (
            mixup(images, labels, weights, augment.mixup, seed, number) if augment.mixup else (images, labels, weights)
        )

    return changes
