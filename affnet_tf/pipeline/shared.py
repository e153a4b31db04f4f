"""One stream of images for several folds: since what is drawn for a clip does not depend on the fold, each is made once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from affnet_tf.config import ExperimentConfig
from affnet_tf.errors import InputError
from affnet_tf.pipeline.input import training_images
from affnet_tf.pipeline.mixup import draw, mix_targets
from affnet_tf.pipeline.order import one_pass
from affnet_tf.pipeline.reading import ClipReader

__all__ = ["shared_images", "shared_picks", "shared_targets", "span"]


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
) -> Iterator[tuple[np.ndarray | None, ...]]:
    """What belongs to the batches of several folds, and which images of one stream are theirs.

    The stream is ``shared_images`` of all their clips. With these images, mixed by the shares, the batches are those that
    ``training_batches`` gives each fold by itself.

    Args:
        clips: the experiment's clips by row.
        folds: of each of K folds, the loss weight of its clips by row.
        labels: label index by row, of all of them.
        classes: number of labels.
        config: augmentation and batch size.
        seed: of shuffling and augmentation.

    Yields:
        Without end: places of images in the stream, int64 (K, B); labels float32 (K, B, classes); weights float32 (K, B); the
        share of each image in its mixture with the next one, float32 (K, B), or None where none are mixed.

    Raises:
        InputError: a fold has no clip.
    """
    rows, size, alpha = sorted(set().union(*folds)), config.train.batch_size, config.augment.mixup
    label_of = np.eye(classes, dtype=np.float32)[[labels[row] for row in rows]]
    weight_of = np.array([[weights.get(row, 0.0) for row in rows] for weights in folds], np.float32)
    members = [np.searchsorted(rows, sorted(weights)) for weights in folds]
    for step, (clip, place) in enumerate(shared_picks(clips.names(rows), seed, size, members)):
        label, weight, share = label_of[clip], np.take_along_axis(weight_of, clip, axis=1), None
        if alpha:
            share = draw(alpha, seed, tf.constant(step, tf.int64), size)
            label, weight = (each.numpy() for each in mix_targets(label, weight, share))
            share = np.broadcast_to(share.numpy(), weight.shape)
        yield place, label, weight, share


def shared_picks(
    names: Sequence[str], seed: int, size: int, folds: Sequence[Sequence[int]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The picks of several folds, each of which takes some clips of one stream.

    Args:
        names: of the clips of the stream, which ``picks`` gives.
        seed: as for ``picks``.
        size: picks in a batch of a fold.
        folds: the clips of each of K folds, as indices into ``names``; at least one each.

    Yields:
        Without end, the batches that ``picks`` gives of the fold's clips alone: int64 (K, B), clips, as indices into ``names``;
        int64 (K, B), their places in the stream: how many clips came before.

    Raises:
        InputError: a fold has no clip.
    """
    if not all(map(len, folds)):
        raise InputError("training must have at least one clip. Received: a fold without")
    member = np.zeros((len(folds), len(names)), bool)
    for own, fold in zip(member, folds, strict=True):
        own[list(fold)] = True

    @functools.lru_cache(maxsize=256)
    def order(passed: int) -> np.ndarray:
        return one_pass(tf.constant(passed, tf.int64), tf.constant(seed, tf.int64), tf.constant(names))[0].numpy()

    @functools.lru_cache(maxsize=4 * len(folds))
    def picked(fold: int, passed: int) -> np.ndarray:
        clips = order(passed)
        places = np.flatnonzero(member[fold, clips])
        return np.stack([clips[places], passed * len(names) + places])

    def batch(fold: int, step: int) -> np.ndarray:
        passed, at = np.divmod(step * size + np.arange(size), len(folds[fold]))
        parts = range(passed[0], passed[-1] + 1)
        return np.concatenate([picked(fold, part)[:, at[passed == part]] for part in parts], axis=1)

    for step in itertools.count():
        clips, places = np.stack([batch(fold, step) for fold in range(len(folds))], axis=1)
        yield clips, places


def span(sizes: Sequence[int], stream: int, size: int, steps: int) -> int:
    """From the first to the last place that folds read in one step, counted in clips; an upper bound.

    Folds of fewer clips are ahead, by whole passes in the end.

    Args:
        sizes: number of clips of each fold.
        stream: number of clips of the stream.
        size: picks in a batch.
        steps: number of steps in all.
    """
    sizes, starts = np.array(sizes)[:, None], np.arange(steps)[None] * size
    first, last = starts // sizes, (starts + size - 1) // sizes
    return int((last.max(axis=0) - first.min(axis=0)).max() + 1) * stream
