"""Which slots this process owns: opened when the group deals them to us, kept, closed when they go."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.engine.errors import Away, Fenced, StateMismatch
from streams.engine.inbox import Fetched
from streams.engine.outbox import Outbox
from streams.engine.slot import Place, Slot
from streams.engine.stage import Stage
from streams.engine.telemetry import gauge, log

REOPEN_S: Final = (0.5, 1.0, 2.0, 5.0)
MOST_SLOTS: Final = 200
"""Open ones in a process: each has a producer with its threads and a store with its files."""
_OPEN = gauge("streams_slots_open", "Slots that this process works on.")
_DIVIDED = gauge("streams_slots_divided", "Slots of which only some of the inputs are this process's.")
RESTORES: Final = 6
"""At a time: each has its buffers. A slot is fenced before, however many are restored."""
LEAVE_S: Final = 2.0
"""What takes longer to end is left: it is as if it had been killed."""
DIVIDED_S: Final = 30.0
"""In the middle of a change of partitions or members a slot may be divided; longer, it is an error."""
LOST_S: Final = 5.0
"""What was fetched so long ago and is not here was dropped on its way, as Faust may do: it is read again."""
_WAITING = gauge("streams_slots_waiting", "Slots that are this process's, beyond the most it may open.")


class Ownership:
    """One task a slot. A slot is opened only when this process has that partition of every input."""

    def __init__(
        self,
        place: Place,
        stage: Stage,
        fatal: Callable[[BaseException], None],
        *,
        most: int = MOST_SLOTS,
        skip_deleted: bool = False,
    ) -> None:
        self.consumer: Any = None
        self._place = place
        self._stage = stage
        self._fatal = fatal
        self._owned: set[int] = set()
        self._dealt = False
        self._lives: dict[int, asyncio.Task[None]] = {}
        self._made: dict[int, Slot] = {}
        """Slots from when they begin to open; ``_slots`` are those that are open."""
        self._slots: dict[int, Slot] = {}
        self._skip_deleted = skip_deleted
        self._room = asyncio.Semaphore(most)
        self._restoring = asyncio.Semaphore(RESTORES)
        self._waiting: set[int] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._awaited: dict[TP, tuple[int, int]] = {}
        self._look_at = 0.0

    async def revoked(self) -> None:
        """The group deals anew: hand out nothing more, let transactions end."""
        for slot in self._made.values():
            slot.inbox.hold()
        await asyncio.gather(*(slot.settle() for slot in self._made.values()))

    def assigned(self, tps: set[TP]) -> None:
        """What was dealt to this process."""
        topics: defaultdict[int, set[str]] = defaultdict(set)
        for topic, partition in tps:
            topics[partition].add(topic)
        wanted = {self._place.prefix + topic for topic in self._place.inputs}
        self._owned = {partition for partition, named in topics.items() if wanted <= named}
        self._dealt = True
        log.info("assigned", stage=self._stage.name, partitions=sorted(self._owned))
        self._watch_divided(sorted(topics.keys() - self._owned))
        for partition in self._waiting - self._owned:
            self._lives[partition].cancel()
        for partition, slot in self._made.items():
            slot.inbox.release() if partition in self._owned else slot.inbox.revoke()
        for partition in sorted(self._owned):
            life = self._lives.get(partition)
            if life is None or life.done():
                self._lives[partition] = asyncio.create_task(self._live(partition), name=f"slot {partition}")

    def _watch_divided(self, partitions: list[int]) -> None:
        """Nobody can work on a slot of which another process has an input: say so if it lasts."""
        _DIVIDED.set(len(partitions), {"stage": self._stage.name})
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if partitions:
            tell = partial(log.error, "slot_divided", stage=self._stage.name, partitions=partitions)
            self._alarm = asyncio.get_running_loop().call_later(DIVIDED_S, tell)

    async def _live(self, partition: int) -> None:
        """One slot from assignment to revocation; beyond the most there may be it waits for another to go."""
        if self._room.locked():
            log.warning("slot_waits", stage=self._stage.name, partition=partition, open=len(self._slots))
        self._wait(partition, waits=True)
        try:
            async with self._room:
                self._wait(partition, waits=False)
                await self._work(partition)
        finally:
            self._wait(partition, waits=False)

    def _wait(self, partition: int, *, waits: bool) -> None:
        self._waiting.add(partition) if waits else self._waiting.discard(partition)
        _WAITING.set(len(self._waiting), {"stage": self._stage.name})

    async def _work(self, partition: int) -> None:
        """Keep the slot open for as long as it is ours: reopened when the broker was away."""
        failures = 0
        while partition in self._owned:
            slot = self._made[partition] = Slot(self._place, partition, self)
            try:
                if await self._open(slot):
                    failures = 0
                    await self._stage.run(slot)
            except Away as away:
                pause = REOPEN_S[min(failures, len(REOPEN_S) - 1)]
                failures += 1
                log.warning("slot_reopens", stage=slot.stage, partition=partition, in_s=pause, why=str(away))
                await asyncio.sleep(pause)
            except Fenced as fenced:
                if await self._still_ours(slot):
                    self._fatal(fenced)
                    return
            except asyncio.CancelledError:
                return
            except BaseException as unexpected:  # nothing may be skipped: the process ends, the log says why
                self._fatal(unexpected)
                return
            finally:
                del self._made[partition]
                self._slots.pop(partition, None)
                _OPEN.set(len(self._slots), {"stage": slot.stage})
                await self._close(slot)

    async def _close(self, slot: Slot) -> None:
        """Nobody would work on a slot that can't be closed: opened again it finds its folder locked."""
        try:
            await slot.close()
        except Exception as unexpected:
            self._fatal(unexpected)

    async def _still_ours(self, slot: Slot) -> bool:
        """A revocation may be under way; what stays ours although we were fenced is an error."""
        try:
            async with asyncio.timeout(5):
                await slot.revoked.wait()
        except TimeoutError:
            return True
        return False

    async def _open(self, slot: Slot) -> bool:
        """Bring a slot to where it can read; False when it went elsewhere meanwhile."""
        applied = await slot.open(self._restoring)
        tps = {topic: TP(self._place.prefix + topic, slot.partition) for topic in self._place.inputs}
        try:
            first = await self.consumer.earliest_offsets(*tps.values())
        except (KafkaError, TimeoutError) as error:
            raise Away(f"where the inputs begin can't be told: {error!r}") from error
        gone = {
            topic: tp for topic, tp in tps.items() if slot.inbox.next.setdefault(topic, first[tp]) < first[tp]
        }
        for topic, tp in gone.items():
            self._skip(tp, slot.inbox.next[topic], first[tp])
            slot.skip(topic, first[tp])
        if gone:  # nothing need ever come that would write it down
            await slot.commit(Outbox())
        if slot.revoked.is_set():  # and if it is ours again, another was at work in between
            return False
        self._slots[slot.partition] = slot
        _OPEN.set(len(self._slots), {"stage": slot.stage})
        await self.consumer.seek_wait({tp: slot.inbox.next[topic] for topic, tp in tps.items()})
        self.consumer.resume_partitions(set(tps.values()))
        log.info(
            "slot_open", stage=slot.stage, partition=slot.partition, restored=applied, next=slot.inbox.next
        )
        return True

    def _skip(self, tp: TP, start: int, first: int) -> None:
        """Go on without records that are gone, if whoever runs this said so."""
        if not self._skip_deleted:
            raise StateMismatch(
                f"{tp.topic} [{tp.partition}] begins at {first}, this stage stopped at {start}: "
                f"{first - start} records were deleted unread. Raise the topic's retention; to go on without "
                f"them: `streams worker {self._stage.name} --skip-deleted` (`streams audit` names what is "
                "missing)."
            )
        log.error("deleted_skipped", stage=self._stage.name, topic=tp.topic, partition=tp.partition,
                  first=start, end=first)  # fmt: skip

    def ready(self) -> bool:
        """Whether the group has dealt and every slot that is ours, and has room, is open."""
        return self._dealt and self._owned - self._waiting <= self._slots.keys()

    def places(self, tps: set[TP]) -> dict[TP, int]:
        """Where to read on in those of ``tps`` whose slots are open."""
        found = {}
        for tp in tps:
            topic = self._logical(tp)
            if (slot := self._slots.get(tp.partition)) is not None and topic in slot.inbox.next:
                found[tp] = slot.inbox.next[topic]
        return found

    def readable(self, tps: set[TP]) -> set[TP]:
        """Those of ``tps`` whose slot is open and can take records."""
        return {
            tp
            for tp in tps
            if (slot := self._slots.get(tp.partition)) is not None and slot.inbox.readable(self._logical(tp))
        }

    async def arrive(self, tp: TP, fetched: Fetched) -> None:
        """Hand fetched records to their slot; without one they are fetched again later.

        What was fetched from further on than the slot stands was on its way when the slot was opened again:
        taking it in would pass over all between, so that it is read again.
        """
        slot = self._slots.get(tp.partition)
        if slot is None:
            return
        topic = self._logical(tp)
        expected = slot.inbox.next.get(topic, 0)
        if fetched.start > expected:
            log.info("read_again", stage=self._stage.name, partition=tp.partition, topic=topic, at=expected)
            await self.consumer.seek_wait({tp: expected})
        else:
            slot.inbox.arrive(topic, fetched.records)

    async def recover(self) -> None:
        """Read again what was fetched and has not come; where more comes, its gap tells sooner."""
        if not self._slots or (now := monotonic()) < self._look_at:
            return
        self._look_at = now + LOST_S
        before = self._awaited
        standing = self.places(self.consumer.assignment())
        ends = {tp: self.consumer.behind(tp) for tp in standing}
        self._awaited = {tp: (at, ends[tp]) for tp, at in standing.items() if at < ends[tp]}
        lost = {tp: each[0] for tp, each in self._awaited.items() if before.get(tp) == each}
        if lost:
            log.warning("fetched_lost", stage=self._stage.name, at={str(tp): at for tp, at in lost.items()})
            await self.consumer.seek_wait(lost)

    def _logical(self, tp: TP) -> str:
        topic: str = tp.topic
        return topic.removeprefix(self._place.prefix)

    def _tp(self, topic: str, partition: int) -> TP:
        return TP(self._place.prefix + topic, partition)

    def pause(self, topic: str, partition: int) -> None:
        """Read no further."""
        self.consumer.pause_partitions({self._tp(topic, partition)})

    def resume(self, topic: str, partition: int) -> None:
        """Read on."""
        self.consumer.resume_partitions({self._tp(topic, partition)})

    def committed(self, topic: str, partition: int, offset: int) -> None:
        """Everything below is done: for lag displays."""
        self.consumer.done(self._tp(topic, partition), offset)

    def empty(self, topic: str, partition: int, position: int) -> bool:
        """Whether nothing lies behind ``position``, from a fetch younger than a second."""
        return bool(self.consumer.empty(self._tp(topic, partition), position))

    async def stop(self) -> None:
        """End every slot: transactions under way end, the rest is somebody else's."""
        self._owned = set()
        self._watch_divided([])
        for slot in self._slots.values():
            slot.inbox.hold()
        await asyncio.gather(*(slot.settle() for slot in self._slots.values()))
        for slot in self._made.values():
            slot.inbox.revoke()
        for partition in self._waiting:
            self._lives[partition].cancel()
        late = set(self._lives.values())
        if late:
            _, late = await asyncio.wait(late, timeout=LEAVE_S)
        for life in late:
            life.cancel()
        if late:
            await asyncio.wait(late, timeout=LEAVE_S)
