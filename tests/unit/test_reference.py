"""The settings reference is what the models say of themselves."""

from __future__ import annotations

from pathlib import Path

from pipeline.reference import settings_reference
from pipeline.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_committed_reference_is_that_of_the_models() -> None:
    assert PAGE.read_text() == settings_reference(), "run `make settings` and commit it"


def test_every_setting_says_what_it_means() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert "None" not in field.description, name
