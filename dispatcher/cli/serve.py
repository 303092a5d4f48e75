"""``dispatcher serve``: run the dispatcher as a daemon, in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from dispatcher.cli.exits import Exit, fail


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "serve",
        help="run the dispatcher",
        description="Run the dispatcher until SIGTERM, which drains it. SIGHUP reloads the configuration, "
        "SIGUSR1 says the state in the log, SIGUSR2 opens the log's file anew.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="TOML; conf.d/*.toml beside it belongs to it (/etc/dispatcher/dispatcher.toml for root)",
    )


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    import asyncio
    import signal

    import uvloop

    from dispatcher.daemon import Daemon
    from dispatcher.errors import ConfigError
    from dispatcher.files import default_path, load
    from dispatcher.logs import Logs

    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # too early for them, and no reason to die
    try:
        loaded = load((given.config or default_path()).absolute())
    except ConfigError as error:
        for problem in str(error).splitlines():
            fail("serve", problem, Exit.CONFIG)
        return Exit.CONFIG
    logs = Logs(loaded.config.log, loaded.folder)
    logs.start()

    async def live() -> Exit:
        return await Daemon(loaded, logs).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(live())
    finally:
        logs.stop()
