import os
import subprocess
import sys
import warnings

import pytest

from affnet_tf.silence import silent


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_nothing_is_heard_inside_and_all_outside():
    program = (
        "import os, sys, warnings\nfrom affnet_tf.silence import silent\nos.write(2, b'before ')\nwith silent():\n"
        "    os.write(2, b'from C')\n    print('from Python', file=sys.stderr)\n    warnings.warn('of something')\n"
        "os.write(2, b'after')"
    )
    assert run(program).stderr == "before after"


def test_no_warning_is_collected():
    with warnings.catch_warnings(record=True) as found, silent():
        warnings.warn("of something", stacklevel=1)
    assert found == []


def test_an_exception_is_heard():
    with pytest.raises(KeyError, match="lost"), silent():
        raise KeyError("lost")


def test_an_exception_is_heard_though_stderr_is_broken_or_closed():
    broken = "r, w = os.pipe(); os.close(r); sys.stderr = os.fdopen(w, 'w'); sys.stderr.write('x')"
    for state in (broken, "sys.stderr.close()", "sys.stderr = None", "os.close(2)"):
        program = (
            f"import os, sys\nfrom affnet_tf.silence import silent\n{state}\n"
            "try:\n    with silent():\n        raise KeyError('lost')\n"
            "except KeyError:\n    print('heard', flush=True)\nos._exit(0)"
        )
        assert run(program).stdout == "heard\n", state


def test_no_file_descriptor_is_left_open():
    free = os.dup(0)
    os.close(free)
    for _ in range(3):
        with silent():
            pass
    again = os.dup(0)
    os.close(again)
    assert again == free
