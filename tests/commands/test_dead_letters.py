"""Which dead letters the options of ``streams dead-letters`` choose."""

from datetime import UTC, datetime

import pytest
import typer

from streams.commands.options import put_table
from streams.commands.redrive import filters_of


def chosen(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    found = filters_of(None, None, None, None, since, None, until)
    return found.since, found.until


def test_a_span_is_written_as_times_or_ages() -> None:
    first, last = (int(datetime(2026, 5, day, tzinfo=UTC).timestamp() * 1000) for day in (1, 2))
    assert chosen("2026-05-01", "2026-05-02T00:00") == (first, last)
    assert chosen(None, "2026-05-02") == (None, last)
    since, until = chosen("2h", "1h")
    assert since is not None
    assert until == since + 3_600_000


@pytest.mark.parametrize(
    ("since", "until"),
    [("1h", "2h"), ("2026-05-01", "2026-05-01"), (None, "later"), ("99999999999d", "1h"), ("999999d", "1h")],
)
def test_a_span_in_which_nothing_can_lie_is_an_error(since: str | None, until: str) -> None:
    with pytest.raises(typer.BadParameter):
        chosen(since, until)


def test_a_row_is_one_line_with_nothing_cut_off_or_obeyed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = [
        {"id": "0-1", "reason": None, "detail": "x" * 90 + "\n\x1b[2Jend"},
        {"id": "10-23", "reason": "loop"},
    ]
    put_table(["id", "reason", "detail"], rows)
    found = capsys.readouterr().out.splitlines()
    assert found == ["id     reason  detail", f"0-1            {'x' * 90} \\x1b[2Jend", "10-23  loop"]
