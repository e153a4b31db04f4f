from pathlib import Path

import pytest

from affnet_tf.models.choices import CHOICES, choices_markdown

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("network", CHOICES)
def test_architecture_holds_the_tables_of_choices(network):
    assert choices_markdown(network) in (DOCS / "architecture.md").read_text(encoding="utf-8")
