"""How commands end when something is wrong."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app, exit_code
from streams.engine.errors import Away, Misconfigured, StateMismatch
from tests.test_cli import VARIABLES, begun, run


@pytest.mark.parametrize("words", [("nonsense",), ("audit", "--nonsense"), ("worker", "nonsense")])
def test_wrong_usage_exits_2(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, words).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Misconfigured(), 2),
        (Away(), 3),
        (StateMismatch(), 4),
        (ValueError(), None),
        (PermissionError(errno.EACCES, "Permission denied", "out.html"), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 3),
        (OSError("inside"), None),
    ],
)
def test_each_end_has_its_exit_code(error: Exception, code: int | None) -> None:
    assert exit_code(error) == code


def test_a_file_that_can_not_be_written_is_told_without_a_traceback(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "gone").mkdir()
    found = run("contracts", "page", "--out", "gone", cwd=tmp_path, env=VARIABLES)
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert "'gone'" in found.stderr


def test_a_disk_that_is_full_is_no_answer() -> None:
    """Exit 1 of an audit says that a record is missing."""
    command = [sys.executable, "-m", "streams", "config", "schema"]
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert found.returncode == 3
    assert b"Traceback" not in found.stderr


def test_a_level_of_the_log_that_there_is_not_is_told(tmp_path: Path) -> None:
    found = run("worker", "route", "--config", str(begun(tmp_path)), env=VARIABLES | {"STREAMS_LOG": "loud"})
    assert found.returncode == 2
    assert "no level loud; there are DEBUG" in found.stderr


def test_a_missing_file_is_a_wrong_configuration(tmp_path: Path) -> None:
    found = run("audit", cwd=tmp_path)
    assert found.returncode == 2
    assert "pipeline.yaml" in found.stderr
    assert not found.stdout
