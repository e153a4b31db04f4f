"""Multiply-accumulates as TensorFlow counts them."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.framework import ops


def tensorflow_flops(model, size: int) -> int:
    """What TensorFlow's own statistics say of convolutions and matrix products, two for each multiply-accumulate."""
    function = tf.function(lambda x: model(x, training=False))
    graph = function.get_concrete_function(tf.TensorSpec((1, size, size, 3))).graph
    counted = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
    nodes = [op.node_def for op in graph.get_operations() if op.type in counted]
    return sum(ops.get_stats_for_node_def(graph, node, "flops").value for node in nodes)
