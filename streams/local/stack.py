"""The local stack, up, down and asked after: a Kafka broker and a schema registry on free loopback ports.

It runs under Docker where an engine answers, else from Java with the parts Maven fetched. Everything a stack
owns lies in one folder: topics, schemas, logs and `stack.json`, which records ports, cluster id and children.
A port that answers proves nothing: a part is ours when our recorded child holds the port, and, for Kafka,
when the cluster id is the one we made.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from streams.local import compose, kafka, ports, processes, registry
from streams.local.fetch import Say, StackUnavailable, data_folder, fetch, locked
from streams.local.processes import Child

__all__ = [
    "Stack",
    "StackUnavailable",
    "default_folder",
    "down",
    "kill_broker",
    "start_broker",
    "status",
    "up",
]

_PATIENCE = 60.0  # seconds for a part to answer; warm it takes 3
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: Kafka's host:port, the URL of the registry's Confluent API, process ids by part."""

    kafka: str
    registry: str
    cluster_id: str
    pids: dict[str, list[int]]
    folder: Path


@dataclass(frozen=True, slots=True)
class _State:
    """stack.json: what was started and where; ports and cluster id stay for the folder's life."""

    by: str  # "docker" or "java"
    cluster_id: str
    ports: dict[str, int]  # broker, controller, registry
    children: dict[str, Child] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """The compose file's variables."""
        return {
            "KAFKA_PORT": str(self.ports["broker"]),
            "REGISTRY_PORT": str(self.ports["registry"]),
            "KAFKA_CLUSTER_ID": self.cluster_id,
        }


def default_folder() -> Path:
    """The folder of the stack that `streams stack` speaks of."""
    return data_folder() / "stack"


def prepare(*, say: Say) -> str:
    """Tell whether "docker" or "java" runs a stack here, and fetch its parts. Raises StackUnavailable."""
    why_not = compose.engine()
    if why_not is None:
        say("stack: Docker, because its engine answers")
        return "docker"
    say(f"stack: Java, because {why_not}")
    fetch(say=say)
    return "java"


def up(folder: Path, *, say: Say) -> Stack:
    """Start what is not running, wait until all answers. Raises StackUnavailable with what to do.

    Two at once are safe: the second finds the first one's stack.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        state = _read(folder) or _new(folder, say)
        if state.by == "docker":
            return _up_docker(folder, state)
        return _up_java(folder, state, ("kafka", "registry"), say)


def down(folder: Path) -> None:
    """Stop what was started here and nothing else; topics and schemas stay for the next `up`."""
    with _held(folder) as state:
        if state is None:
            return
        if state.by == "docker":
            compose.stop(folder.absolute(), state.variables())
        processes.stop(state.children.values())
        _write(folder, replace(state, children={}))


def status(folder: Path) -> tuple[Stack | None, str]:
    """The running stack, or None; and a line that says how it stands."""
    folder = folder.absolute()
    state = _read(folder)
    if state is None:
        return None, f"no stack was started in {folder}"
    if state.by == "docker":
        found = compose.processes(folder, state.variables())
        missing = [name for name in ("kafka", "registry") if name not in found]
        if not missing and kafka.answering_cluster(f"127.0.0.1:{state.ports['broker']}") != state.cluster_id:
            missing = ["kafka"]
    else:
        missing = [name for name in ("kafka", "registry") if not _ready(state, name)]
    if missing:
        return None, f"not running: {', '.join(missing)} ({folder})"
    stack = _stack(folder, state)
    return stack, f"Kafka {stack.kafka}, registry {stack.registry}, by {state.by}"


def kill_broker(folder: Path) -> None:
    """kill -9 of the broker, as a test of what survives it."""
    with _held(folder) as state:
        if state is None:
            return
        if state.by == "docker":
            compose.kill(folder.absolute(), state.variables(), "kafka")
        elif "kafka" in state.children:
            processes.kill([state.children["kafka"]])


def start_broker(folder: Path, *, say: Say) -> Stack:
    """Start the broker again where it was: same port, same topics. Raises StackUnavailable."""
    folder = folder.absolute()
    with _held(folder) as state:
        if state is None:
            raise StackUnavailable(f"no stack was started in {folder}")
        if state.by == "docker":
            return _up_docker(folder, state)
        return _up_java(folder, state, ("kafka",), say)


def _new(folder: Path, say: Say) -> _State:
    """Choose how this folder's stack runs, for good: its data lies there."""
    by = prepare(say=say)
    found = dict(zip(("broker", "controller", "registry"), ports.free(3), strict=True))
    state = _State(by, kafka.new_cluster_id(), found)
    _write(folder, state)
    return state


def _up_docker(folder: Path, state: _State) -> Stack:
    if why_not := compose.engine():
        raise StackUnavailable(f"the stack in {folder} runs under Docker, and {why_not}: start Docker")
    compose.start(folder, state.variables())
    if kafka.answering_cluster(f"127.0.0.1:{state.ports['broker']}") != state.cluster_id:
        raise StackUnavailable(f"what answers on port {state.ports['broker']} is not the stack's broker")
    return _stack(folder, state)


def _up_java(folder: Path, state: _State, names: tuple[str, ...], say: Say) -> Stack:
    began = time.monotonic()
    missing = [name for name in names if not _running(state, name)]
    if missing:
        state = _moved(folder, state, missing, say)
        for name in missing:
            state = replace(state, children={**state.children, name: _spawn(folder, state, name, say)})
            _write(folder, state)
    try:
        for name in names:
            _wait(folder, state, name)
            if name in missing:
                say(f"stack: {name} is up after {time.monotonic() - began:.1f} s")
    except StackUnavailable:
        processes.stop([state.children[name] for name in missing])
        raise
    return _stack(folder, state)


def _spawn(folder: Path, state: _State, name: str, say: Say) -> Child:
    parts = fetch(say=say)
    if name == "registry":
        command = registry.command(parts, folder, port=state.ports["registry"])
    else:
        used = {"broker": state.ports["broker"], "controller": state.ports["controller"]}
        command = kafka.command(parts, folder, **used, cluster_id=state.cluster_id)
    return processes.spawn(command, folder / f"{name}.log", os.environ)


def _moved(folder: Path, state: _State, missing: list[str], say: Say) -> _State:
    """The state with new ports in place of those that a stranger took while the part was down."""
    of = {"kafka": ("broker", "controller"), "registry": ("registry",)}
    taken = [name for part in missing for name in of[part] if not ports.is_free(state.ports[name])]
    fresh = ports.free(len(taken), but=set(state.ports.values()))
    for name, port in zip(taken, fresh, strict=True):
        say(f"stack: another program took port {state.ports[name]}, {name} moves to {port}")
    moved = replace(state, ports={**state.ports, **dict(zip(taken, fresh, strict=True))})
    _write(folder, moved)
    return moved


def _wait(folder: Path, state: _State, name: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _ready(state, name):
        ended = not _running(state, name)
        if not ended and time.monotonic() < deadline:
            time.sleep(_POLL)
            continue
        log = folder / f"{name}.log"
        said = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        happened = "ended at once" if ended else f"did not answer within {_PATIENCE:.0f} s"
        raise StackUnavailable(f"{name} {happened}; the last lines of {log}:\n{said}")


def _ready(state: _State, name: str) -> bool:
    port = state.ports["broker" if name == "kafka" else "registry"]
    if not _running(state, name) or not processes.listens(state.children[name], port):
        return False
    if name == "kafka":
        return kafka.answering_cluster(f"127.0.0.1:{port}") == state.cluster_id
    return registry.answers(port)


def _running(state: _State, name: str) -> bool:
    return name in state.children and processes.alive(state.children[name])


def _stack(folder: Path, state: _State) -> Stack:
    if state.by == "docker":
        pids = compose.processes(folder, state.variables())
    else:
        pids = {name: [child.pid] for name, child in state.children.items()}
    return Stack(
        kafka=f"127.0.0.1:{state.ports['broker']}",
        registry=f"http://127.0.0.1:{state.ports['registry']}{registry.PATH}",
        cluster_id=state.cluster_id,
        pids=pids,
        folder=folder,
    )


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[_State | None]:
    """The state under the folder's lock, None where no stack ever was."""
    if _read(folder) is None:
        yield None
        return
    with locked(folder / "lock"):
        yield _read(folder)


def _read(folder: Path) -> _State | None:
    try:
        told = json.loads((folder / "stack.json").read_text())
    except FileNotFoundError:
        return None
    children = {name: Child(**child) for name, child in told.pop("children").items()}
    return _State(**told, children=children)


def _write(folder: Path, state: _State) -> None:
    """Whole or not at all: `status` reads without the lock."""
    draft = folder / "stack.json.new"
    draft.write_text(json.dumps(asdict(state), indent=1))
    draft.replace(folder / "stack.json")
