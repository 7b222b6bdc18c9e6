"""The page of uses: its blocks, and all of them as one configuration that can run."""

import json
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import streams

PAGE = (Path(streams.__file__).parent.parent / "deploy" / "uses.md").read_text()
SECTIONS = re.split(r"^## (?=\d+\. )", PAGE, flags=re.MULTILINE)[1:]
BLOCKS = {int(text.partition(".")[0]): re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) for text in SECTIONS}
"""Number of the use → its blocks of YAML."""
VARIABLE = re.compile(r"\$\{(\w+)\}")


def secret(variable: str, number: int) -> str:
    """What a variable of a use's block stands for."""
    return f"{variable.lower()}-{number}"


def together() -> str:
    """All uses in one file: names and secrets end in the use's number, rules are for its accounts alone."""
    whole: dict[str, Any] = {"accounts": {}, "sources": {}, "rules": [], "deliver": {"probe_s": 2}}
    for number, (text,) in BLOCKS.items():
        use = YAML(typ="safe").load(_with_secrets(text, number))
        for name, account in use.pop("accounts").items():
            whole["accounts"][f"{name}{number}"] = account
        names = [name for name in whole["accounts"] if re.fullmatch(rf"[a-z]+{number}", name)]
        for name, source in use.pop("sources").items():
            accounts = [f"{account}{number}" for account in source["accounts"]]
            whole["sources"][f"{name}{number}"] = source | {"accounts": accounts}
        for rule in use.pop("rules"):
            own = [f"{rule['accounts']}{number}"] if "accounts" in rule else names
            whole["rules"].append(rule | {"accounts": own})
        whole |= use
    return json.dumps(whole, indent=1)


def _with_secrets(text: str, number: int) -> str:
    return VARIABLE.sub(lambda match: secret(match[1], number), text)
