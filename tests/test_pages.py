"""What the pages for users name is there: commands, and rules that the file takes."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from streams.cli import app
from streams.config import loads
from tests.route.sample import ACCOUNTS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "deploy").rglob("*.md"))]
GUIDE = (ROOT / "deploy/guides/rules.md").read_text()
BLOCKS = [block for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL) if "tests:" not in block]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_is_one(page: Path) -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:`|^)streams ([a-z][a-z-]+)", page.read_text(), re.MULTILINE))
    assert named <= known


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition("\n")[0])
def test_every_block_of_the_rules_guide_is_taken(block: str) -> None:
    assert loads(f"{ACCOUNTS}\n{block}", "pipeline.yaml", {}).rules


def test_the_guide_has_blocks() -> None:
    assert len(BLOCKS) >= 3
