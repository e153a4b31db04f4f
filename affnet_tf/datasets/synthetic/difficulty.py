"""What makes micro-expressions hard to tell apart, one knob for each cause."""

from __future__ import annotations

import dataclasses

from affnet_tf.errors import InputError

__all__ = ["Difficulty"]

MOST = 10.0
# What the number 1 stands for, of each of the first four causes: a hundred clips then suffice to learn the expressions.
USUAL = 0.6
SHARES = ("ambiguity", "apex_error")  # these are parts of a whole


@dataclasses.dataclass(frozen=True)
class Difficulty:
    """How hard the clips are. 0 switches a cause off; 0.6 is the default of the first four.

    Attributes:
        expression: expressions shrink, lose action units and symmetry.
        style: subjects differ in how strongly they show anything.
        recording: head motion, imperfect registration, wandering light, flicker, noise and compression.
        blinks: how often an eyelid closes within a clip.
        ambiguity: share of the clips, 0 to 1, that show what other emotions show as well (``performance.SHARED``).
        apex_error: standard deviation of the annotated apex about the true one, as a share of the clip's length.
    """

    expression: float = USUAL
    style: float = USUAL
    recording: float = USUAL
    blinks: float = USUAL
    ambiguity: float = 0.0
    apex_error: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, most = getattr(self, field.name), 1.0 if field.name in SHARES else MOST
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
                raise InputError(f"difficulty: {field.name} must lie in [0, {most:g}]. Received: {value!r}")

    @classmethod
    def of(cls, value: float | Difficulty) -> Difficulty:
        """The difficulty that a single number stands for: the first four causes at so many times their default.

        Raises:
            InputError: it does not lie in [0, 10].
        """
        if isinstance(value, Difficulty):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST:
            raise InputError(f"difficulty must lie in [0, {MOST:g}]. Received: {value!r}")
        return cls(**dict.fromkeys(("expression", "style", "recording", "blinks"), USUAL * value))

    def times(self, factor: float) -> Difficulty:
        """Every cause ``factor`` times as strong, up to its bound.

        Raises:
            InputError: the factor does not lie in [0, 10].
        """
        Difficulty.of(factor)
        bounds = {field.name: 1.0 if field.name in SHARES else MOST for field in dataclasses.fields(self)}
        return Difficulty(**{name: min(factor * getattr(self, name), most) for name, most in bounds.items()})

    def told(self) -> str:
        """The causes in words: ``difficulty expression 1, style 1, …``."""
        return "difficulty " + ", ".join(f"{name} {value:g}" for name, value in dataclasses.asdict(self).items())
