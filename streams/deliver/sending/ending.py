"""What a transaction says about rows that ended: outcomes, dead letters, sent marks, positions."""

from collections.abc import Iterable

from streams.deliver import intent, receipts, records
from streams.deliver.row import Row, Settled
from streams.deliver.sending.intake import Intake, sent_key
from streams.engine.outbox import Outbox
from streams.ledger.reasons import Outcome

_DAY_S = 86_400
_SENT_DAYS = 28
_SHARDS = 1 << 16
_TURN_S = 5


def write(outbox: Outbox, ends: Iterable[Settled], intake: Intake) -> None:
    """Write the ends of rows."""
    desk = intake.desk
    now_ms = desk.now_ms()
    day = b"%d" % (now_ms // (_DAY_S * 1000))
    for end in ends:
        row = end.row
        outbox.outcome(desk.outcome(records.outcome(end, now_ms)))
        if end.outcome == Outcome.DEAD_LETTERED:
            intake.free_mark(row)
            outbox.dead_letter(desk.dead_letter(records.dead_letter(end, intake.family.name, now_ms)))
        elif end.outcome == Outcome.DELIVERED:
            outbox.put(sent_key(row.op["op_id"]), day)
        intake.positions[row.topic].done(row.start, row.offset + 1)
        intake.touched.add(row.topic)
        accepted_at = row.op["origin"]["accepted_at"]
        intake.accepted_at[row.topic] = max(accepted_at, intake.accepted_at.get(row.topic, 0))
        uncover(outbox, intake, row.topic, row.offset)
        if row.again:
            outbox.delete(receipts.lost_key(row.topic, row.offset))
            if end.outcome == Outcome.DEAD_LETTERED:
                outbox.delete(sent_key(row.op["op_id"]))  # a redrive must not meet it as sent


def uncover(outbox: Outbox, intake: Intake, topic: str, offset: int) -> None:
    """A row that was in doubt has a result or a new intent."""
    for old in intake.doubts.covered(topic, offset):
        outbox.delete(old)


def dissolved(outbox: Outbox, intake: Intake, group_id: str, rows: Iterable[Row]) -> None:
    """A group is no more, its rows wait by themselves: those in doubt stay so, through restarts, too."""
    key = intent.key(intake.family.name, group_id)
    doubted = [row for row in rows if row.doubted_at]
    if not doubted:
        outbox.delete(key)
        return
    for row in doubted:
        uncover(outbox, intake, row.topic, row.offset)
    outbox.put(key, intent.form(doubted, min(row.doubted_at for row in doubted), 0.0))
    intake.doubts.hold(key, doubted)


def positions(outbox: Outbox, intake: Intake) -> None:
    """Write the positions that moved."""
    for topic in intake.touched:
        outbox.position(topic, intake.positions[topic].form(), intake.accepted_at.get(topic))
    intake.touched.clear()
    for letter in intake.unreadable:
        outbox.dead_letter(letter)
    intake.unreadable.clear()
    for key in intake.stale:
        outbox.delete(key)
    intake.stale.clear()


def marks(outbox: Outbox, intake: Intake) -> None:
    """Write which operations took a once-mark, and which marks are free again."""
    outbox.changes.update(intake.marks)
    intake.marks.clear()


def forget_sent(outbox: Outbox, intake: Intake) -> None:
    """Drop op ids sent more than 28 days ago: one of 65,536 parts every 5 s, all of them in 4 days."""
    turn = int(intake.desk.wall() / _TURN_S)
    oldest = intake.desk.now_ms() // (_DAY_S * 1000) - _SENT_DAYS
    for key, day in intake.slot.store.scan(sent_key(f"{turn % _SHARDS:04x}")):
        if int(day) < oldest:
            outbox.delete(key)
