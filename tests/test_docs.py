from pathlib import Path

from affnet_tf.models.choices import choices_markdown

DOCS = Path(__file__).parent.parent / "docs"


def test_architecture_holds_the_table_of_choices():
    assert choices_markdown() in (DOCS / "architecture.md").read_text(encoding="utf-8")
