"""What answers mean for a lane: which rows end, which go again, whether the lane goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.deliver import intent
from streams.deliver.desk import Desk
from streams.deliver.family import Asking, Family, Learned, Patient, Refused, Remembering
from streams.deliver.judge import LOW, Again, Judged, Standing, chain, judge
from streams.deliver.newcomers import created
from streams.deliver.row import Group, Row, Settled
from streams.deliver.sending import ending
from streams.deliver.sending.intake import Intake, duplicate
from streams.deliver.sending.lane import Lane
from streams.deliver.sending.outage import Outage
from streams.deliver.sending.planner import Call, Plan, Planner
from streams.engine.outbox import Outbox
from streams.engine.telemetry import counter, log
from streams.klaviyo.replies import Accepted, RejectedWhole, Reply, Stopped, Throttled, Transient
from streams.ledger.reasons import Outcome, Reason

REFUSALS: Final = 20
"""So many rows running refused for no reason that names them: it is hardly the rows, the lane stops."""
_NEW: Final = counter(
    "streams_deliver_new_profiles_total",
    "profiles new at Klaviyo: created as it says, unsaid of import jobs, which do not say",
)


@dataclass(slots=True)
class Settling:
    """Turns results into what a transaction says; all but ``stopped`` is its own."""

    desk: Desk
    family: Family
    lane: Lane
    intake: Intake
    planner: Planner
    standing: Standing
    stopped: str | None = None
    """Why the lane tries one row now and then only."""
    probe_at: float = 0.0
    _refusals: int = 0
    _stopped_at: str = ""
    """Budget of the call that stopped it: when a question is answered there, the lane goes on."""
    _over: list[tuple[list[Row], bool]] = field(default_factory=list)
    _outage: Outage = field(init=False)

    def __post_init__(self) -> None:
        """Tell of outages under the lane's name."""
        self._outage = Outage(self.desk.account, self.family.name)

    def settle(self, outbox: Outbox, results: Sequence[Call]) -> None:
        """Write what the gathered results and the intake have ended."""
        ended, self.intake.ended = self.intake.ended, []
        self.end(outbox, ended)
        for call in results:
            if call.reply is None:
                self.planner.ready.append(call.group)
            else:
                self._result(outbox, call, call.reply)

    def _result(self, outbox: Outbox, call: Call, reply: Reply) -> None:
        group = call.group
        self._new(created=created(call.request, reply))
        outbox.delete(intent.key(self.family.name, group.id))
        if isinstance(reply.verdict, Transient) and call.request.method != "GET":
            for row in group.rows:
                row.doubted_at = row.doubted_at or self._left_at(call)
        accepted = isinstance(reply.verdict, Accepted)
        if call.request.asks and accepted:
            self._answered(outbox, call, reply)
        elif accepted or not self._refused(outbox, call, reply):
            self._judged(outbox, call, reply)

    def _answered(self, outbox: Outbox, call: Call, reply: Reply) -> None:
        """A question that a family asked before its call."""
        if not isinstance(self.family, Asking):
            raise TypeError(f"{self.family.name} asks nothing")
        if call.request.budget == self._stopped_at:
            self._goes_on()
        self._learn(outbox, call.group, self.family.learned(call.group, reply, self.desk.now_ms()))

    def _refused(self, outbox: Outbox, call: Call, reply: Reply) -> bool:
        """Whether the family knows better what a refusal of this call means."""
        if not isinstance(self.family, Patient):
            return False
        refused = self.family.refused(call.group, reply, self.desk.now_ms())
        if refused is None:
            return False
        stop = reply.verdict if not refused.mends else None
        why = stop.detail if isinstance(stop, Stopped) else None
        self._stand(call, Judged(stopped=why))
        self._learn(outbox, call.group, refused)
        return True

    def _judged(self, outbox: Outbox, call: Call, reply: Reply) -> None:
        """What the answer means for each row."""
        group = call.group
        judged = judge(group, call.request, reply, self.standing)
        settled = judged.settled
        if isinstance(reply.verdict, Accepted):
            settled, changes = self.family.accepted(group, reply, settled)
            outbox.changes.update(changes)
            if self.standing.share < LOW:
                # an outage ends: what waits for its next try waits no longer
                self.planner.ready.extend(self.lane.drain())
        elif settled and isinstance(self.family, Refused):
            found = settled
            settled, gone = self.family.rejected(found)
            outbox.changes.update(gone)
            over = {end.row for end in settled}
            self._put_back(outbox, group, [end.row for end in found if end.row not in over])
        self._stand(call, judged)
        profiles = group.profiles()
        for again in judged.again:
            profiles -= again.group.profiles()
            self._again(outbox, again, call)
        self._put_back(outbox, group, judged.dissolved)
        self.end(outbox, settled)
        self.lane.free(profiles)

    def _learn(self, outbox: Outbox, group: Group, learned: Learned) -> None:
        """A question was answered: what it was asked for goes on."""
        self._new(unsaid=learned.unsaid)
        outbox.changes.update(learned.changes)
        over = {end.row for end in learned.ended}
        profiles = group.profiles()
        group.rows = [row for row in group.rows if row not in over]
        if learned.stay and group.rows:
            profiles -= group.profiles()
            self._still_in_doubt(outbox, group)
            if learned.wait_s > 0:
                self.lane.again(group, self.desk.clock() + learned.wait_s, failed=False)
            else:
                # who was asked about is told before others are asked about: answers age
                self.planner.ready.appendleft(group)
        else:
            self._put_back(outbox, group, chain(group))
        self.end(outbox, learned.ended)
        self.lane.free(profiles)

    def _new(self, **profiles: int) -> None:
        """Count profiles that are new at Klaviyo."""
        for said, number in profiles.items():
            if number:
                _NEW.add(number, {"account": self.desk.account, "said": said})
        self.desk.newcomers.count(self.family.name, self.desk.now_ms(), **profiles)

    def _again(self, outbox: Outbox, again: Again, call: Call) -> None:
        now = self.desk.clock()
        if again.doubt:
            key = intent.key(self.family.name, again.group.id)
            outbox.put(key, intent.form(chain(again.group), self._left_at(call), call.lasts))
        else:
            self._still_in_doubt(outbox, again.group)
        if again.wait_s <= 0:
            self.planner.ready.append(again.group)
            return
        wait = again.wait_s if again.exact else self.desk.random.uniform(0, again.wait_s)
        self.lane.again(again.group, now + wait)

    def _left_at(self, call: Call) -> int:
        return int((self.desk.wall() - (self.desk.clock() - call.at)) * 1000)

    def _still_in_doubt(self, outbox: Outbox, group: Group) -> None:
        """An answer that tells nothing of an earlier call leaves it in doubt."""
        doubted = [row for row in chain(group) if row.doubted_at]
        if doubted:
            at_ms = min(row.doubted_at for row in doubted)
            outbox.put(intent.key(self.family.name, group.id), intent.form(doubted, at_ms, 0.0))

    def _put_back(self, outbox: Outbox, group: Group, rows: list[Row]) -> None:
        self.lane.put_back(rows)
        if rows:
            ending.dissolved(outbox, self.intake, group.id, rows)

    def _stand(self, call: Call, judged: Judged) -> None:
        """What the answer says about the lane and the account."""
        verdict = call.reply.verdict if call.reply else None
        if isinstance(verdict, Accepted | Transient):
            self.standing = self.standing.after(isinstance(verdict, Accepted))
        if isinstance(verdict, Throttled | Transient):
            call.budget.throttled(self.desk.clock(), verdict.retry_after)
            says = verdict.detail if isinstance(verdict, Transient) else "HTTP 429"
            self._outage.lasts(says, self.desk.clock())
        else:
            self._outage.over(self.desk.clock())
        if isinstance(verdict, Accepted):
            self._refusals = 0
        why = judged.stopped
        if isinstance(verdict, RejectedWhole) and judged.settled:
            self._refusals += 1
            if why is None and self._refusals >= REFUSALS:
                why = f"{self._refusals} rows running were refused, the last with {judged.settled[0].detail}"
        if why is not None:
            self._alarm(why, call.request.budget)
        elif not isinstance(verdict, Stopped | Transient | Throttled) and self._refusals < REFUSALS:
            self._goes_on()

    def _alarm(self, why: str, endpoint: str) -> None:
        facts = {"account": self.desk.account, "lane": self.family.name, "why": why}
        if self.stopped is None:
            log.error("lane_stopped", **facts, probe_s=self.desk.probe_s)
            self.probe_at = self.desk.clock() + self.desk.probe_s
        self.stopped, self._stopped_at = why, endpoint
        self.intake.stopped(why)

    def _goes_on(self) -> None:
        if self.stopped is not None:
            log.info("lane_goes_on", account=self.desk.account, lane=self.family.name)
            self.stopped, self._stopped_at = None, ""
        self.intake.stopped(None)

    def silent(self, outbox: Outbox, plan: Plan) -> None:
        """Groups with nothing to say to Klaviyo."""
        for group in plan.silent:
            ends = [Settled(row, Outcome.UNCHANGED, Reason.SAME_VALUES) for row in group.rows]
            ends, changes = self.family.accepted(group, None, ends)
            outbox.changes.update(changes)
            self.end(outbox, ends)
            if group.after is not None:
                self.planner.ready.append(group.after)
            else:
                self.lane.free(group.profiles())

    def give_up(self, outbox: Outbox, ends: Sequence[Settled]) -> None:
        """Rows end that Klaviyo is not told of."""
        if ends and isinstance(self.family, Remembering):
            outbox.changes.update(self.family.given_up(ends, self.intake.read))
        self.end(outbox, ends)

    def end(self, outbox: Outbox, ends: Sequence[Settled]) -> None:
        """Write ends; their rows are forgotten once that is committed."""
        ending.write(outbox, ends, self.intake)
        for sent in (True, False):
            rows = [end.row for end in ends if (end.outcome != Outcome.DEAD_LETTERED) == sent]
            if rows:
                self._over.append((rows, sent))

    def committed(self) -> bool:
        """Rows whose end is kept are forgotten; those with their ids that came meanwhile end, too.

        Returns:
            Whether there is more to do at once.
        """
        over, self._over = self._over, []
        more = False
        for rows, sent in over:
            again = self.lane.finished(rows, sent)
            if again or not sent:
                self.intake.ended += map(duplicate, again)
                more = True
        return more
