"""What the papers state of the networks and what is our reading: the tables of docs/architecture.md."""

from __future__ import annotations

import dataclasses

__all__ = ["CHOICES", "Choice", "choices_markdown"]


@dataclasses.dataclass(frozen=True)
class Choice:
    """A decision about the method: what was chosen, whether the paper states it, and the source or the reason.

    ``stated`` is ``in its code`` where the authors' published code shows it.
    """

    choice: str
    stated: str
    reason: str


_AFFECTIVENET = (
    Choice(
        "input: one affective-motion image per clip",
        "yes",
        "the abstract; surveys file the input as a dynamic image, that is approximate rank pooling",
    ),
    Choice(
        "weights `bilen` (sum to 0), over all frames from onset to offset",
        "no",
        "Bilen et al. 2016, the definition that the paper's line of work cites; the port whose weights sum to T is "
        "`published_port`",
    ),
    Choice(
        "one min-max over all channels to [0, 1]",
        "no",
        "as the published dynamic-image codes do; a still clip gives zeros",
    ),
    Choice("one crop per clip, from the onset frame", "no", "a crop per frame turns the detector's jitter into motion"),
    Choice("input 112×112×3", "no", "the size of LEARNet, by the same authors"),
    Choice("four streams", "yes", "the abstract: a four-stream CNN"),
    Choice(
        "kernels 3, 5, 7, 11",
        "no",
        "the abstract asks for coarse and tiny edge variations; the sizes are ours",
    ),
    Choice("widths 16, 32, 64, every stage of stride 2, same padding, ReLU", "no", "the habit of LEARNet and OrigiNet"),
    Choice(
        "streams exchange features by two-input additions: finer to coarser in odd stages, coarser to finer in even ones",
        "no",
        "LEARNet adds neighbouring branches; alternating keeps any two streams from becoming equal",
    ),
    Choice(
        "batch normalisation after the exchange (`affectivenet`) or before it (`affectivenet_edge`), momentum 0.9",
        "no",
        "after: LEARNet; before: it folds into the convolution when quantised; 0.9: small data trains for few steps",
    ),
    Choice(
        "MFL reads the map before and the map after the last convolution",
        "partly",
        "the abstract: two different intermediate convolutional layers; which ones is our reading, after OrigiNet's head",
    ),
    Choice(
        "each map: 1×1 convolution to 16 or 32 channels, flatten, dense 128; then concatenated",
        "no",
        "OrigiNet flattens two maps into dense 128 each; the 1×1 keeps the network below 2.5 M parameters",
    ),
    Choice("dropout 0.5 before the classifier", "no", "LEARNet"),
    Choice(
        "AdamW, cosine with warm-up, label smoothing 0.1, class weights, a fixed number of epochs and the last weights",
        "no",
        "ours; nothing is chosen on test subjects",
    ),
    Choice(
        "`affectivenet_edge`: input 96×96, a strided stem, depthwise kernels (7 and 11 as two small ones), two stages of "
        "widths 24, 32, dropout 0.2",
        "no",
        "ours, for phones: the same idea at a fraction of the cost",
    ),
)


_EVERYWHERE = (
    Choice(
        "the image from [0, 1] to [-1, 1] before the first layer",
        "no",
        "as in AffectiveNet, so that networks are compared and not their inputs",
    ),
    Choice("batch normalisation's momentum 0.9", "no", "as in AffectiveNet: small data trains for few steps"),
)

_LEARNET = (
    Choice(
        "every convolution of stride 2, same padding, ReLU; 16@3×3, four branches of 16@1×1, 32@3×3, 64@5×5, 256@3×3, "
        "dense 256, dropout 0.5; 112×112",
        "in its code",
        "the authors' code; 1,867,528 parameters for 8 classes",
    ),
    Choice(
        "the second branch adds the first, and the fourth the third, after their first and second convolution, and is "
        "normalised then; the first and third are not",
        "in its code",
        "the authors' code; the count also leaves 384 = 4 · (16 + 16 + 32 + 32) parameters for four such normalisations",
    ),
    Choice(
        "what is added are the neighbour's features before any addition of its own", "in its code", "the authors' code"
    ),
    *_EVERYWHERE,
)

_ORIGINET = (
    Choice(
        "a 3×3 and a 5×5 convolution of stride 2 a stage, 16, 32, 64 channels, added, then normalised; 128×128",
        "in its code",
        "the authors' code",
    ),
    Choice(
        "the head: 96@3×3 of the normalised sum, 96@5×5 of the sum before normalisation, each dense 128, concatenated",
        "in its code",
        "the authors' code",
    ),
    Choice("RReLU(x) = sigmoid(x) · (1 + LeakyReLU(x)), slope 0.1", "in its code", "the authors' code"),
    Choice("no activation and no dropout after the dense layers", "in its code", "the authors' code"),
    Choice("the affective-motion image as input", "no", "the paper has active images; here all networks see one image"),
    *_EVERYWHERE,
)

_STSTNET = (
    Choice(
        "optical flow (u, v, strain) from onset to apex, 28×28", "yes", "the abstract; the size from the authors' code"
    ),
    Choice(
        "three streams of 3, 5 and 8 filters of 3×3; 3×3 maximum, stride 3; 2×2 average, stride 2: 5×5×16 = 400 numbers",
        "in its code",
        "the authors' code",
    ),
    Choice(
        "the 400 numbers go to the classifier, without a dense layer of 400 units between",
        "partly",
        "the abstract counts two layers, and the authors' PyTorch code has none; some re-implementations add one "
        "(162,051 parameters in place of 1,651, for 3 classes)",
    ),
    Choice(
        "ReLU, then batch normalisation, before the maximum; dropout 0.5 after it",
        "partly",
        "the authors' PyTorch code, which reports UF1 0.7209",
    ),
    Choice("same padding of convolution and maximum", "partly", "28 → 28 → 10 → 5 as in the paper; the code pads by 2"),
    *_EVERYWHERE,
)

_OFFAPEXNET = (
    Choice(
        "optical flow (u, v) from onset to apex, one stream each, 28×28",
        "yes",
        "the abstract; the size as re-implementations",
    ),
    Choice(
        "each stream 6@5×5, 2×2 maximum, 16@5×5, 2×2 maximum; concatenated; dense 1,024 and 1,024",
        "partly",
        "re-implementations agree on it; no authors' code is public",
    ),
    Choice("same padding; ReLU after convolutions and dense layers", "no", "re-implementations differ"),
    Choice("dropout 0.5 after each dense layer", "no", "as re-implementations have it"),
    *_EVERYWHERE,
)

_MOBILENETV3SMALL = (
    Choice(
        "Table 2 of the paper, width 1, with squeeze-and-excite and hard swish", "yes", "not the minimalistic variant"
    ),
    Choice(
        "no weights of ImageNet", "no", "a motion image is no photograph; and networks are compared, not pretraining"
    ),
    Choice("dropout 0.2", "no", "as `keras.applications` has it"),
    *_EVERYWHERE,
)

_LOGISTIC = (
    Choice("the image averaged in 4×4 squares", "no", "a floor needs no more; fewer weights than one a pixel"),
    Choice(
        "weights begin at 0; the L2 penalty is `train.weight_decay`", "no", "convex: one optimum, whatever the seed"
    ),
)

_MAJORITY = (
    Choice(
        "the bias is set to the logarithm of the class frequencies of the training clips",
        "no",
        "in closed form: with class weights gradient steps would end at equal probabilities",
    ),
)

CHOICES: dict[str, tuple[Choice, ...]] = {
    "affectivenet": _AFFECTIVENET,
    "learnet": _LEARNET,
    "originet": _ORIGINET,
    "ststnet": _STSTNET,
    "offapexnet": _OFFAPEXNET,
    "mobilenetv3small": _MOBILENETV3SMALL,
    "logistic": _LOGISTIC,
    "majority": _MAJORITY,
}


def choices_markdown(network: str) -> str:
    """The table of a network as Markdown, as docs/architecture.md holds it."""
    rows = [f"| {choice.choice} | {choice.stated} | {choice.reason} |" for choice in CHOICES[network]]
    return "\n".join(["| choice | stated by the paper? | source or reason |", "|---|---|---|", *rows])
