"""The document of keys is what the settings say."""

from __future__ import annotations

from pathlib import Path

from finetune.config.keys import keys_document
from finetune.config.optim import OptimSettings


def test_the_document_is_current() -> None:
    text = Path("docs/keys.md").read_text().partition("<!-- keys -->\n")[2].partition("\n<!-- /keys -->")[0]
    assert text == keys_document(), "python -m finetune keys prints what belongs into docs/keys.md"


def test_every_key_has_a_description() -> None:
    rows = [line for line in keys_document().splitlines() if line.startswith("| `")]
    assert len(rows) > len(OptimSettings.model_fields)
    assert not [row for row in rows if row.rstrip("| ").endswith("`") and "Keys:" not in row]


def test_the_keys_of_a_mapping_are_listed() -> None:
    assert "`finetune.clip` | `{norm: 1}` | How gradients are clipped" in keys_document()
    assert "Keys: `norm: none or value: none or adaptive: none`" in keys_document()
