"""A row all the way: from a file to a profile at Klaviyo, behind live events, by the same code."""

from pathlib import Path

import pytest

from streams.local.stack import Stack
from tests.whole.running import Whole

pytestmark = pytest.mark.stack
TEXT = "user_id,email,first_name,plan,visits\n"


def test_a_row_becomes_a_profile_once_and_is_counted(stack: Stack, prefix: str, tmp_path: Path) -> None:
    line = Whole(stack, prefix, tmp_path)
    file = tmp_path / "customers.csv"
    rows = ["c1,c1@shop.example.com,Ada,pro,3\n", "c2,c2@shop.example.com,Bo,free,1\n"]
    words = ["import", str(file), "--source", "web", "--id-column", "user_id", "--email-column", "email"]
    words += ["--map", "visits=visits:number"]
    line.start()
    try:
        file.write_text(TEXT + "".join(rows))
        assert line.run(*words).code == 0
        assert line.drained()["delivered"] == 2
        assert line.run(*words).code == 0
        assert line.drained()["accepted"] == 2
        assert line.run(*words, "--send-all").code == 0
        assert line.drained()["unchanged"] == 2
        file.write_text(TEXT + rows[0] + rows[1].replace("free", "pro") + ",,nobody,,\n")
        assert line.run(*words).code == 0
        line.drained()
        file.write_text(TEXT + "".join(rows).replace("pro", "team"))
        assert line.run(*words).code == 0
        line.drained()
        file.write_text(TEXT + "".join(rows))
        assert line.run(*words).code == 0
        report = line.drained()
        profiles = {each["email"]: each for each in line.profiles()}
    finally:
        line.stop()
    # both are new; Bo changes; both change, Bo back to what he was; Ada goes back, too
    assert (report["delivered"], report["duplicate"], report["dead_lettered"]) == (6, 0, 1)
    assert set(profiles) == {"c1@shop.example.com", "c2@shop.example.com"}
    ada, bo = profiles["c1@shop.example.com"], profiles["c2@shop.example.com"]
    assert (ada["external_id"], ada["first_name"], ada["properties"]["visits"]) == ("c1", "Ada", 3)
    assert (ada["properties"]["plan"], bo["properties"]["plan"]) == ("pro", "free")
