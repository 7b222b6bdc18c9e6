"""What answers say of profiles that are new is counted, in this life and the next."""

from streams.deliver.newcomers import Newcomers
from streams.klaviyo.budgets import LIMITS
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_conflicts import update
from tests.deliver.test_lists import change, make_list, make_profiles


def counted(line: Line) -> tuple[int, int]:
    found = Newcomers()
    found.restore((key, value) for key, value in line.world.store.items() if key.startswith(b"n/"))
    new = found.of_day(operation(1)["time"])
    return new.created, new.unsaid


async def test_single_calls_say_who_is_new_whatever_lane_makes_them() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, 3)
        line = Line(sim.url)
        line.put(*(update(n, n, first_name="A") for n in range(8)))
        await line.drain()
        assert counted(line) == (5, 0)
        line.put(*(update(20 + n, n, first_name="B") for n in range(8)))
        line.put(*(change(40 + n, n) for n in range(8, 12)))
        await line.drain()
        assert counted(line) == (9, 0)
        assert len((await sim.get("profiles"))["data"]) == 12


async def test_an_import_job_says_nothing_so_the_first_import_of_each_is_the_most_there_can_be() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=5, limits=dict(LIMITS))
        line.put(*(update(n, n, first_name="A") for n in range(400)))
        await line.drain()
        created, unsaid = counted(line)
        assert created + unsaid == 400
        assert unsaid >= 200
        line.put(*(update(1000 + n, n, first_name="B") for n in range(400)))
        await line.drain()
        assert counted(line) == (created, unsaid)
