"""A store is a copy: what is damaged is made anew from the changelog."""

from pathlib import Path

import pytest

from streams.engine.store import Memory, Store


def cut(folder: Path) -> None:
    (table,) = folder.glob("*.sst")
    table.write_bytes(table.read_bytes()[:500])


def lose(folder: Path) -> None:
    (table,) = folder.glob("*.sst")
    table.unlink()


def garble(folder: Path) -> None:
    (folder / "CURRENT").write_bytes(b"garbage\n")


@pytest.mark.parametrize("damage", [cut, lose, garble])
def test_a_damaged_folder_is_begun_anew(
    damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the process would end at each start until somebody deletes it."""
    store = Store(tmp_path, Memory())
    store.write([(b"%d" % number, b"x" * 100) for number in range(1_000)], 7)
    store.close()
    damage(tmp_path)  # type: ignore[operator]

    store = Store(tmp_path, Memory())
    assert store.reflects() is None
    assert "state_damaged" in caplog.messages
    store.write([(b"a", b"b")], 8)
    store.close()
    store = Store(tmp_path, Memory())
    assert (store.get(b"a"), store.get(b"1")) == (b"b", None)
    store.close()


def test_a_folder_that_is_open_elsewhere_is_left_as_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path, Memory())
    store.write([(b"a", b"b")], 7)
    with pytest.raises(Exception, match="lock"):
        Store(tmp_path, Memory())
    assert store.get(b"a") == b"b"
    store.close()


def test_a_copy_of_another_changelog_says_nothing_of_this_one(tmp_path: Path) -> None:
    store = Store(tmp_path, Memory(), "staging.changelog.dedupe/1")
    store.write([(b"a", b"b")], 7)
    assert (store.reflects() or (0, 0))[0] == 7
    store.close()
    store = Store(tmp_path, Memory(), "changelog.dedupe/2")
    assert store.reflects() is None
    store.close()
