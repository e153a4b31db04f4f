"""From the clip store to batches, on the fly and in the graph: read, sample, pool, augment, normalise, batch.

Rank pooling is linear in the frames, and every spatial change here is linear in the pixels and the same for all frames of a
clip. So a clip is pooled first, and one image is warped instead of all its frames, with the same result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from affnet_tf.config import AugmentConfig, ExperimentConfig, MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.pipeline.mixup import draw as draw_shares
from affnet_tf.pipeline.mixup import mix, mix_targets
from affnet_tf.pipeline.order import picks
from affnet_tf.pipeline.pool import scaled, signed_motion
from affnet_tf.pipeline.reading import ClipReader, LookUp, read_clips
from affnet_tf.pipeline.store import Store
from affnet_tf.pipeline.timing import draw as draw_timing
from affnet_tf.pipeline.timing import retime
from affnet_tf.pipeline.warp import draw, finish, moves, resize, warp

__all__ = [
    "check_representation",
    "load",
    "motion_images",
    "read_clips",
    "training_batches",
    "training_images",
]


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

    Args:
        clips: the experiment's clips by row; whether they are held in memory changes nothing but the speed.
        labels: label index by the clip's row in the store; clips that are not named are left out.
        weights: loss weight by row.
        classes: number of labels.
        config: motion, augmentation, input size and batch size.
        seed: of shuffling and augmentation: what is done to a clip when it comes for the k-th time is a function of the seed,
            of k, and of the clip.
        skip: number of batches that an interrupted run has consumed already.

    Returns:
        Batches of (motion images float32 (B, S, S, 3) in [0, 1], labels float32 (B, classes), one-hot unless clips are mixed,
        weights float32 (B,)).

    Raises:
        InputError: ``labels`` is empty.
    """
    if not labels:
        raise InputError("training must have at least one clip. Received: none")
    rows, size, alpha = sorted(labels), config.train.batch_size, config.augment.mixup
    label_of = np.eye(classes, dtype=np.float32)[[labels[row] for row in rows]]
    weight_of = np.array([weights[row] for row in rows], np.float32)

    def joined(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images, clip = batch
        label, weight = tf.gather(label_of, clip), tf.gather(weight_of, clip)
        if not alpha:
            return images, label, weight
        share = draw_shares(alpha, seed, step, size)
        return mix(images, share), *mix_targets(label, weight, share)

    batches = training_images(clips, rows, config, seed, skip)
    batches = batches.enumerate(start=skip).map(joined, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def training_images(
    clips: ClipReader, rows: Sequence[int], config: ExperimentConfig, seed: int, skip: int = 0
) -> tf.data.Dataset:
    """The images of ``training_batches``, before they are mixed.

    Args:
        clips: the experiment's clips by row.
        rows: the rows of those that are trained on.
        config: motion, augmentation, input size and batch size.
        seed: of shuffling and augmentation.
        skip: number of batches to leave out at the start.

    Returns:
        Endless batches of (motion images float32 (B, S, S, 3) in [0, 1]; clips, as indices into ``rows``, int64 (B,)).
    """
    size, motion = config.train.batch_size, config.motion
    look_up = load(clips, config)
    changes = _changes(motion, config.augment, config.model.input_size)
    row_of = tf.constant(rows, tf.int64)
    batches = picks(clips.names(rows), seed, size, skip)
    if look_up.many:
        batches = batches.map(lambda clip, number: (clip, *look_up.of(tf.gather(row_of, clip)), number))
    else:
        retimed = _retimed(clips, look_up, config)
        each = batches.unbatch().map(
            lambda clip, number: (clip, *retimed(tf.gather(row_of, clip), number), number),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        batches = each.batch(size, drop_remainder=True)
    return batches.map(
        lambda clip, *rest: (changes(*rest), clip), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


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


def _retimed(clips: ClipReader, look_up: LookUp, config: ExperimentConfig) -> Callable:
    """From a clip's row and its number to its image before it is scaled, and whether it came ready-made."""
    if not _temporal(config):
        return lambda row, number: look_up.of(row)

    @tf.function
    def retimed(row: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        frames = look_up.of(row)
        frames = retime(frames, config.augment, draw_timing(number, tf.shape(frames)[0]))
        return signed_motion(frames, None, config.motion)

    return clips.functions.setdefault((config.motion, config.augment), retimed)


@functools.lru_cache(maxsize=16)
def _changes(motion: MotionConfig, augment: AugmentConfig, size: int) -> Callable:
    """What is done to a batch of pooled images: one function for all folds, since tracing it takes longer than an epoch."""

    @tf.function
    def changes(signed: tf.Tensor, ready: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        random = draw(numbers)
        warped = warp(signed, size, augment, random, vectors=motion.representation == "flow")
        return finish(scaled(warped, ready, motion), augment, random, numbers)

    return changes
