"""The bridge's process: it bridges in a thread, answers on its admin port, ends in time."""

import asyncio
import signal
import threading
from typing import Final

from streams.config import Config
from streams.engine.errors import Away
from streams.engine.telemetry import serve_admin
from streams.gateway.bridge import STAGE, run
from streams.gateway.bridge_watch import STUCK_S, Watch
from streams.gateway.foreign import LOOK_S, Crossing

STOP_S: Final = 3.5


async def serve(config: Config, crossing: Crossing) -> None:
    """Run until SIGTERM or SIGINT; ends within 5 s even where brokers are away.

    Raises:
        Misconfigured: as ``run`` says.
        Away: the library does not come back from a transaction (librdkafka issue 5456): only a new process
            goes on.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    failed: list[Exception] = []
    watch = Watch(crossing.source)

    def work() -> None:
        try:
            run(config, crossing, stop, watch)
        except Exception as error:
            failed.append(error)

    # librdkafka's calls don't end at a signal: they run apart, and what hangs is left behind, uncommitted
    worker = threading.Thread(target=work, name=STAGE, daemon=True)
    async with serve_admin(config, STAGE, ready=lambda: watch.joined):
        worker.start()
        while worker.is_alive() and not stop.is_set():
            await asyncio.sleep(LOOK_S)
            if watch.late:
                raise Away(f"a transaction did not end within {STUCK_S:.0f} s: nothing of it is kept")
        await asyncio.to_thread(worker.join, STOP_S)
    if failed:
        raise failed[0]
