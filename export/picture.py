"""A picture of the network's graph, from its list of nodes: what follows a layer at once is drawn in the layer's box."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

from affnet_tf.config import ModelConfig
from affnet_tf.models.catalogue import network_nodes
from affnet_tf.models.describe import describe
from affnet_tf.models.nodes import INPUT, Node

__all__ = ["Box", "boxes", "draw_graph"]

# What has no weights of its own worth a box, or belongs to the convolution before it.
_ATTACHED = {
    "BatchNormalization": "BN",
    "ReLU": "ReLU",
    "Activation": "activation",
    "Dropout": "dropout",
    "Flatten": "flatten",
}
_COLOURS = {
    "Conv2D": "#cfe3f5",
    "DepthwiseConv2D": "#dcebd3",
    "Dense": "#f6dfc5",
    "Add": "#e8e0f2",
    "Concatenate": "#e8e0f2",
}
_OTHER = "#eeeeee"


@dataclasses.dataclass
class Box:
    """A box of the picture.

    Attributes:
        kind: of the layer that gives it its colour.
        lines: of text.
        sources: numbers of the boxes that it reads.
        level: how many boxes lie before it on the longest way from the input.
        column: its place from left to right; the middle is 0.
    """

    kind: str
    lines: list[str]
    sources: list[int]
    level: int = 0
    column: float = 0.0


def boxes(config: ModelConfig, classes: int) -> list[Box]:
    """The boxes of a network, in the order of computation; the first is the motion image, the last the softmax."""
    nodes = network_nodes(config, classes)
    shapes = {row.name: "×".join(map(str, row.shape)) for row in describe(config, classes).layers}
    readers = {name: sum(name in node.inputs for node in nodes) for name in [INPUT, *(node.name for node in nodes)]}
    found = [Box(INPUT, ["motion image", f"{config.input_size}×{config.input_size}×3"], [])]
    place_of, last = {INPUT: 0}, {0: INPUT}
    for node in nodes:
        source = node.inputs[0]
        place = place_of[source]
        if node.kind in _ATTACHED and readers[source] == 1 and place and last[place] == source:
            found[place].lines[-1:] = [_ATTACHED[node.kind], shapes[node.name]]
        else:
            place = len(found)
            sources = [place_of[name] for name in node.inputs]
            found.append(Box(node.kind, [_text(node), shapes[node.name]], sources))
        place_of[node.name], last[place] = place, node.name
    found.append(Box("Softmax", ["softmax", f"{classes} probabilities"], [len(found) - 1]))
    for box in found[1:]:
        box.lines = [box.lines[0], " + ".join(box.lines[1:-1]), box.lines[-1]] if len(box.lines) > 2 else box.lines
        box.level = 1 + max(found[place].level for place in box.sources)
    _spread(found)
    return found


def draw_graph(config: ModelConfig, classes: int, title: str) -> bytes:
    """The picture, a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    found = boxes(config, classes)
    width = max(max(abs(box.column) for box in found) * 2 + 1.2, 3)
    height = max(box.level for box in found) + 1
    figure = Figure(figsize=(1.75 * width, 0.8 * height + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for box in found:
        for place in box.sources:
            source = found[place]
            axes.annotate(
                "",
                (box.column, -box.level + 0.33),
                (source.column, -source.level - 0.33),
                arrowprops={"arrowstyle": "-|>", "color": "#777777", "lw": 0.8, "shrinkA": 0, "shrinkB": 0},
                zorder=1,
            )
    for box in found:
        patch = FancyBboxPatch(
            (box.column - 0.45, -box.level - 0.3),
            0.9,
            0.6,
            boxstyle="round,pad=0.02,rounding_size=0.06",
            facecolor=_COLOURS.get(box.kind, _OTHER),
            edgecolor="#555555",
            linewidth=0.8,
            zorder=2,
        )
        axes.add_patch(patch)
        text = "\n".join(line for line in box.lines if line)
        axes.text(box.column, -box.level, text, ha="center", va="center", fontsize=7.5, linespacing=1.15, zorder=3)
    axes.set_xlim(-width / 2, width / 2)
    axes.set_ylim(-height + 0.4, 0.6)
    axes.axis("off")
    axes.set_title(title, fontsize=10)
    buffer = io.BytesIO()
    # Without the date and the version, so that the same network gives the same file.
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def _text(node: Node) -> str:
    options = node.options
    kernel, stride = options.get("kernel_size"), options.get("strides", 1)
    step = f" /{stride}" if kernel and stride != 1 else ""
    if node.kind == "Conv2D":
        return f"conv {kernel}×{kernel}, {options['filters']}{step}"
    if node.kind == "DepthwiseConv2D":
        return f"depthwise {kernel}×{kernel}{step}"
    if node.kind == "Dense":
        return f"dense {options['units']}"
    names = {"Add": "+", "Concatenate": "join", "Rescaling": "centre to [-1, 1]", "BatchNormalization": "BN"}
    return names.get(node.kind, node.kind)


def _spread(found: Sequence[Box]) -> None:
    """Columns: a box stands below those that it reads, and boxes that read the same one stand side by side."""
    levels: dict[int, list[Box]] = {}
    for box in found:
        levels.setdefault(box.level, []).append(box)
    for level in sorted(levels):
        row = levels[level]
        for box in row:
            box.column = sum(found[place].column for place in box.sources) / max(1, len(box.sources))
        # In their order of computation, which is that of the streams, where they would cover each other.
        order = sorted(range(len(row)), key=lambda place: (round(row[place].column, 3), place))
        columns = [row[place].column for place in order]
        for place in range(1, len(columns)):
            columns[place] = max(columns[place], columns[place - 1] + 1)
        shift = (columns[0] + columns[-1]) / 2 - sum(row[place].column for place in order) / len(row)
        for place, column in zip(order, columns, strict=True):
            row[place].column = column - shift
