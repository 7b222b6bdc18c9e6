"""What we send and read, held against the official clients of the pinned revision and of the one after it.

``contract/surface.json`` is what the client says of each field that we use. After a wanted upgrade read the
differences, then write it anew: ``python -m tests.klaviyo.test_contract``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from streams.klaviyo import drift
from streams.klaviyo.budgets import LIMITS
from streams.klaviyo.revision import REVISION
from tests.klaviyo.contract.calls import ERRORS, calls

HERE = Path(__file__).parent / "contract"
SURFACE = HERE / "surface.json"
PIN = "24.0.0"
NEXT = {"25.0.0": "2026-10-15"}
"""Client → its revision: what we send is right there, too, so that the pin can move."""
NEWS = {"25.0.0": {"meta", "data.attributes.subscriptions.email.click_tracking"}}
"""What its answers have beyond ours: nobody reads it, and it is counted where it comes."""
CACHE = Path(__file__).parents[2] / ".data" / "judges"


def ask(judge_env: dict[str, str], *options: str) -> dict[str, Any]:
    told = json.dumps({"calls": [call.told() for call in calls()], "errors": list(ERRORS)})
    asked = [sys.executable, *options, str(HERE / "judge.py")]
    done = subprocess.run(
        asked, input=told, env=judge_env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def differences(known: dict[str, dict[str, str]], found: dict[str, dict[str, str]]) -> Iterator[str]:
    """Each field of which something else is said, by endpoint."""
    for endpoint in sorted(known.keys() | found.keys()):
        before, after = known.get(endpoint, {}), found.get(endpoint, {})
        for field in sorted(before.keys() | after.keys()):
            if before.get(field) != after.get(field):
                yield f"{endpoint}, {field}: was {before.get(field)}, is {after.get(field)}"


def upheld(said: dict[str, Any]) -> None:
    assert said["problems"] == []
    assert list(differences(json.loads(SURFACE.read_text()), said["surface"])) == []


def news(said: dict[str, Any]) -> set[str]:
    """Fields of the client's answers that the line would count as unknown."""
    return {field for answer in said["answers"].values() for field in drift.unknown(answer)}


def installed(version: str) -> Path:
    """A folder with that client, made once; skips where no package can be had, except in CI."""
    lock = HERE / f"klaviyo-api-{version}.lock"
    state = sha256(lock.read_bytes()).hexdigest()[:8]
    folder = CACHE / f"klaviyo-api-{version}-py{sys.version_info.major}{sys.version_info.minor}-{state}"
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="new-", dir=CACHE))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--retries", "1", "--timeout", "15", "--require-hashes", "--target", str(made), "-r", str(lock)]
    try:
        done = subprocess.run(pip, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode != 0:
            if os.environ.get("CI") or "HASHES" in done.stderr:
                pytest.fail(f"klaviyo-api {version} can't be installed: {done.stderr}")
            pytest.skip(f"klaviyo-api {version} can't be had now: no package index answers")
        with contextlib.suppress(OSError):  # another run was as quick
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def test_the_pinned_client_takes_all_that_we_send_and_has_all_that_we_read() -> None:
    said = ask(dict(os.environ))
    assert (said["version"], said["revision"]) == (PIN, REVISION)
    upheld(said)
    assert news(said) == set(), "streams/klaviyo/drift.py does not know these"


@pytest.mark.parametrize("version", NEXT)
def test_a_newer_client_in_an_environment_of_its_own_does_so_too(version: str) -> None:
    # -S: nothing of this environment's packages is seen there
    said = ask({"PYTHONPATH": str(installed(version)), "PATH": os.environ.get("PATH", "")}, "-S")
    assert (said["version"], said["revision"]) == (version, NEXT[version])
    upheld(said)
    assert news(said) == NEWS[version]


def test_no_call_that_has_a_budget_is_missing_in_the_contract() -> None:
    assert {call.request.budget for call in calls() if call.budgeted} == set(LIMITS)


def test_a_change_is_told_by_endpoint_and_field() -> None:
    known = {"POST /api/events": {"send /data/attributes/time": "datetime or null", "limits": "350/s 3500/m"}}
    found = {"POST /api/events": {"send /data/attributes/time": "int", "limits": "350/s 3500/m"}}
    assert list(differences(known, found)) == [
        "POST /api/events, send /data/attributes/time: was datetime or null, is int"
    ]
    assert next(differences(known, {})).startswith("POST /api/events, limits: was 350/s")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda told: told["body"]["data"]["attributes"].update(nick="x"), "/data/attributes/nick"),
        (lambda told: told["body"]["data"]["attributes"].pop("metric"), "metric"),
        (lambda told: told.update(endpoint="POST /api/happenings"), "POST /api/happenings: no such endpoint"),
        (lambda told: told.update(limit="9/s 9/m"), "our budget is 9/s 9/m"),
        (lambda told: told["reads"].append("data/id"), "POST /api/events: has no answer"),
        (lambda told: told["query"].update(colour="red"), "POST /api/events: no parameter colour"),
    ],
    ids=["unknown field", "missing field", "endpoint", "budget", "answer", "parameter"],
)
def test_the_judge_tells_what_is_wrong(spoil: Any, says: str) -> None:
    from tests.klaviyo.contract import judge  # noqa: PLC0415 - loads all of the client

    told = calls()[0].told()
    spoil(told)
    (problem, *_) = judge.main({"calls": [told], "errors": []})["problems"]
    assert says in problem


if __name__ == "__main__":
    written = ask(dict(os.environ))["surface"]
    SURFACE.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
