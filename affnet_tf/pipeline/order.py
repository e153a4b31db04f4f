"""Which clip comes when: passes over the training clips, in each of which every clip comes once, in a random order.

What is drawn for a clip in a pass depends on the seed, the pass and the clip's own id, never on which other clips there are. So
folds that differ in the clips they leave out see the same images in the same order, and an image can be made once for all of
them; and a store with one more dataset in it changes nothing of an experiment on the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from affnet_tf.pipeline.warp import DRAWS

__all__ = ["picks", "window"]

_STEPS = 2**24  # as fine as float32 is in [0.5, 1)


def picks(names: Sequence[str], seed: int, first: int = 0, members: Sequence[int] | None = None) -> tf.data.Dataset:
    """The clips of a stream, one after the other, without end; the same whenever it is iterated.

    Args:
        names: what the clips of the stream are called, each by a name of its own.
        seed: together with a clip's name and the number of the pass, it decides when the clip comes, and its random numbers.
        first: picks to leave out at the start.
        members: the clips that are picked, as places in ``names``, at least one; by default all.

    Returns:
        Elements of int64 (), the clip's place in ``names``; int64 (), how many clips of the stream came before it, whether
        picked or not; int64 (), a number that no other clip or pass has; float32 (6,) in [0, 1), the random numbers of
        ``pipeline.warp``.
    """
    member = np.zeros(len(names), bool)
    member[slice(None) if members is None else list(members)] = True
    begun, skipped = divmod(first, int(member.sum()))

    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        drawn = _one_pass(number, tf.constant(seed, tf.int64), tf.constant(names), tf.constant(member))
        return tf.data.Dataset.from_tensor_slices(drawn)

    return tf.data.Dataset.counter(start=begun).flat_map(one_pass).skip(skipped)


def window(sizes: Sequence[int], stream: int, batch: int, steps: int) -> int:
    """How far apart in a stream of ``stream`` clips, counted in clips, two folds of ``sizes`` clips read in one step.

    Folds of fewer clips are ahead, by whole passes in the end. An upper bound.
    """
    sizes, starts = np.array(sizes)[:, None], np.arange(steps)[None] * batch
    first, last = starts // sizes, (starts + batch - 1) // sizes
    return int((last.max(axis=0) - first.min(axis=0)).max() + 1) * stream


@tf.function(
    input_signature=[
        tf.TensorSpec([], tf.int64),
        tf.TensorSpec([], tf.int64),
        tf.TensorSpec([None], tf.string),
        tf.TensorSpec([None], tf.bool),
    ]
)
def _one_pass(number: tf.Tensor, seed: tf.Tensor, names: tf.Tensor, member: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """What ``picks`` gives in a pass; traced once for all folds.

    TensorFlow's hash of strings is the same on every machine, and draws for all clips at once, which its generators do only
    for clips in an order.
    """
    text = tf.strings.join([names, tf.as_string(number), tf.as_string(seed)], "\n")
    numbers = tf.strings.to_hash_bucket_fast(text, 2**62)
    order = tf.argsort(numbers)
    place = tf.where(tf.gather(member, order))[:, 0]
    clip = tf.gather(order, place)
    each = tf.gather(text, clip)[:, None] + "\n" + tf.as_string(tf.range(DRAWS))
    random = tf.cast(tf.strings.to_hash_bucket_fast(each, _STEPS), tf.float32) / _STEPS
    begun = number * tf.size(names, tf.int64)
    return tf.cast(clip, tf.int64), begun + place, tf.gather(numbers, clip), random
