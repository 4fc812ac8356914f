"""The JSON schema of the configuration file, drawn from the models; editors complete and check with it."""

from typing import Any

from .model import SiteKeys


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of trivet.yaml."""
    schema = SiteKeys.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "trivet.yaml",
        "description": "The configuration of a site served by Trivet.",
    }
