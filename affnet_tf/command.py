"""How a command is registered and run: the options that all share, and errors as one line and an exit code."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from affnet_tf.console import Console
from affnet_tf.errors import InputError

__all__ = ["app", "command", "main"]

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
            except ModuleNotFoundError as error:
                if debug or (error.name or "").startswith("affnet_tf"):
                    raise
                extra = "export" if "litert" in str(error) or "ai_edge" in str(error) else "train"
                raise InputError(
                    f"this command needs the package {error.name!r}: pip install 'affnet_tf[{extra}]'. Received: none"
                ) from None
            except Exception:
                if debug:
                    import traceback

                    traceback.print_exc()
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
    except InputError as error:
        code = _fail(str(error))
    except KeyboardInterrupt:
        code = 130
        print("interrupted; run the same command again (with --resume for a run) to go on", file=sys.stderr)
    except Exception as error:
        formatted = getattr(error, "format_message", None)  # a usage error of the command-line library
        if type(error).__name__ == "NoArgsIsHelpError":
            code = 2
            print(formatted(), file=sys.stderr)
        elif formatted:
            code = _fail(formatted().replace("\n", " "))
        elif type(error).__name__ == "Abort":
            code = 130
        else:
            code = _fail(
                f"unexpected {type(error).__name__}: {(str(error) or repr(error)).splitlines()[0]} (see --debug)"
            )
    sys.exit(code or 0)


def _fail(message: str) -> int:
    print(f"affnet: {message}", file=sys.stderr)
    return 2
