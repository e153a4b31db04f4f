"""People who do not exist, moving by known facial action units, written in a real dataset's layout."""

from __future__ import annotations

from affnet_tf.datasets.synthetic.actions import ACTION_UNITS, action_field
from affnet_tf.datasets.synthetic.camera import Truth, render_clip
from affnet_tf.datasets.synthetic.composite import COMPOSITE, Part, write_composite
from affnet_tf.datasets.synthetic.difficulty import Difficulty
from affnet_tf.datasets.synthetic.entries import Entry
from affnet_tf.datasets.synthetic.face import Person, invent
from affnet_tf.datasets.synthetic.layout import Form, Layout
from affnet_tf.datasets.synthetic.layouts import LAYOUTS
from affnet_tf.datasets.synthetic.nuisances import Nuisances
from affnet_tf.datasets.synthetic.paint import View
from affnet_tf.datasets.synthetic.performance import PROTOTYPES, Performance, perform
from affnet_tf.datasets.synthetic.planning import annotate, plan
from affnet_tf.datasets.synthetic.takes import Take, film, person, rehearse
from affnet_tf.datasets.synthetic.writing import write_synthetic

__all__ = [
    "ACTION_UNITS",
    "COMPOSITE",
    "LAYOUTS",
    "PROTOTYPES",
    "Difficulty",
    "Entry",
    "Form",
    "Layout",
    "Nuisances",
    "Part",
    "Performance",
    "Person",
    "Take",
    "Truth",
    "View",
    "action_field",
    "annotate",
    "film",
    "invent",
    "perform",
    "person",
    "plan",
    "rehearse",
    "render_clip",
    "write_composite",
    "write_synthetic",
]
