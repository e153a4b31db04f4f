"""FACS action units as annotators write them."""

from __future__ import annotations

import re

__all__ = ["split_aus"]


def split_aus(cell: str) -> tuple[str, ...]:
    """The tokens of an AU cell such as ``4(B/C)+7B`` -> (``4(B/C)``, ``7B``), as written; empty where none is coded."""
    tokens = (token.strip() for token in re.split(r"[+,;]", cell))
    return tuple(token for token in tokens if re.search(r"\d", token))
