"""The networks by name, as lists of nodes. No framework is imported here, so that describing a network starts none."""

from __future__ import annotations

from collections.abc import Callable

from affnet_tf.config import ModelConfig
from affnet_tf.models.baselines import (
    learnet_nodes,
    logistic_nodes,
    majority_nodes,
    offapexnet_nodes,
    originet_nodes,
    ststnet_nodes,
)
from affnet_tf.models.mobilenetv3 import mobilenetv3small_nodes
from affnet_tf.models.nodes import Node, nodes

__all__ = ["network_nodes"]

_NODES: dict[str, Callable[[ModelConfig, int], list[Node]]] = {
    "affectivenet": nodes,
    "learnet": learnet_nodes,
    "originet": originet_nodes,
    "ststnet": ststnet_nodes,
    "offapexnet": offapexnet_nodes,
    "mobilenetv3small": mobilenetv3small_nodes,
    "logistic": logistic_nodes,
    "majority": majority_nodes,
}


def network_nodes(config: ModelConfig, classes: int) -> list[Node]:
    """The network that ``config.network`` names as one list of stock layers, in the order of computation.

    Raises:
        InputError: ``classes`` is below 2.
    """
    return _NODES[config.network](config, classes)
