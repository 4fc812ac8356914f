"""What every part of the configuration has in common: a frozen model that takes no unknown key.

`later` names the keys whose shape is settled and which are not built yet; they are answered by name.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A mapping of the file. Its fields are the only place where a key, its default and its meaning stand."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    later: ClassVar[dict[str, str]] = {}


def setting(default: Any, description: str, alias: str | None = None) -> Any:
    """A key with its default, written as a user would write it, and its meaning."""
    return Field(default, description=description, alias=alias)


def section(of: type[Section], description: str) -> Any:
    """A key whose value is a section; all its keys have defaults."""
    return Field(default_factory=of, description=description)


def required(description: str) -> Any:
    """A key that must be written."""
    return Field(description=description)
