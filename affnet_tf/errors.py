"""The one exception that a user's input can cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["InputError", "unknown"]


class InputError(ValueError):
    """Bad input. The message is one line: what, the rule, what was received, and the nearest right thing.

    The command line prints it without a traceback and exits with code 2.
    """


def unknown(thing: str, received: object, options: Iterable[str]) -> InputError:
    """The error for a name that is not among ``options``; it lists them and guesses which one was meant."""
    names = [str(option) for option in options]
    close = difflib.get_close_matches(str(received), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return InputError(f"{thing} must be one of {', '.join(names)}. Received: {received!r}.{hint}")
