"""What every part of the configuration has in common: a frozen model that takes no unknown key.

`later` names the keys whose shape is settled and which are not built yet; they are answered by name.
"""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of the file. Its fields are the only place where a key, its default and its meaning stand."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=False,
    )

    later: ClassVar[dict[str, str]] = {}
