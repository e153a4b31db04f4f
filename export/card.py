"""MODEL_CARD.md: what a file is, what it was made from, how well it does, and what it must not be used for."""

from __future__ import annotations

from typing import Any

from affnet_tf.export.origin import Origin, Score
from affnet_tf.export.recipes import Recipe
from affnet_tf.inference.runtime import CLASSIFY

__all__ = ["model_card"]

_USES = """## Intended use

Research on micro-expressions, and demonstrations of it, with people who know and agree. The file names the facial movement
that it was trained to tell apart in a short clip of one cropped face; it does not know what anybody feels.

## What it must not be used for

- Deciding about anybody: employment, education, credit, insurance, policing, borders, courts, health.
- Detecting lies or intentions. A facial movement is no evidence of either.
- Watching people who do not know it or cannot refuse. In the European Union, inferring emotions at work and in education is
  forbidden by law but for medical and safety reasons (Regulation 2024/1689, article 5).
- Diagnosis, or anything where a wrong answer harms.
"""

_LIMITS = """## Limits

- The datasets of this field are small: a few dozen people, few of them old or dark-skinned, filmed in laboratories. Scores
  move by many points from one group of people to the next; the intervals say how much.
- It always answers, also when nothing or something else moves in the picture. Speech, blinking, head turns and changing light
  all look like motion. Only clips that hold an expression from onset to offset were seen in training.
- The crop must be made as in training (`metadata.json` says how), once per clip. Other frame rates change the motion.
- Its probabilities are not calibrated by this export.
"""


def model_card(
    recipe: Recipe, metadata: dict[str, Any], origin: Origin, verification: dict[str, Any], notes: tuple[str, ...]
) -> str:
    """The card, in Markdown.

    Args:
        recipe: what made the file.
        metadata: what ``metadata.json`` says.
        origin: where the network comes from.
        verification: what ``verify.json`` says.
        notes: what the reader should know besides.
    """
    labels = ", ".join(metadata["labels"])
    parts = [
        f"# Model card: micro-expressions, `{recipe.name}`",
        _warning(origin),
        f"{recipe.summary[0].upper()}{recipe.summary[1:]}. Labels (scheme `{metadata['scheme']}`): {labels}.",
        "![The network](graph.png)",
        "## Data\n\n" + _data(origin),
        "## Score\n\n" + _scores(origin.scores) + "\n\n" + _beside(verification),
        "## This file beside the network in Keras\n\n" + _verified(verification),
        _LIMITS.rstrip(),
        _USES.rstrip(),
    ]
    if notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def _warning(origin: Origin) -> str:
    if not origin.synthetic:
        return ""
    return (
        "**Synthetic.** The network was trained on people who do not exist. Its numbers measure the software, and say nothing "
        "about real faces: do not use it on any."
    )


def _data(origin: Origin) -> str:
    if not origin.datasets:
        return "Not known: the network was exported without its clip store."
    clips = ", ".join(f"{name} ({count} clips)" for name, count in sorted(origin.datasets.items()))
    rate = f"{origin.fps:g} frames per second (median)" if origin.fps else "frame rate not recorded"
    held = (
        f"; {origin.validation_subjects} more were held out" if origin.validation_subjects else "; nobody was held out"
    )
    return (
        f"Trained on {clips} of {origin.subjects} people{held}. {rate[0].upper()}{rate[1:]}. "
        f"The licences of the datasets forbid to pass them on; none of their frames are in this file, but `vectors.npz` holds "
        f"test clips, so treat that file as the datasets' licences demand."
    )


def _scores(scores: tuple[Score, ...]) -> str:
    if not scores:
        return (
            "None is known: this network was trained on everybody who is not held out, and nobody evaluated its settings by a "
            "protocol (`affnet evaluate`, then `affnet export --scores`)."
        )
    lines = [
        "Of networks with the same settings, each tested on people that it was not trained on; 95 % intervals over persons. "
        "This very network was not tested so, and this file was not: the scores are of networks in float32, before any "
        "conversion.",
        "",
        "| protocol | | clips | people | accuracy | UF1 | UAR |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in scores:
        cells = [
            f"{getattr(row, name):.3f} ({getattr(row, f'{name}_interval')[0]:.3f} – {getattr(row, f'{name}_interval')[1]:.3f})"
            for name in ("accuracy", "uf1", "uar")
        ]
        lines.append(f"| {row.protocol} | {row.name} | {row.clips} | {row.people} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _beside(verification: dict[str, Any]) -> str:
    """What conversion, and fine-tuning before it, cost on the clips that verified."""
    check, tuned = verification["signatures"][CLASSIFY], verification.get("fine_tuning")
    network = "fine-tuned network" if tuned else "network in float32"
    words = f"This file gives {check['agreement']:.1%} of the clips that verified it the label of the {network}"
    before = (tuned["held_out"] or {}).get("before") if tuned else check["keras_accuracy"]
    if check["accuracy"] is None or before is None:
        return words + "; whether the labels are right is not known of them."
    return (
        f"{words}, and {check['accuracy']:.3f} of them the right one; the network as trained, in float32, {before:.3f}: "
        f"a change of {check['accuracy'] - before:+.3f}. Such clips are few, and no test on new people."
    )


def _verified(verification: dict[str, Any]) -> str:
    lines = [
        f"{verification['bytes'] / 1000:.0f} KB, {verification['gzip_bytes'] / 1000:.0f} KB compressed. Compared on: "
        f"{verification['data']}.",
        "",
        "| signature | largest change of a probability | same label | accuracy (Keras) |",
        "|---|---|---|---|",
    ]
    for name, check in verification["signatures"].items():
        known = check["accuracy"] is not None
        accuracy = f"{check['accuracy']:.3f} ({check['keras_accuracy']:.3f})" if known else "not known"
        lines.append(f"| `{name}` | {check['max_delta']:.2g} | {check['agreement']:.1%} | {accuracy} |")
    tuned = verification.get("fine_tuning")
    if tuned:
        lines += ["", _tuned(tuned)]
    return "\n".join(lines)


def _tuned(tuned: dict[str, Any]) -> str:
    words = [
        f"Fine-tuned for {tuned['steps']} steps on {tuned['images']} motion images of training subjects. Accuracy before and "
        f"after, on these: {tuned['training']['before']:.3f} and {tuned['training']['after']:.3f}"
    ]
    if tuned.get("held_out"):
        words.append(f"; on the clips above: {tuned['held_out']['before']:.3f} and {tuned['held_out']['after']:.3f}")
    words.append(". `Keras` above is the network after fine-tuning.")
    if tuned.get("sparsity"):
        words.append(f" {tuned['sparsity']:.1%} of the weights of convolutions and dense layers are 0.")
    return "".join(words)
