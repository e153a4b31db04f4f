"""Which clip comes when: passes over the training clips, in each of which every clip comes once, in a random order.

A clip gets a number in each pass, by a hash of its own name, the pass and the seed: the order of the pass, and the key of all
that is drawn for the clip in it. It does not depend on which other clips there are. So folds that differ in the clips they
leave out see the same images in the same order, and an image can be made once for all of them; and a store with one more
dataset in it changes nothing of an experiment on the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

__all__ = ["CLIP", "FRAMES", "NOISE", "REVISION", "one_pass", "picks"]

REVISION = 2
"""Counts up when the same seed gives other images, or in another order."""

CLIP, FRAMES, NOISE = range(3)
"""The other half of a key, beside a clip's number, of what is drawn of its timing, for its frames, and for its pixels."""


def picks(names: Sequence[str], seed: int, size: int, skip: int = 0) -> tf.data.Dataset:
    """Clips in batches, without end; the same whenever it is iterated.

    Args:
        names: what the clips are called, each by a name of its own; at least one.
        seed: together with a clip's name and the pass, it decides the clip's number.
        size: picks in a batch.
        skip: batches to leave out at the start.

    Returns:
        Batches of int64 (B,), clips, as indices into ``names``, and int64 (B,), their numbers, in [0, 2^62).
    """
    begun, skipped = divmod(skip * size, len(names))

    def rest(passed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        drawn = one_pass(passed, tf.constant(seed, tf.int64), tf.constant(names))
        return tuple(each[tf.where(passed == begun, skipped, 0) :] for each in drawn)

    return tf.data.Dataset.counter(start=begun).map(rest).rebatch(size, drop_remainder=True)


@tf.function(
    input_signature=[tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.string)]
)
def one_pass(passed: tf.Tensor, seed: tf.Tensor, names: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A pass in its order, after ``passed`` others: clips, as indices into ``names``, and their numbers; int64 (N,) both.

    Traced once for all folds.

    TensorFlow's hash of strings is the same on every machine, and made for all clips at once.
    """
    text = tf.strings.join([names, tf.as_string(passed), tf.as_string(seed)], "\n")
    numbers = tf.strings.to_hash_bucket_fast(text, 2**62)
    clip = tf.argsort(numbers)
    return tf.cast(clip, tf.int64), tf.gather(numbers, clip)
