"""The networks to beat, as lists of nodes, and two floors that every network must clear.

A motion image (B, S, S, 3) in [0, 1] goes in, logits (B, classes) come out, as with AffectiveNet, so that training,
checkpoints, ``describe`` and export treat all alike. All see the image centred, and all share AffectiveNet's momentum of
batch normalisation. What else is our reading is a table in ``docs/architecture.md``.
"""

from __future__ import annotations

from affnet_tf.config import ModelConfig
from affnet_tf.models.nodes import CHANNELS, INPUT, Node, Wiring, logits_node

__all__ = [
    "learnet_nodes",
    "logistic_nodes",
    "majority_nodes",
    "offapexnet_nodes",
    "originet_nodes",
    "ststnet_nodes",
]


def learnet_nodes(config: ModelConfig, classes: int) -> list[Node]:
    """LEARNet (Verma, Vipparthi, Singh, Murala, IEEE TIP 29, 2020, arXiv 1904.09410); 112×112 in the paper.

    After a first convolution four branches of 16@1×1, 32@3×3, 64@5×5, every convolution with stride 2. The second branch
    takes up the first by addition after its first and its second convolution, and the fourth the third. 1,867,528
    parameters for 8 classes at 112×112, statistics of batch normalisation included, as published.

    Args:
        config: ``input_size`` and ``dropout`` (0.5 in the paper).
        classes: number of labels.
    """
    net = Wiring()
    first = net.conv_relu("first", net.centre(), 16, 3, 2)
    branches: list[str] = []
    neighbour: list[str] = []
    for branch in range(1, 5):
        source, own = first, []
        for step, (filters, kernel) in enumerate(((16, 1), (32, 3), (64, 5)), start=1):
            name = f"branch{branch}_step{step}"
            source = net.conv_relu(name, source, filters, kernel, 2)
            own.append(source)
            if branch % 2 == 0 and step < 3:
                source = net.norm(f"{name}_norm", net.add(f"{name}_add", "Add", neighbour[step - 1], source))
        branches.append(source)
        neighbour = own
    joined = net.norm("joined_norm", net.add("joined", "Concatenate", *branches))
    source = net.add("flatten", "Flatten", net.conv_relu("second", joined, 256, 3, 2))
    return net.classify(net.dense_relu("hidden", source, 256), classes, config.dropout)


def originet_nodes(config: ModelConfig, classes: int) -> list[Node]:
    """OrigiNet (Verma, Vipparthi, Singh, IJCNN 2020, arXiv 2005.07991); 128×128 in the paper.

    Three stages of a 3×3 and a 5×5 convolution of stride 2, with 16, 32, 64 channels, added and normalised. The head is a
    3×3 convolution to 96 channels of the last normalised sum and a 5×5 one of the same sum before it was normalised, each
    flattened into 128 units; the two are concatenated. Activation: RReLU(x) = sigmoid(x) · (1 + LeakyReLU(x)), slope 0.1.
    1,873,608 parameters for 8 classes at 128×128.

    Args:
        config: ``input_size``.
        classes: number of labels.
    """
    net = Wiring()
    normed = net.centre()
    added = normed
    for stage, filters in enumerate((16, 32, 64), start=1):
        fine = _rrelu_conv(net, f"fine{stage}", normed, filters, 3)
        coarse = _rrelu_conv(net, f"coarse{stage}", normed, filters, 5)
        added = net.add(f"stage{stage}_add", "Add", fine, coarse)
        normed = net.norm(f"stage{stage}_norm", added)
    heads = []
    for name, source, kernel in (("fine4", normed, 3), ("coarse4", added, 5)):
        flat = net.add(f"{name}_flatten", "Flatten", _rrelu_conv(net, name, source, 96, kernel))
        heads.append(net.add(f"{name}_dense", "Dense", flat, units=128))
    return net.classify(net.add("heads", "Concatenate", *heads), classes)


def ststnet_nodes(config: ModelConfig, classes: int) -> list[Node]:
    """STSTNet (Liong, Gan, See, Khor, Huang, FG 2019, arXiv 1902.03634); optical flow (u, v, strain), 28×28 in the paper.

    Three streams of one 3×3 convolution, with 3, 5 and 8 filters, ReLU, batch normalisation, a 3×3 maximum with stride 3
    and dropout; concatenated (10×10×16), averaged in 2×2 squares (5×5×16), flattened into 400 numbers, classified. 1,715
    parameters for 3 classes at 28×28.

    Args:
        config: ``input_size`` and ``dropout`` (0.5 in the authors' code).
        classes: number of labels.
    """
    net = Wiring()
    centred = net.centre()
    streams = []
    for filters in (3, 5, 8):
        name = f"stream{filters}"
        source = net.norm(f"{name}_norm", net.conv_relu(name, centred, filters, 3))
        source = net.add(f"{name}_pool", "MaxPooling2D", source, pool_size=3, strides=3, padding="same")
        if config.dropout:
            source = net.add(f"{name}_dropout", "Dropout", source, rate=config.dropout)
        streams.append(source)
    joined = net.add("streams", "Concatenate", *streams)
    pooled = net.add("pool", "AveragePooling2D", joined, pool_size=2, strides=2)
    return net.classify(net.add("flatten", "Flatten", pooled), classes)


def offapexnet_nodes(config: ModelConfig, classes: int) -> list[Node]:
    """OFF-ApexNet (Gan, Liong, Yau, Huang, Tan, Signal Processing: Image Communication 74, 2019, arXiv 1805.08699).

    Two streams on the optical flow's u and v, 28×28 in the paper: 6@5×5, 2×2 maximum, 16@5×5, 2×2 maximum; flattened,
    concatenated (1,568 numbers), two dense layers of 1,024. The third channel, the strain, is not read. 2,664,475
    parameters for 3 classes at 28×28.

    Args:
        config: ``input_size`` and ``dropout`` (0.5) after each dense layer.
        classes: number of labels.
    """
    net = Wiring()
    size = config.input_size
    # Stock layers crop places, not channels: the channels are turned to the front, and back again.
    turned = net.add("turned", "Permute", net.centre(), dims=(3, 1, 2))
    streams = []
    for index, name in enumerate(("u", "v")):
        crop = ((index, CHANNELS - 1 - index), (0, 0))
        source = net.add(f"{name}_only", "Cropping2D", turned, cropping=crop)
        source = net.add(name, "Reshape", source, target_shape=(size, size, 1))
        for step, filters in enumerate((6, 16), start=1):
            source = net.conv_relu(f"{name}{step}", source, filters, 5)
            source = net.add(f"{name}{step}_pool", "MaxPooling2D", source, pool_size=2, strides=2)
        streams.append(net.add(f"{name}_flatten", "Flatten", source))
    source = net.dense_relu("hidden1", net.add("streams", "Concatenate", *streams), 1024)
    if config.dropout:
        source = net.add("hidden1_dropout", "Dropout", source, rate=config.dropout)
    return net.classify(net.dense_relu("hidden2", source, 1024), classes, config.dropout)


def logistic_nodes(config: ModelConfig, classes: int) -> list[Node]:
    """Multinomial logistic regression on the motion image, averaged in 4×4 squares: the first floor.

    A convex problem, begun at 0. Its L2 penalty is the optimizer's weight decay, ``train.weight_decay``. 588 · classes +
    classes parameters at 56×56.

    Args:
        config: ``input_size``.
        classes: number of labels.
    """
    net = Wiring()
    pooled = net.add("pool", "AveragePooling2D", net.centre(), pool_size=4, strides=4)
    flat = net.add("flatten", "Flatten", pooled)
    return [*net.nodes, logits_node(flat, classes, kernel_initializer="zeros")]


def majority_nodes(config: ModelConfig, classes: int) -> list[Node]:
    """The same answer to every image: the second floor. Its logits are a bias alone, since the image is multiplied by 0.

    Before training all classes are alike. ``networks.set_frequencies`` sets the bias to what it is for: the frequencies of
    the training labels. Gradient steps with class weights would end at equal probabilities instead.

    Args:
        config: ``input_size``.
        classes: number of labels.
    """
    net = Wiring()
    pooled = net.add("pool", "GlobalAveragePooling2D", INPUT)
    nothing = net.add("nothing", "Rescaling", pooled, scale=0.0)
    return [*net.nodes, logits_node(nothing, classes, kernel_initializer="zeros")]


def _rrelu_conv(net: Wiring, name: str, source: str, filters: int, kernel: int) -> str:
    conv = net.add(f"{name}_conv", "Conv2D", source, filters=filters, kernel_size=kernel, strides=2, padding="same")
    gate = net.add(f"{name}_gate", "Activation", conv, activation="sigmoid")
    leaky = net.add(f"{name}_leaky", "ReLU", conv, negative_slope=0.1)
    return net.add(f"{name}_rrelu", "Add", gate, net.add(f"{name}_product", "Multiply", gate, leaky))
