"""Where threads are kept: checkpoints in a SQLite file or in memory, holding plain data and nothing else.

A thread is one episode that can be gone on with, by an id of the caller's. Beside the file `NAME` lies the folder
`NAME.files`, with a folder for each thread, named by the hash of its id: what its searches brought, as recordings.
"""

import fcntl
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import EXT_NUMPY_ARRAY, JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from tools.errors import CheckpointError, InputError, boundary

_ALLOWED = (("langgraph.types", "Interrupt"),)
"""The only class in a checkpoint, LangGraph's own mark of a question; all else is null, number, text, list and map."""

_MAX_ID_CHARS = 200
_MOST_IN_MEMORY = 256


class PlainSerializer(JsonPlusSerializer):
    """Write as LangGraph does, and read nothing but plain data: other checkpoints are refused, not read in part."""

    def __init__(self) -> None:
        super().__init__(allowed_msgpack_modules=_ALLOWED)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the value; CheckpointError if it holds anything but plain data, or cannot be read."""
        kind, packed = data
        remedy = "Do not use this file, or start a new thread."
        with boundary(CheckpointError, "a checkpoint cannot be read", remedy=remedy):
            strange = [kind] if kind not in ("null", "msgpack") else _strange(packed) if kind == "msgpack" else []
            if strange:
                raise CheckpointError(f"a checkpoint holds {strange[0][:100]}, not plain data.", remedy=remedy)
            return super().loads_typed(data)


def _strange(packed: bytes) -> list[str]:
    """Return the names of what is not plain, without making any of it."""
    found: list[str] = []

    def look(code: int, data: bytes) -> Any:
        inner = ormsgpack.unpackb(data, ext_hook=look, option=ormsgpack.OPT_NON_STR_KEYS)
        named = isinstance(inner, list) and len(inner) > 1 and code != EXT_NUMPY_ARRAY
        if not named or (inner[0], inner[1]) not in _ALLOWED:
            found.append(f"{inner[0]}.{inner[1]}" if named else "an array" if code == EXT_NUMPY_ARRAY else "a class")

    ormsgpack.unpackb(packed, ext_hook=look, option=ormsgpack.OPT_NON_STR_KEYS)
    return found


@dataclass(frozen=True)
class Held:
    """A thread that nobody else may run meanwhile: its checkpoints, and the folder for what its searches bring."""

    saver: BaseCheckpointSaver[Any]
    folder: Path | None


class Threads(Protocol):
    """Where threads are kept."""

    def hold(self, thread_id: str) -> AbstractAsyncContextManager[Held]:
        """Hold a thread; InputError for an unusable id or one that is being run, CheckpointError if it fails."""
        ...


class FileThreads:
    """Keep threads in a SQLite file, each write on the disk before the run goes on; safe for many processes."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser()

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncIterator[Held]:
        """Hold a thread; the system lets go of it for a process that is killed."""
        folder = self._path.with_name(f"{self._path.name}.files") / hashlib.sha256(check_id(thread_id)).hexdigest()
        with _saving(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / "lock").open("w")
        with lock:
            _lock(lock.fileno(), thread_id)
            with _saving(self._path):
                connection = await aiosqlite.connect(self._path)
            try:
                yield Held(_FileSaver(connection, self._path), folder)
            finally:
                await connection.close()


class MemoryThreads:
    """Keep the newest threads of this process that asked a question; the others are forgotten when they are left."""

    def __init__(self) -> None:
        self._saver = InMemorySaver(serde=PlainSerializer())
        self._asked: dict[str, None] = {}
        self._running: set[str] = set()

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncIterator[Held]:
        """Hold a thread; when it is left, the oldest of too many is forgotten."""
        check_id(thread_id)
        if thread_id in self._running:
            raise _running(thread_id)
        self._running.add(thread_id)
        try:
            yield Held(self._saver, None)
        finally:
            self._running.discard(thread_id)
            self._asked.pop(thread_id, None)
            if self._has_asked(thread_id):
                self._asked[thread_id] = None
            else:
                self._saver.delete_thread(thread_id)
            for old in [known for known in self._asked if known not in self._running][:-_MOST_IN_MEMORY]:
                del self._asked[old]
                self._saver.delete_thread(old)

    def _has_asked(self, thread_id: str) -> bool:
        last = self._saver.get_tuple({"configurable": {"thread_id": thread_id}})
        return last is not None and "candidates" in last.checkpoint["channel_values"]


class _FileSaver(AsyncSqliteSaver):
    """LangGraph's saver, whose faults name the file."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        super().__init__(connection, serde=PlainSerializer())
        self._path = path

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with _saving(self._path):
            return await super().aget_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        with _saving(self._path):
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        with _saving(self._path):
            await super().aput_writes(config, writes, task_id, task_path)


def check_id(thread_id: str) -> bytes:
    """Return a thread's id as bytes; InputError if it is empty, too long, or not text that can be written."""
    if not 0 < len(thread_id) <= _MAX_ID_CHARS or not thread_id.isprintable():
        remedy = f"Name it with 1 to {_MAX_ID_CHARS} printable characters."
        raise InputError("the thread's id cannot be used.", remedy=remedy)
    return thread_id.encode()


def _saving(path: Path) -> AbstractContextManager[None]:
    remedy = f"Check its rights and the room on the disk, then ask with the same thread again: {path}"
    return boundary(CheckpointError, f"the checkpoints in {path.name} cannot be used", remedy=remedy)


def _lock(handle: int, thread_id: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _running(thread_id) from error


def _running(thread_id: str) -> InputError:
    return InputError(f"the thread {thread_id!r} is being run.", remedy="Wait until it is through, or name another.")
