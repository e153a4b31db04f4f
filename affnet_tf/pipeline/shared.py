"""One stream of images for several folds: since what is drawn for a clip does not depend on the fold, each is made once."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from affnet_tf.config import ExperimentConfig
from affnet_tf.errors import InputError
from affnet_tf.pipeline.input import training_images
from affnet_tf.pipeline.mixup import draw, mix_targets
from affnet_tf.pipeline.order import one_pass
from affnet_tf.pipeline.reading import ClipReader

__all__ = ["shared_images", "shared_picks", "shared_targets", "window"]


def shared_images(clips: ClipReader, rows: Collection[int], config: ExperimentConfig, seed: int) -> tf.data.Dataset:
    """The stream: ``training_images`` of the clips ``rows``, endless batches float32 (B, S, S, 3)."""
    batches = training_images(clips, sorted(rows), config, seed)
    return batches.map(lambda images, _: images).prefetch(tf.data.AUTOTUNE)


def shared_targets(
    clips: ClipReader,
    folds: Sequence[Mapping[int, float]],
    labels: Mapping[int, int],
    classes: int,
    config: ExperimentConfig,
    seed: int,
) -> Iterator[tuple[np.ndarray, ...]]:
    """What belongs to the batches of several folds, and which images of one stream are theirs.

    The stream is ``shared_images`` of all their clips. With these images, mixed by the shares, the batches are those that
    ``training_batches`` gives each fold by itself.

    Args:
        clips: as for ``training_batches``.
        folds: of each of K folds, the loss weight of its clips by row.
        labels: label index by row, of all of them.
        classes: as for ``training_batches``.
        config: as for ``training_batches``.
        seed: as for ``training_batches``.

    Yields:
        Without end: places of images in the stream, int64 (K, B); labels float32 (K, B, classes); weights float32 (K, B); the
        share of each image in its mixture with the next one, float32 (K, B).
    """
    rows, size, alpha = sorted(set().union(*folds)), config.train.batch_size, config.augment.mixup
    label_of = np.eye(classes, dtype=np.float32)[[labels[row] for row in rows]]
    weight_of = np.array([[weights.get(row, 0.0) for row in rows] for weights in folds], np.float32)
    members = [np.searchsorted(rows, sorted(weights)) for weights in folds]
    for number, (clip, place) in enumerate(shared_picks(clips.names(rows), seed, size, members)):
        label, weight = label_of[clip], np.take_along_axis(weight_of, clip, axis=1)
        share = draw(alpha, seed, tf.constant(number, tf.int64), size).numpy()
        if alpha:
            label, weight = (each.numpy() for each in mix_targets(label, weight, share))
        yield place, label, weight, np.broadcast_to(share, weight.shape)


def shared_picks(
    names: Sequence[str], seed: int, size: int, folds: Sequence[Sequence[int]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The picks of several folds, each of which takes some clips of one stream.

    Args:
        names: of the clips of the stream, which ``picks`` gives.
        seed: as for ``picks``.
        size: picks in a batch of a fold.
        folds: the clips of each of K folds, as places in ``names``; at least one.

    Yields:
        Without end, the batches that ``picks`` gives of the fold's clips alone: int64 (K, B), places of clips in ``names``;
        int64 (K, B), how many clips of the stream came before.

    Raises:
        InputError: a fold has no clip.
    """
    if not all(map(len, folds)):
        raise InputError("training must have at least one clip. Received: a fold without")
    member = np.zeros((len(folds), len(names)), bool)
    for each, fold in zip(member, folds, strict=True):
        each[list(fold)] = True

    @functools.cache
    def order(number: int) -> np.ndarray:
        return one_pass(tf.constant(number, tf.int64), tf.constant(seed, tf.int64), tf.constant(names))[0].numpy()

    waiting, begun = [np.zeros((2, 0), np.int64) for _ in folds], [0 for _ in folds]
    while True:
        for fold, own in enumerate(member):
            while waiting[fold].shape[1] < size:
                clips = order(begun[fold])
                places = np.flatnonzero(own[clips])
                more = np.stack([clips[places], begun[fold] * len(names) + places])
                waiting[fold], begun[fold] = np.concatenate([waiting[fold], more], axis=1), begun[fold] + 1
        clips, places = np.stack([each[:, :size] for each in waiting], axis=1)
        yield clips, places
        waiting = [each[:, size:] for each in waiting]


def window(sizes: Sequence[int], stream: int, batch: int, steps: int) -> int:
    """How far apart in a stream of ``stream`` clips, counted in clips, two folds of ``sizes`` clips read in one step.

    Folds of fewer clips are ahead, by whole passes in the end. An upper bound.
    """
    sizes, starts = np.array(sizes)[:, None], np.arange(steps)[None] * batch
    first, last = starts // sizes, (starts + batch - 1) // sizes
    return int((last.max(axis=0) - first.min(axis=0)).max() + 1) * stream
