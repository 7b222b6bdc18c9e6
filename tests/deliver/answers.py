"""The page of what becomes of each answer: not what somebody wrote, but what the code makes of the cases.

``python -m tests.deliver.answers`` writes ``deploy/answers.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from streams.deliver.desk import Desk
from streams.deliver.judge import LONGEST_BACKOFF_S, Judged, Standing, judge
from streams.deliver.row import Group, Row
from streams.klaviyo.replies import Reply, Transient
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome
from tests.deliver.answer_cases import ALONE, BULK, CASES, ROWS, Case
from tests.deliver.line import operation

PAGE = Path(__file__).parents[2] / "deploy" / "answers.md"
COMMAND = "python -m tests.deliver.answers"
PROBE_S = next(each.default for each in fields(Desk) if each.name == "probe_s")


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the page."""

    row: str
    bulk: str
    lane: str
    again: str


def outcome(case: Case, request: Request) -> tuple[Judged, Reply]:
    """What the line's own code makes of an answer to a call."""
    rows = [Row("klaviyo.events", n, n, operation(n), b"") for n in range(ROWS if request.bulk else 1)]
    reply = case.reply(request)
    return judge(Group("g", rows, bulk=request.bulk), request, reply, Standing()), reply


def told(case: Case) -> Told:
    """What becomes of a row alone, of the rows of a bulk call, and of the lane."""
    alone, reply = outcome(case, ALONE)
    bulk, _ = outcome(case, BULK)
    return Told(_fate(alone), _fates(bulk), _lane(alone), _again(alone, reply))


def _fate(judged: Judged) -> str:
    if judged.dissolved:
        return "stays"
    if judged.again:
        return "in doubt: again, same id" if judged.again[0].doubt else "again"
    (end,) = judged.settled
    reason = f"`{end.reason}`"
    return f"dead letter {reason}" if end.outcome == Outcome.DEAD_LETTERED else f"delivered, {reason}"


def _fates(judged: Judged) -> str:
    if judged.dissolved:
        return "all stay"
    dead = [end for end in judged.settled if end.outcome == Outcome.DEAD_LETTERED]
    groups = [len(each.group.rows) for each in judged.again]
    if dead:
        return f"the blamed row: dead letter `{dead[0].reason}`; the others again"
    if len(groups) > 1:
        return "by halves, down to the row that is at fault"
    return "all again" if groups else "all delivered"


def _lane(judged: Judged) -> str:
    if judged.stopped is not None:
        return "stops, `lane_stopped`"
    return "goes on" if judged.throttled_s is None else "this budget waits"


def _again(judged: Judged, reply: Reply) -> str:
    if judged.stopped is not None:
        return f"one row every {PROBE_S:g} s, until it is mended"
    if judged.throttled_s is not None:
        return f"after {judged.throttled_s:g} s"
    if not judged.again:
        return "-"
    if isinstance(reply.verdict, Transient):
        return (
            f"with jitter up to {judged.again[0].wait_s:g} s, doubled up to {LONGEST_BACKOFF_S:g} s, for ever"
        )
    return "at once"


_CONFLICTS = "deliver/test_conflicts.py"
BESIDE = [
    (
        "an unknown field in any answer",
        "is handed on, counted, and changes nothing",
        "klaviyo/test_drift.py::test_a_new_field_is_told_by_its_path_and_handed_on",
    ),
    (
        "503, or 403 in HTML, with `Retry-After`",
        "this budget waits so long, at most five minutes",
        "klaviyo/test_replies.py::test_an_outage_may_say_how_long_to_rest",
    ),
    (
        "a question answered 2xx without its data",
        "is asked again",
        "deliver/test_documented_answers.py::test_a_question_whose_answer_is_cut_off_is_asked_again",
    ),
    (
        "400 in bulk that points at `unique_id`",
        "that row goes alone: there Klaviyo takes it, or has it already",
        "deliver/test_judge.py::test_an_id_that_bulk_refuses_goes_alone_before_what_follows_it",
    ),
    (
        "400 that points at a `phone_number` beside another identifier",
        "the row goes again without it: delivered, `field_ignored:phone_number`",
        "deliver/test_refused_numbers.py::test_an_event_goes_without_it",
    ),
    (
        "400 or 413 without a pointer, in bulk",
        "by halves: one bad row costs one row",
        "deliver/test_answers.py::test_a_bulk_call_that_keeps_failing_is_halved_down_to_its_bad_row",
    ),
    (
        "twenty rows running refused as a whole",
        "it is hardly the rows: the lane stops",
        "deliver/test_documented_answers.py::test_rows_that_are_all_refused_stop_the_lane",
    ),
    (
        "409 of profile-import",
        "the profiles become the one that holds the address, then the update goes once more",
        f"{_CONFLICTS}::test_two_profiles_become_the_one_with_the_address_and_the_update_is_theirs",
    ),
    (
        "409 that no merge can mend",
        "dead letter `profile_conflict` that names both",
        f"{_CONFLICTS}::test_what_never_becomes_one_is_a_dead_letter_that_names_both",
    ),
    (
        "409 of a row in an import job",
        "the row goes alone and is mended there",
        "deliver/test_importing.py::test_a_row_of_two_profiles_is_mended_and_not_a_dead_letter",
    ),
    (
        "404 of a list that was there before",
        "it is looked up once more; what is for a list that is gone is a dead letter, others go on",
        "deliver/test_gone_lists.py::test_others_are_added_to_other_lists_meanwhile",
    ),
    (
        "404 of a list that Klaviyo still shows",
        "the lane stops and loses nothing",
        "deliver/test_lists.py::test_a_list_deleted_at_klaviyo_stops_the_lane_which_loses_nothing",
    ),
    (
        "404 of a Klaviyo profile id",
        "the person is looked up again",
        "deliver/test_lists_missing.py::test_an_id_that_klaviyo_has_no_more_is_looked_up_again",
    ),
    (
        "404 of an import job, or one `cancelled`",
        "its rows go singly",
        "deliver/test_importing.py::test_a_cancelled_job_and_one_that_is_gone_go_singly",
    ),
    (
        "an import job `complete` with failed rows",
        "every page of its errors is read; those rows are dead letters with Klaviyo's words",
        "deliver/test_importing.py::test_every_page_of_errors_is_read_and_says_why",
    ),
    (
        "400 to backdated consent",
        "refused, not dead: Klaviyo knows a newer word",
        "deliver/test_consent.py::test_backdated_consent_that_klaviyo_refuses_is_refused_not_dead",
    ),
    (
        "no verdict about an append",
        "it is read back before it is repeated",
        "deliver/test_appends.py::test_an_append_without_an_answer_is_done_once",
    ),
    (
        "no verdict about a double opt-in",
        "Klaviyo is asked before anybody gets a second mail",
        "deliver/test_consent_confirmations.py::test_what_was_not_taken_is_repeated",
    ),
    (
        "no verdict about one row, again and again, while others go well",
        "dead letter `keeps_failing`; in an outage no row is to blame",
        "deliver/test_judge.py::test_a_row_that_fails_while_others_do_well_is_a_dead_letter",
    ),
    (
        "202 to an event that never shows",
        "looked for three times, then sent once more with the same id",
        "deliver/test_readback.py::test_all_losses_are_found_and_mended_and_nothing_is_recorded_twice",
    ),
]
"""What the families make of some answers: answer, what happens, the test that shows it."""


def page() -> str:
    """``deploy/answers.md``."""
    lines = [
        "# What becomes of each answer",
        "",
        f"Written by `{COMMAND}` from the tests' cases: each row is what the code makes of that",
        "answer, and `tests/deliver/test_documented_answers.py` shows it over HTTP. None loses a row: it is",
        "delivered, a dead letter with Klaviyo's words, or it stays and goes again.",
        "",
        "| answer | a row alone | rows of a bulk call | its lane | again |",
        "|---|---|---|---|---|",
    ]
    for case in CASES:
        said = told(case)
        lines.append(f"| {case.name} | {said.row} | {said.bulk} | {said.lane} | {said.again} |")
    lines += [
        "",
        "In doubt means that Klaviyo may have taken it: the same rows go first, with the same ids, so that",
        "Klaviyo keeps one of each. A lane that stops keeps its rows, says so in the log, and delays neither",
        "another lane nor another account.",
        "",
        "## What the families make of some",
        "",
        "| answer | what happens | shown by |",
        "|---|---|---|",
    ]
    lines += [f"| {answer} | {what} | `tests/{test}` |" for answer, what, test in BESIDE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
