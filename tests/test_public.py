import subprocess
import sys

import pytest

import affnet_tf


@pytest.mark.parametrize("name", affnet_tf.__all__)
def test_public_names_exist_and_say_what_they_are(name):
    value = getattr(affnet_tf, name)
    assert value if name == "__version__" else value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'affective'"):
        _ = affnet_tf.affective


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, affnet_tf; assert not {'numpy', 'keras', 'tensorflow', 'cv2'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
