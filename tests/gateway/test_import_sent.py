"""What was sent last, kept in a file that may be wrong about nothing."""

from pathlib import Path

import pytest

from streams.engine.errors import Misconfigured
from streams.gateway.rows.sent import Sent

ONE, OTHER = b"k" * 16, b"o" * 16


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "import" / "web.db"


def kept(file: Path, stamp: str) -> dict[bytes, bytes]:
    with Sent(file, stamp) as sent:
        return sent.last([ONE, OTHER, ONE])


def test_what_was_kept_is_there_for_who_knows_the_last_stamp(file: Path) -> None:
    with Sent(file, "") as sent:
        sent.keep({ONE: b"a", OTHER: b"b"}, "run/2")
        sent.keep({ONE: b"c"}, "run/3")
    assert kept(file, "run/3") == {ONE: b"c", OTHER: b"b"}
    assert kept(file, "run/3") == {ONE: b"c", OTHER: b"b"}, "reading changes nothing"


def test_another_stamp_forgets_all_of_it(file: Path) -> None:
    """A chunk was acknowledged that this file has not seen: nothing in it can be trusted."""
    with Sent(file, "") as sent:
        sent.keep({ONE: b"a"}, "run/2")
    assert kept(file, "run/4") == {}
    assert kept(file, "run/2") == {}


def test_who_was_taken_over_keeps_nothing_more(file: Path) -> None:
    with Sent(file, "") as old:
        old.keep({ONE: b"a"}, "run/2")
        with Sent(file, "run/2") as new:
            new.keep({ONE: b"n"}, "next/2")
            old.keep({ONE: b"o"}, "run/4")
            new.keep({}, "next/3")
    assert kept(file, "next/3") == {ONE: b"n"}


def test_thousands_are_asked_for_at_once(file: Path) -> None:
    many = {number.to_bytes(16): b"x" for number in range(3_000)}
    with Sent(file, "") as sent:
        sent.keep(many, "run/3000")
        assert sent.last(many) == many


def test_a_file_that_is_broken_is_made_anew_and_a_folder_that_is_none_is_named(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a data base" * 100)
    assert kept(file, "run/1") == {}
    with pytest.raises(Misconfigured, match=r"can't be used"):
        Sent(file / "below" / "web.db", "")
