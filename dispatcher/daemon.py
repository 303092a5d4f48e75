"""The dispatcher as a process: start in order, signals, reload, drain, stop in reverse.

::

    configuration, log        before the loop: cli/serve.py
    dispatcher.open()         from here on messages are accepted
    parts, one by one         HTTP, admin port, webhooks, event files: see parts.py
    READY=1                   systemd is told
    SIGTERM, SIGINT           drain: 503, answers, parts in reverse, unbind, flush; exit code 0
    a second one              stop at once; the journal holds what waits
    SIGHUP                    read the files again; all of it is taken up, or nothing
    SIGUSR1, SIGUSR2          say the state in the log; open the files of log and events anew

Law: nothing that this process is told to do can make it lose a message: whatever goes wrong here, leaving is
safe, because what was accepted is in the journal.
"""

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from dispatcher import __version__
from dispatcher.cli.exits import Exit, explain
from dispatcher.config import Config
from dispatcher.errors import ConfigError, StoreError
from dispatcher.files import Loaded, load, located
from dispatcher.logs import Logs
from dispatcher.parts import Owner, Part, dispatcher_of, parts_of
from dispatcher.reload import changes_beside
from dispatcher.stalls import StallWatch
from dispatcher.systemd import STARTING_S, Systemd

log = logging.getLogger("dispatcher.daemon")

OVERTIME_S: Final = 3.0
"""After the limit of a drain, for what cannot be hurried: the last commit, the book, the log."""
FAILED_S: Final = 4.5
"""A failed journal: out within 5 s, so that a new process can open it (F21)."""
FAILED_PART_MS: Final = 500
"""Of that, for each part."""
POLL_S: Final = 0.02
UNCHANGED: Final = "nothing has changed; files of secrets and certificates were read again"
COLLECT_OBJECTS: Final = 10_000
"""That may be garbage until the collector looks at them: a millisecond of its work at most."""
TASKS_MAX: Final = 50
"""Lines about tasks in a dump of the state; tasks at the same place are one line."""


class Daemon:
    """One process: `run` it to its end. Parts may read all of its attributes."""

    def __init__(
        self,
        loaded: Loaded,
        logs: Logs,
        parts: Callable[[Owner], Sequence[Part]] | None = None,
        systemd: Systemd | None = None,
    ) -> None:
        self.loaded = loaded
        self.logs = logs
        self.dispatcher = dispatcher_of(loaded.config, loaded.folder)
        self.stage: Literal["starting", "ready", "draining", "failed"] = "starting"
        self.stalls = StallWatch(loaded.config.process.stall_ms)
        self.started_s = time.monotonic()
        self.on_reopen: list[Callable[[], None]] = [logs.reopen]
        self._parts_of = parts or parts_of
        self._parts: list[Part] = []
        self._systemd = systemd or Systemd()
        self._stop = asyncio.Event()
        self._reload_due = asyncio.Event()

    def __repr__(self) -> str:
        up_s = int(time.monotonic() - self.started_s)
        return (
            f"<Daemon {self.stage} for {up_s} s, pid {os.getpid()}: {self.stalls.stalls} stalls, "
            f"the longest {self.stalls.longest_ms} ms, {self.logs.dropped} log lines dropped>"
        )

    @property
    def config(self) -> Config:
        """What is in force."""
        return self.loaded.config

    @property
    def folder(self) -> Path:
        """Where relative file names of the configuration start."""
        return self.loaded.folder

    async def run(self) -> Exit:
        """Live until a signal or a failure; return the exit code."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_exception_of_nobody)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop, number)
        for number, call in (
            (signal.SIGHUP, self._reload_due.set),
            (signal.SIGUSR1, self.dump),
            (signal.SIGUSR2, self._reopen),
        ):
            loop.add_signal_handler(number, call)
        self.stalls.start()
        alive = loop.create_task(self._say_alive(), name="watchdog")
        try:
            return await self._live()
        finally:
            alive.cancel()
            self.stalls.stop()

    async def _live(self) -> Exit:
        if (code := await self._started()) is not None:
            return code
        reloads = asyncio.create_task(self._reloads(), name="reloads")
        failed = asyncio.create_task(self.dispatcher.wait_failed(), name="failure of the journal")
        stopped = asyncio.create_task(self._stop.wait(), name="signal")
        await asyncio.wait({failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (reloads, failed, stopped):
            task.cancel()
        if self.dispatcher.failure is not None:
            return await self._fail(self.dispatcher.failure)
        return await self._drain()

    # ---- start ----

    async def _started(self) -> Exit | None:
        """Start everything; return None, or the exit code where that is not to be."""
        loop = asyncio.get_running_loop()
        waiting = loop.create_task(self._say_starting(), name="start")
        start = loop.create_task(self._start(), name="start")
        stopped = loop.create_task(self._stop.wait(), name="signal")
        await asyncio.wait({start, stopped}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        stopped.cancel()
        if not start.done():
            self._leave_after(
                OVERTIME_S, Exit.OK
            )  # reading a journal cannot be interrupted, and harms nothing
            start.cancel()
        try:
            await start
        except asyncio.CancelledError:
            code = Exit.OK
        except Exception as error:
            code = self._explained(error)
        else:
            return None
        await self._close(FAILED_PART_MS)
        return code

    async def _start(self) -> None:
        loaded = self.loaded
        log.info(
            "starting %s with %s", __version__, loaded.path, extra={"event": "starting", "pid": os.getpid()}
        )
        await self.dispatcher.open()
        for part in self._parts_of(self):
            self._parts.append(part)
            await part.start()
        _spare_collector()
        self.stage = "ready"
        self._systemd.ready("ready")
        log.info(
            "ready: %d carriers, store %s",
            len(loaded.config.carriers),
            loaded.config.store,
            extra={"event": "ready"},
        )

    def _explained(self, error: Exception) -> Exit:
        """Log why it cannot start; return the exit code."""
        said, code = type(error).__name__, Exit.SOFTWARE  # its words may be of a message
        if isinstance(error, ConfigError):
            said, code = located(str(error), self.loaded.places, self.loaded.path), Exit.CONFIG
        elif isinstance(error, StoreError):
            said, code = str(error), Exit.TEMPORARY if error.retryable else Exit.IO
        elif isinstance(error, OSError):
            said, code = explain(error)
        log.critical(
            "cannot start: %s",
            said,
            exc_info=error if code is Exit.SOFTWARE else None,
            extra={"event": "start_failed", "exit_code": int(code)},
        )
        return code

    async def _say_starting(self) -> None:
        while True:
            self._systemd.starting("starting: reading the journal")
            await asyncio.sleep(STARTING_S / 3)

    async def _say_alive(self) -> None:
        """Tell systemd that the loop turns, by turning it."""
        while self._systemd.watchdog_s is not None:
            self._systemd.alive()
            await asyncio.sleep(self._systemd.watchdog_s)

    # ---- reload ----

    async def _reloads(self) -> None:
        """Reload as often as asked, one at a time; asked twice meanwhile, once more."""
        while True:
            await self._reload_due.wait()
            self._reload_due.clear()
            self._systemd.reloading()
            try:
                await self.reload()
            except (ConfigError, OSError) as error:
                for problem in str(error).splitlines():
                    log.error(
                        "not reloaded, all stays as it was: %s", problem, extra={"event": "reload_refused"}
                    )
            except Exception:
                log.exception("not reloaded, a fault inside", extra={"event": "reload_failed"})
            self._systemd.ready("ready")

    async def reload(self) -> list[str]:
        """Read the files again and take all of it up; return what has changed, in words.

        ConfigError, OSError: nothing is changed (F98).
        """
        before = self.loaded
        loaded = await asyncio.to_thread(load, before.path)
        try:
            changed = await self._take_up(loaded.config)
        except ConfigError as error:
            await self._take_back(before.config)
            lines = str(error).splitlines()
            located_lines = [located(line, loaded.places, loaded.path) for line in lines]
            raise ConfigError("\n".join(located_lines)) from None
        except BaseException:
            await self._take_back(before.config)
            raise
        self.loaded = loaded
        self.stalls.limit_ms = loaded.config.process.stall_ms
        log.info("reloaded: %s", "; ".join(changed) or UNCHANGED, extra={"event": "reloaded"})
        return changed

    async def _take_up(self, config: Config) -> list[str]:
        changed: list[str] = await self.dispatcher.reload(config)
        for part in self._parts:
            await part.reload(config)
        await asyncio.to_thread(self.logs.change, config.log)
        return changed + changes_beside(self.config, config)

    async def _take_back(self, config: Config) -> None:
        """Go back to what was in force: it was fine a moment ago."""
        undoes: list[Callable[[Config], Awaitable[object]]] = [self.dispatcher.reload]
        for undo in (*undoes, *(part.reload for part in self._parts)):
            with suppress(ConfigError, OSError):  # files of secrets may have changed, too
                await undo(config)

    # ---- stop ----

    def _on_stop(self, number: int) -> None:
        if self._stop.is_set():
            log.warning("told to stop again: at once", extra={"event": "stopped_at_once"})
            self._leave(Exit(128 + number))
        log.info("told to stop", extra={"event": "stopping", "signal": signal.Signals(number).name})
        self._stop.set()

    async def _drain(self) -> Exit:
        """Take nothing new, send nothing new, wait for answers; then stop everything in reverse (F07)."""
        limit_ms = self.loaded.config.process.drain_ms
        self.stage = "draining"
        self._systemd.stopping("draining")
        self._leave_after(limit_ms / 1000 + OVERTIME_S, Exit.TEMPORARY)
        loop = asyncio.get_running_loop()
        end_s = loop.time() + limit_ms / 1000
        pipeline = self.dispatcher.pipeline
        pipeline.is_closing = True  # from now on whoever comes to the open doors is told 503
        lanes = [*pipeline.lanes.values(), *pipeline.leaving.values()]
        for lane in lanes:
            lane.pause(True)
        half_s = end_s - limit_ms / 2000  # the other half is for unbinding and for the doors
        while any(lane.pool.in_flight for lane in lanes) and loop.time() < half_s:
            await asyncio.sleep(POLL_S)
        left = sum(lane.pool.in_flight for lane in lanes)
        await self._stop_parts(max(100, int((end_s - loop.time()) * 500)))
        await self.dispatcher.close(max(100, int((end_s - loop.time()) * 1000)))
        log.info("stopped: %d submits were left unanswered", left, extra={"event": "stopped"})
        return Exit.OK

    async def _fail(self, failure: BaseException) -> Exit:
        """The store cannot be written: whatever was not acknowledged will be asked again (F21)."""
        self.stage = "failed"
        self._leave_after(FAILED_S, Exit.IO)
        log.critical(
            "the journal has failed, a new process has to open it: %s",
            failure,
            extra={"event": "journal_failed", "exit_code": int(Exit.IO)},
        )
        self._systemd.stopping("the journal has failed")
        await self._close(FAILED_PART_MS)
        return Exit.IO

    async def _close(self, part_limit_ms: int) -> None:
        await self._stop_parts(part_limit_ms)
        try:
            await self.dispatcher.close(0)
        except Exception:  # leaving is safe, and there is a better reason for it already
            log.exception("not closed in order", extra={"event": "close_failed"})

    async def _stop_parts(self, limit_ms: int) -> None:
        for part in reversed(self._parts):
            try:
                await part.stop(limit_ms)
            except Exception:
                log.exception("%r did not stop in order", part, extra={"event": "part_failed"})

    def _leave_after(self, seconds: float, code: Exit) -> None:
        """Leave after a time, whatever hangs."""

        def leave() -> None:
            log.error("not stopped within %.1f s: leaving", seconds, extra={"event": "stopped_at_once"})
            self._leave(code)

        timer = threading.Timer(seconds, leave)
        timer.daemon = True
        timer.start()

    def _leave(self, code: Exit) -> None:
        """End the process as it is: no worse than a kill, which the journal stands."""
        self.logs.stop(0.5)
        os._exit(code)

    # ---- state ----

    def dump(self) -> None:
        """Say in the log how everything is."""
        for line in self._state():
            log.info("%s", line, extra={"event": "state"})

    def _reopen(self) -> None:
        for reopen in self.on_reopen:
            reopen()

    def _state(self) -> Iterator[str]:
        yield repr(self)
        if self.stage != "starting":
            yield repr(self.dispatcher.journal)
            yield repr(self.dispatcher.pipeline.book)
            for lane in self.dispatcher.pipeline.lanes.values():
                yield repr(lane)
                yield repr(lane.pool)
        yield from map(repr, self._parts)
        tasks = Counter(map(_place_of, asyncio.all_tasks()))
        yield from (f"{count} of task {place}" for place, count in tasks.most_common(TASKS_MAX))
        yield from (f"thread {thread.name}" for thread in threading.enumerate())


def _place_of(task: asyncio.Task[Any]) -> str:
    name = getattr(task.get_coro(), "__qualname__", "?")
    stack = task.get_stack(limit=1)
    return f"{name} at line {stack[0].f_lineno}" if stack else name


def _spare_collector() -> None:
    """Let the collector look at garbage seldom, and at what there is from the start never.

    What messages are made of holds no cycles and is freed without it. At every 700 objects, as Python does
    it, its work was a thirtieth of the whole.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_OBJECTS)


def _exception_of_nobody(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio would, without the arguments of calls: they may hold texts (law 11)."""
    error = context.get("exception")
    what = "an exception that nobody took" if error is not None else str(context["message"]).partition("<")[0]
    log.error("in the event loop: %s", what, exc_info=error, extra={"event": "loop_error"})
