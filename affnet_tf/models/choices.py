"""What the paper states of the network and what is our reading: the table of docs/architecture.md."""

from __future__ import annotations

import dataclasses

__all__ = ["CHOICES", "Choice", "choices_markdown"]


@dataclasses.dataclass(frozen=True)
class Choice:
    """A decision about the method: what was chosen, whether the paper states it, and the source or the reason."""

    choice: str
    stated: str
    reason: str


CHOICES: tuple[Choice, ...] = (
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


def choices_markdown() -> str:
    """The table as Markdown, as docs/architecture.md holds it."""
    rows = [f"| {choice.choice} | {choice.stated} | {choice.reason} |" for choice in CHOICES]
    return "\n".join(["| choice | stated by the paper? | source or reason |", "|---|---|---|", *rows])
