"""Which clip comes when: passes over the training clips, in each of which every clip comes once, in a random order.

What is drawn for a clip in a pass depends on the seed, the pass and the clip's own id, never on which other clips there are. So
folds that differ in the clips they leave out see the same images in the same order, and an image can be made once for all of
them; and a store with one more dataset in it changes nothing of an experiment on the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from affnet_tf.pipeline.warp import DRAWS

__all__ = ["one_pass", "picks"]

_STEPS = 2**24  # as fine as float32 is in [0.5, 1)


def picks(names: Sequence[str], seed: int, size: int, skip: int = 0) -> tf.data.Dataset:
    """Clips in batches, without end; the same whenever it is iterated.

    Args:
        names: what the clips are called, each by a name of its own; at least one.
        seed: together with a clip's name and the number of the pass, it decides when the clip comes, and its random numbers.
        size: picks in a batch.
        skip: batches to leave out at the start.

    Returns:
        Batches of int64 (B,), places of clips in ``names``; int64 (B,), a number that no other clip or pass has; float32
        (B, 6) in [0, 1), the random numbers of ``pipeline.warp``.
    """
    begun, skipped = divmod(skip * size, len(names))

    def rest(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        drawn = one_pass(number, tf.constant(seed, tf.int64), tf.constant(names))
        return tuple(each[tf.where(number == begun, skipped, 0) :] for each in drawn)

    return tf.data.Dataset.counter(start=begun).map(rest).rebatch(size, drop_remainder=True)


@tf.function(
    input_signature=[tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.string)]
)
def one_pass(number: tf.Tensor, seed: tf.Tensor, names: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """What ``picks`` gives in a pass, by its number int64 (), the seed int64 () and the names; traced once for all folds.

    TensorFlow's hash of strings is the same on every machine, and draws for all clips at once, which its generators do only
    for clips in an order.
    """
    text = tf.strings.join([names, tf.as_string(number), tf.as_string(seed)], "\n")
    numbers = tf.strings.to_hash_bucket_fast(text, 2**62)
    clip = tf.argsort(numbers)
    each = tf.gather(text, clip)[:, None] + "\n" + tf.as_string(tf.range(DRAWS))
    random = tf.cast(tf.strings.to_hash_bucket_fast(each, _STEPS), tf.float32) / _STEPS
    return tf.cast(clip, tf.int64), tf.gather(numbers, clip), random
