"""Before the audit says that something is missing it reads all once more."""

from typing import Any

import pytest

from streams.ledger import audit as ledger
from streams.ledger.audit import audit
from streams.ledger.report import Report
from streams.ledger.tally import Tally


class Looks:
    """Auditors of which each looks once, in the order given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *missing: int) -> None:
        self.missing = list(missing)
        monkeypatch.setattr(ledger, "Auditor", lambda config: self)

    def look(self) -> Report:
        gone = self.missing.pop(0)
        return Report(Tally(), missing=[{"offset": n} for n in range(gone)])


@pytest.mark.parametrize("missing", [(0,), (3, 0), (3, 3)])
def test_what_is_missing_is_asked_for_twice_before_it_is_said(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[int, ...]
) -> None:
    looks = Looks(monkeypatch, *missing)
    config: Any = None
    assert len(audit(config).missing) == missing[-1]
    assert not looks.missing
