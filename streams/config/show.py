"""The configuration for people and editors: what is in use, its JSON Schema, a file to start from."""

from importlib.resources import files
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from streams.config.model import Config

DERIVED = {"accounts": ("name",), "sources": ("name", "spaces"), "rules": ("line",)}
"""Fields that the loader fills in: not to be written."""


def show(config: Config) -> str:
    """Every value in use as YAML, secrets masked; but for the masks it loads as the same configuration."""
    values = config.model_dump(mode="json", by_alias=True)
    values["rules"] = [rule.model_dump(mode="json", exclude_defaults=True) for rule in config.rules]
    for group, names in DERIVED.items():
        members = values[group]
        for member in members.values() if isinstance(members, dict) else members:
            for name in names:
                member.pop(name, None)
    text = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 100
    yaml.dump(values, text)
    return text.getvalue()


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``pipeline.yaml``, for editors."""
    found = Config.model_json_schema(by_alias=True)
    for model, names in (("Account", ("name",)), ("Source", ("name", "spaces")), ("Rule", ("line",))):
        for name in names:
            found["$defs"][model]["properties"].pop(name)
    # The space of an account is its name where it has none.
    found["$defs"]["Account"]["required"].remove("space")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found | {"title": "pipeline.yaml"}


def starter() -> str:
    """A commented ``pipeline.yaml`` to start from."""
    return files("streams.config").joinpath("starter.yaml").read_text(encoding="utf-8")
