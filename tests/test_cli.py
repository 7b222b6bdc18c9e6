"""The command line as its callers see it: output, exit codes, nothing else."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import streams
from streams.cli import app
from streams.engine import admin, schemas
from streams.local.stack import Stack
from tests.line import Bench

COMMANDS = [
    "dev", "demo", "gateway", "worker", "simulate", "init", "audit", "stack up", "stack down", "stack status",
    "topics apply", "topics list", "schemas check", "schemas register", "config check", "config show",
    "config schema", "lanes list", "lanes pause", "lanes resume", "dead-letters list", "dead-letters show",
    "dry-run", "rules test", "rules classic", "contracts report", "contracts learn", "contracts page",
    "replay", "consent export",
]  # fmt: skip
LISTS = [
    "topics list",
    "schemas check",
    "config check",
    "lanes list",
    "dead-letters list",
    "audit",
    "stack status",
    "rules test",
    "rules classic",
    "contracts report",
    "contracts learn",
    "contracts page",
    "replay",
]
NOBODY = "127.0.0.1:1"


def run(
    *words: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams", *words]
    return subprocess.run(
        command,
        env=os.environ | (env or {}),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def begun(folder: Path) -> Path:
    """The file that ``init`` writes."""
    file = folder / "pipeline.yaml"
    assert run("init", "--config", str(file)).returncode == 0
    return file


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    return begun(tmp_path)


NAMED = (
    "ACME_KLAVIYO_KEY",
    "ACME_KLAVIYO_WEBHOOK_SECRET",
    "ACME_SEGMENT_WRITE_KEY",
    "WEB_WRITE_KEY",
    "WEB_WEBHOOK_SECRET",
)
VARIABLES = dict.fromkeys(NAMED, "x")


GROUPS = sorted({command.split()[0] for command in COMMANDS if " " in command})


@pytest.mark.parametrize("command", COMMANDS + GROUPS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    found = CliRunner().invoke(app, [*command.split(), "--help"])
    assert found.exit_code == 0
    assert f"Example: streams {command}" in found.stdout
    assert ("--json" in found.stdout) or command not in LISTS


def test_help_comes_at_once_since_rooms_load_with_their_commands() -> None:
    slow = ("pydantic", "faust", "confluent_kafka", "aiohttp", "rich", "asyncio")
    program = f"import sys, streams.cli; print([m for m in {slow} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


INTERRUPTED = """
import importlib.abc, sys
interrupted = sys.argv[1]

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == interrupted:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
from streams.__main__ import main
sys.argv[1:] = ["audit", "--config", "none.yaml"]
main()
"""


@pytest.mark.parametrize("module", ["typer", "streams.cli", "streams.commands.replay", "streams.config"])
def test_ctrl_c_while_modules_load_is_no_traceback(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, module]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 130
    assert "Traceback" not in found.stderr


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout == streams.__version__ + "\n"


def test_init_writes_a_file_that_checks_and_never_over_one(starter: Path) -> None:
    assert run("config", "check", "--config", str(starter), env=VARIABLES).returncode == 0
    text = starter.read_text()
    assert run("init", "--config", str(starter)).returncode == 2
    assert starter.read_text() == text


def test_config_check_answers_no_with_each_problem(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("accounts: {}\nnonsense: 1\n")
    found = run("config", "check", "--json", "--config", str(file))
    assert found.returncode == 1
    problems = json.loads(found.stdout)["problems"]
    assert len(problems) > 1
    assert {"file", "line", "column", "message", "write"} == problems[0].keys()


def test_config_show_masks_secrets(starter: Path) -> None:
    for form in ([], ["--json"]):
        found = run(
            "config", "show", "--config", str(starter), *form, env=VARIABLES | {"WEB_WRITE_KEY": "hush"}
        )
        assert found.returncode == 0
        assert "hush" not in found.stdout


def test_config_schema_is_json_schema() -> None:
    assert "properties" in json.loads(run("config", "schema").stdout)


def test_what_is_away_exits_3_and_says_so(starter: Path) -> None:
    env = VARIABLES | {"STREAMS_KAFKA_BOOTSTRAP": NOBODY, "STREAMS_REGISTRY_URL": f"http://{NOBODY}"}
    found = run("schemas", "check", "--config", str(starter), env=env)
    assert found.returncode == 3
    assert "registry" in found.stderr


NEED_A_BROKER = [
    "topics list", "topics apply", "audit", "dead-letters list", "dead-letters show 0-1",
    "dead-letters redrive --all", "lanes list", "lanes pause --all --reason test", "lanes resume --all",
    "contracts report", "contracts learn", "replay --all --yes", "consent export --account acme",
    "import rows.csv --source web --id-column user_id", "dry-run --since 1h",
]  # fmt: skip


def test_a_broker_that_is_away_is_told_within_seconds_with_its_address(starter: Path) -> None:
    """The address is named where a command asks whether a broker answers, before all that waits longer."""
    (starter.parent / "rows.csv").write_text("user_id\nu1\n")
    env = os.environ | VARIABLES | {"STREAMS_KAFKA_BOOTSTRAP": NOBODY}
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "streams", *words.split(), "--config", str(starter)],
            env=env, cwd=starter.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for words in NEED_A_BROKER
    ]  # fmt: skip
    told = [
        (words, child.communicate(timeout=120)[1], child.returncode)
        for words, child in zip(NEED_A_BROKER, children, strict=True)
    ]
    assert [each for each in told if each[2] != 3 or f"answer at {NOBODY}" not in each[1]] == []


def test_a_gateway_whose_port_is_taken_exits_3_and_names_the_setting(starter: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = VARIABLES | {
            "STREAMS_GATEWAY_PORT": str(taken.getsockname()[1]),
            "STREAMS_KAFKA_BOOTSTRAP": NOBODY,
        }
        found = run("gateway", "--config", str(starter), env=env)
    assert found.returncode == 3
    assert "is another gateway there? Set `gateway.port`" in found.stderr
    assert "Traceback" not in found.stderr


def test_lanes_ask_for_one_way_of_saying_which_and_for_a_reason(starter: Path) -> None:
    for words in (
        ["pause", "--reason", "x"],
        ["pause", "acme"],
        ["pause", "acme", "--all", "--reason", "x"],
        ["pause", "nobody", "--reason", "x"],
        ["pause", "acme/nothing", "--reason", "x"],
        ["resume"],
    ):
        assert run("lanes", *words, "--config", str(starter), env=VARIABLES).returncode == 2, words


@pytest.mark.stack
def test_a_line_is_set_up_paused_and_audited(stack: Stack, prefix: str, tmp_path: Path) -> None:
    bench = Bench(stack, prefix, tmp_path)

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return run(*words, "--config", str(bench.file), env=bench.env)

    assert ask("topics", "apply").stdout == "nothing to do\n"
    assert ask("schemas", "register").stdout == "nothing to do\n"
    assert ask("schemas", "check", "--json").stdout == '{"problems": []}\n'
    assert json.loads(ask("topics", "list", "--json").stdout)["problems"] == []
    assert ask("lanes", "pause", "acme/events", "--reason", "wrong metric").returncode == 0
    lanes = [json.loads(row) for row in ask("lanes", "list", "--json").stdout.splitlines()]
    (paused,) = [row for row in lanes if row["paused"]]
    assert paused.pop("since") > 0
    said = {"state": "paused", "paused": True, "reason": "wrong metric", "lag": 0}
    assert paused == {"account": "acme", "lane": "events"} | said
    assert ask("lanes", "resume", "--all").returncode == 0
    assert "wrong metric" not in ask("lanes", "list").stdout
    found = ask("audit", "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["accepted"] == 0
    assert ask("dead-letters", "list", "--json").stdout == ""
    assert ask("dead-letters", "list", "--since", "never").returncode == 2
    for option in ("--reason", "--lane", "--stage"):  # a misspelt filter finds none, which would look well
        misspelt = ask("dead-letters", "list", option, "rejectd")
        assert (misspelt.returncode, "no rejectd; there are" in misspelt.stderr) == (2, True)
    replay = ask("replay", "--from-offset", "99-0", "--dry-run")
    assert (replay.returncode, "no partition 99; there are 0 to" in replay.stderr) == (2, True)
    for option in ("account", "space", "source", "type"):
        misspelt = ask("replay", "--all", "--dry-run", f"--{option}", "nope")
        assert (misspelt.returncode, f"no {option} nope; there are" in misspelt.stderr) == (2, True)
    assert ask("dead-letters", "show", "0-0").returncode == 1


@pytest.mark.stack
def test_without_topics_the_audit_cannot_tell(stack: Stack, prefix: str, tmp_path: Path) -> None:
    bench = Bench(stack, prefix, tmp_path)
    found = run("audit", "--config", str(bench.file), env=bench.env | {"STREAMS_PREFIX": f"{prefix}none-"})
    assert found.returncode == 2
    assert "streams topics apply" in found.stderr
    assert admin.verify(bench.config) == schemas.check(bench.config) == []


def test_a_simulator_says_where_it_is_and_ends_130_when_interrupted() -> None:
    command = [sys.executable, "-m", "streams", "simulate", "klaviyo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        word, _, said = child.stdout.readline().partition(" ")
        assert word == "READY"
        assert json.loads(said)["klaviyo"].startswith("http://127.0.0.1:")
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 130
        assert time.monotonic() - began < 5
