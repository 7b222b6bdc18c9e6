"""pipeline.yaml, read once into frozen, checked values."""

from streams.config.load import check, load, loads
from streams.config.model import Account, Config, Source
from streams.config.problems import ConfigError, Problem
from streams.config.rule import FieldMap, Rule
from streams.config.secret import Secret
from streams.config.show import schema, show, starter

__all__ = [
    "Account",
    "Config",
    "ConfigError",
    "FieldMap",
    "Problem",
    "Rule",
    "Secret",
    "Source",
    "check",
    "load",
    "loads",
    "schema",
    "show",
    "starter",
]
