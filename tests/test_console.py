"""What the command line prints, and what it keeps to itself."""

import io
import logging
import os
import sys

import pytest

from affnet_tf.console import Console
from affnet_tf.errors import InputError


def test_chatter_is_swallowed_and_errors_are_not(capfd):
    with Console().chatter():
        print("chatter")
        print("chatter", file=sys.stderr)
        os.write(2, b"chatter from a library\n")
    with pytest.raises(InputError, match="not swallowed"), Console().chatter():
        raise InputError("not swallowed")
    print("after")
    print("after", file=sys.stderr)
    with Console(debug=True).chatter():
        print("shown")
    assert capfd.readouterr() == ("after\nshown\n", "after\n")


def test_what_looks_like_markup_is_printed_as_it_is(capsys):
    Console().result({}, ("[red]title[/red] :smile:", ("path",), [("[bold]a[/bold]",)]))
    out = capsys.readouterr().out
    assert "[red]title[/red] :smile:" in out
    assert "[bold]a[/bold]" in out


def test_a_logger_that_holds_its_own_stream_is_swallowed_too():
    heard = io.StringIO()
    logger = logging.getLogger("of a library")
    logger.addHandler(logging.StreamHandler(heard))
    logger.error("before")
    with Console().chatter():
        logger.error("inside")
    logger.error("after")
    assert heard.getvalue() == "before\nafter\n"
