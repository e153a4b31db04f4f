"""People who do not exist, moving by known facial action units, written in a real dataset's layout."""

from __future__ import annotations

from affnet_tf.datasets.synthetic.actions import ACTION_UNITS, action_field
from affnet_tf.datasets.synthetic.camera import Truth, render_clip
from affnet_tf.datasets.synthetic.face import Person, invent
from affnet_tf.datasets.synthetic.layouts import LAYOUTS
from affnet_tf.datasets.synthetic.nuisances import Nuisances
from affnet_tf.datasets.synthetic.paint import View
from affnet_tf.datasets.synthetic.performance import PROTOTYPES, Performance, perform
from affnet_tf.datasets.synthetic.takes import Take, film, person, plan
from affnet_tf.datasets.synthetic.writing import write_synthetic

__all__ = [
    "ACTION_UNITS",
    "LAYOUTS",
    "PROTOTYPES",
    "Nuisances",
    "Performance",
    "Person",
    "Take",
    "Truth",
    "View",
    "action_field",
    "film",
    "invent",
    "perform",
    "person",
    "plan",
    "render_clip",
    "write_synthetic",
]
