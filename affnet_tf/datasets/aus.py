"""FACS action units as annotators write them."""

from __future__ import annotations

import dataclasses
import re

from affnet_tf.errors import InputError

__all__ = ["ActionUnit", "parse_aus", "split_aus"]

_UNIT = re.compile(
    r"(?:AU)?\s*(?P<side>[LRTBUA])?\s*(?P<number>\d{1,2})\s*"
    r"(?P<intensity>[A-E])?\s*(?:\((?P<range>[A-E](?:\s*/\s*[A-E])?)\))?\s*(?P<static>\(K\))?\s*(?P<doubt>\?)?",
    re.IGNORECASE,
)
_OR = re.compile(r"\s*\bor\b\s*|(?<=\d)\s*or\s*(?=[LRTBUA]?\d)|(?<=\d)\s*/\s*(?=\d)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class ActionUnit:
    """One action unit of the Facial Action Coding System (Ekman, Friesen, Hager 2002).

    Attributes:
        number: 1 to 99.
        side: ``L`` left, ``R`` right, ``T`` top, ``B`` bottom, ``U`` unilateral, ``A`` asymmetric; empty where both
            sides move.
        intensity: ``A`` (trace) to ``E`` (maximum), or two letters where the coder left it open: ``B/C``; empty where
            not coded.
        doubt: the coder was not sure that it is this unit: ``10or11`` gives two units, both in doubt.
        static: 4DME's mark ``(k)``: the unit was there all through the clip and did not move.
    """

    number: int
    side: str = ""
    intensity: str = ""
    doubt: bool = False
    static: bool = False


def split_aus(cell: str) -> tuple[str, ...]:
    """The tokens of an AU cell as written, ``4(B/C)+7B`` -> (``4(B/C)``, ``7B``); none where nothing is coded."""
    tokens = (token.strip() for token in re.split(r"[+,;，]", cell))
    return tuple(token for token in tokens if re.search(r"\d", token))


def parse_aus(cell: str | tuple[str, ...]) -> tuple[ActionUnit, ...]:
    """Read an AU cell, or the tokens in ``Clip.aus``.

    Forms: ``4+7``, ``L1+L2``, ``R12``, ``15A+17``, ``4(B/C)+7B``, ``10or11``, ``L12 or L14``, ``T28+14``,
    ``AU4(k)+L7``, ``4?``; ``?``, ``NULL`` and an empty cell give nothing.

    Raises:
        InputError: a token is none of these.
    """
    tokens = split_aus(cell) if isinstance(cell, str) else cell
    units = []
    for token in tokens:
        alternatives = _OR.split(token)
        for text in alternatives:
            match = _UNIT.fullmatch(text.strip())
            if match is None or int(match["number"]) == 0:
                raise InputError(f"action unit must look like 4, L12, 15A or 4(B/C). Received: {token!r}")
            units.append(
                ActionUnit(
                    number=int(match["number"]),
                    side=(match["side"] or "").upper(),
                    intensity=(match["intensity"] or (match["range"] or "").replace(" ", "")).upper(),
                    doubt=len(alternatives) > 1 or match["doubt"] is not None,
                    static=match["static"] is not None,
                )
            )
    return tuple(units)
