"""A stage's process, before it has a broker."""

from pathlib import Path

import pytest

from streams.engine.errors import Misconfigured
from streams.engine.worker import lock_folder


def test_a_state_folder_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    taken = tmp_path / "state"
    taken.write_text("a file")
    with pytest.raises(Misconfigured, match=r"state/dedupe/0: Not a directory; `data:` \(STREAMS_DATA\)"):
        lock_folder(taken, "dedupe")


def test_each_process_of_a_stage_locks_a_folder_of_its_own(tmp_path: Path) -> None:
    first, held = lock_folder(tmp_path, "dedupe")
    second, also_held = lock_folder(tmp_path, "dedupe")
    assert (first.name, second.name) == ("0", "1")
    held.close()
    also_held.close()
