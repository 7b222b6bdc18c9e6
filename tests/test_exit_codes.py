"""How commands end when something is wrong."""

import errno
import os
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
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141),
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


@pytest.mark.parametrize(
    "words",
    [("-m", "streams", "config", "schema"), ("-m", "streams", "config", "check")],
    ids=["json", "text"],
)
def test_a_reader_that_left_ends_a_command_without_a_word(words: tuple[str, ...], tmp_path: Path) -> None:
    """Behind ``| head``: 1 would say that the answer is no."""
    assert left(tmp_path, words, "stdout") == (141, "")


@pytest.mark.parametrize(
    ("words", "code"), [(("audit", "--config", "none.yaml"), 2), (("config", "--nonsense"), 141)]
)
def test_an_error_that_nobody_reads_ends_a_command_all_the_same(
    words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    assert left(tmp_path, ("-m", "streams", *words), "stderr") == (code, "")


def left(folder: Path, words: tuple[str, ...], stream: str) -> tuple[int, str]:
    """Exit code of Python where one stream's reader left, and what it says on the other."""
    begun(folder)
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {stream: writing}
    environ = os.environ | VARIABLES
    try:
        found = subprocess.run([sys.executable, *words], **streams, cwd=folder, env=environ, check=False)
    finally:
        os.close(writing)
    return found.returncode, ((found.stdout or b"") + (found.stderr or b"")).decode()


@pytest.mark.parametrize("text", ["no json", '{"nonsense": 1}'])
def test_settings_of_a_simulator_that_are_none_are_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "sim.json").write_text(text)
    found = CliRunner().invoke(app, ["simulate", "klaviyo", "--settings", str(tmp_path / "sim.json")])
    assert found.exit_code == 2
    assert "sim.json" in found.stderr


def test_a_level_of_the_log_that_there_is_not_is_told(tmp_path: Path) -> None:
    found = run("worker", "route", "--config", str(begun(tmp_path)), env=VARIABLES | {"STREAMS_LOG": "loud"})
    assert found.returncode == 2
    assert "no level loud; there are DEBUG" in found.stderr


def test_a_missing_file_is_a_wrong_configuration(tmp_path: Path) -> None:
    found = run("audit", cwd=tmp_path)
    assert found.returncode == 2
    assert "pipeline.yaml" in found.stderr
    assert not found.stdout
