"""How a command is registered and run: the options that all share, and errors as one line and an exit code."""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from affnet_tf.console import Console
from affnet_tf.errors import InputError

__all__ = ["app", "command", "main"]

INTERRUPTED = 130

app = typer.Typer(
    name="affnet",
    help="Micro-expression recognition with AffectiveNet: from a clip to a probability, a report, and a phone.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_SHARED = {
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")],
    "quiet": Annotated[bool, typer.Option("--quiet", help="No progress and no notes on stderr.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
}


def command(name: str) -> Callable:
    """Register a command whose first parameter is its console; --json, --quiet and --debug are added to its options."""

    def register(function: Callable) -> Callable:
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
            for option, annotation in _SHARED.items()
        ]

        @functools.wraps(function)
        def run(*args: Any, json: bool, quiet: bool, debug: bool, **options: Any) -> int:
            try:
                return function(Console(json, quiet, debug), *args, **options) or 0
            except BaseException as error:
                for note in getattr(error, "__notes__", ()):  # what else went wrong; the error itself is told at last
                    print(f"affnet: {note}", file=sys.stderr)
                if debug and isinstance(error, Exception):
                    traceback.print_exc()
                if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("affnet_tf"):
                    raise _missing(error) from None
                raise

        run.__signature__ = inspect.Signature([*parameters, *shared])
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*parameters, *shared]}
        del run.__wrapped__
        app.command(name)(run)
        return function

    return register


def main() -> None:
    """Run the command line; every error is one line on stderr and an exit code."""
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # the command-line library answers an interruption so, without a word
            _interrupted()
    except KeyboardInterrupt:
        code = _interrupted()
    except Exception as error:
        code = _explain(error)
    sys.exit(code or 0)


def _explain(error: Exception) -> int:
    kind = type(error).__name__
    usage = getattr(
        error, "format_message", None
    )  # an error of the command-line library, which wraps an interruption too
    if isinstance(error, InputError):
        return _fail(str(error))
    if kind == "Abort":
        return _interrupted()
    if kind == "NoArgsIsHelpError":
        print(usage(), file=sys.stderr)
        return 2
    if usage:
        return _fail(usage().replace("\n", " "))
    if isinstance(error, OSError) and error.strerror:
        names = " -> ".join(repr(name) for name in (error.filename, error.filename2) if name is not None)
        return _fail(f"{names or 'the system'} must allow what was asked. Received: {error.strerror}")
    return _fail(f"unexpected {kind}: {(str(error) or repr(error)).splitlines()[0]} (see --debug)")


def _missing(error: ModuleNotFoundError) -> InputError:
    extra = "export" if "litert" in str(error) or "ai_edge" in str(error) else "train"
    return InputError(
        f"this command needs the package {error.name!r}: pip install 'affnet_tf[{extra}]'. Received: none"
    )


def _interrupted() -> int:
    print("affnet: interrupted; the same command (with --resume for a run) goes on where it stopped", file=sys.stderr)
    return INTERRUPTED


def _fail(message: str) -> int:
    print(f"affnet: {message}", file=sys.stderr)
    return 2
