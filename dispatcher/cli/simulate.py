"""``dispatcher simulate``: an SMSC on loopback that behaves, or misbehaves, as asked.

A file gives the whole; flags are laid over it. Without a file the flags are those of every account that binds
(or of the one that --system-id names).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispatcher.cli.exits import Exit, fail

if TYPE_CHECKING:
    from dispatcher.simulator import Settings, Simulator

_LIVE_S, _LINE_S = 1.0, 10.0


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "simulate",
        help="run an SMSC on this machine, well or badly behaved",
        description="Run a simulated SMSC. Its ledger says what really came and what really went.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML: accounts and their behaviour")
    parser.add_argument("--host", metavar="H", help="address to listen on (127.0.0.1)")
    parser.add_argument("--allow-remote", action="store_true", default=None, help="listen on others, too")
    parser.add_argument("--port", type=int, metavar="N", help="port (2775); 0 takes any")
    parser.add_argument(
        "--control-port", type=int, metavar="N", help="HTTP control on 127.0.0.1; 0 takes any"
    )
    parser.add_argument("--system-id", metavar="ID", help="the account that the flags below are about")
    parser.add_argument("--password", metavar="P", help="its password (default: any will do)")
    parser.add_argument("--seed", type=int, metavar="N", help="repeat a run (0)")
    parser.add_argument("--token", metavar="REGEX", help="what names a message in its text (the last word)")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="write the ledger here at the end")
    parser.add_argument("--counts", action="store_true", help="ledger of totals only: for benches")
    parser.add_argument("--quiet", action="store_true", help="no counters")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of FILE and exit")
    tls = parser.add_argument_group("TLS")
    tls.add_argument("--tls-certificate", metavar="FILE", help="PEM, with its chain: speak TLS, only TLS")
    tls.add_argument("--tls-key", metavar="FILE", help="PEM, where the certificate's file does not hold it")
    tls.add_argument("--tls-client-ca", metavar="FILE", help="PEM: ask ESMEs for a certificate signed by it")
    tls.add_argument(
        "--tls-handshake", metavar="HOW", help="stall, close or garbage: it does not come to its end"
    )
    behaviour = parser.add_argument_group("behaviour")
    behaviour.add_argument("--latency-ms", type=float, metavar="MS", help="of responses (0)")
    behaviour.add_argument("--tps", type=float, metavar="N", help="submit_sm a second, more are throttled")
    behaviour.add_argument("--window", type=int, metavar="N", help="unanswered submit_sm of a bind")
    behaviour.add_argument(
        "--error", action="append", metavar="STATUS=SHARE", type=_share, help="0x58=0.1; may be repeated"
    )
    behaviour.add_argument("--stall", action="store_true", default=None, help="take all, answer nothing")
    behaviour.add_argument("--binds", type=int, metavar="N", help="most binds of the account")
    behaviour.add_argument("--refuse-bind", metavar="STATUS", help="0x0D, RINVPASWD")
    behaviour.add_argument("--receipts", type=float, metavar="SHARE", help="of the messages that ask (1.0)")
    behaviour.add_argument("--receipt-delay-ms", type=float, metavar="MS", help="after the response (0)")
    behaviour.add_argument("--receipts-first", type=float, metavar="SHARE", help="before their response (0)")
    behaviour.add_argument("--undelivered", type=float, metavar="SHARE", help="UNDELIV, not DELIVRD (0)")
    behaviour.add_argument("--hex-ids", action="store_true", help="hex in responses, decimal in receipts")
    behaviour.add_argument(
        "--mischief", action="append", metavar="KIND,key=value", type=_rule, help="cut,share=0.01,at_byte=7"
    )


def _share(value: str) -> tuple[str, float]:
    word, equals, share = value.partition("=")
    try:
        return word, float(share) if equals else 1.0
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r}: expected STATUS=SHARE, like 0x58=0.1") from None


def _rule(value: str) -> dict[str, Any]:
    kind, *pairs = value.split(",")
    rule: dict[str, Any] = {"kind": kind}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"{pair!r}: expected key=value")
        rule[key] = text if key in ("on", "length", "octets") else _number(text)
    return rule


def _number(text: str) -> int | float | str:
    for form in (lambda value: int(value, 0), float):
        try:
            return form(text)
        except ValueError:
            continue
    return text


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    import json

    from dispatcher.errors import ConfigError
    from dispatcher.simulator.settings import schema

    if given.schema:
        print(json.dumps(schema(), indent=2))
        return 0
    try:
        settings = _settings(given)
        return _serve(settings, given)
    except ConfigError as error:
        return _fail(str(error), Exit.CONFIG)
    except FileNotFoundError as error:
        return _fail(f"{error.filename}: {error.strerror}", Exit.NO_INPUT)
    except KeyboardInterrupt:
        return 0


def _fail(message: str, code: Exit) -> Exit:
    return fail("simulate", message, code)


# ---- from flags to settings ----


def behaviour_patch(given: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags say about an account, as a patch of its behaviour."""
    patch: dict[str, Any] = {}
    places: tuple[tuple[object, tuple[str, ...]], ...] = (
        (given.password, ("password",)),
        (given.latency_ms, ("latency_ms",)),
        (given.tps, ("tps",)),
        (given.window, ("window",)),
        (given.stall, ("stall",)),
        (dict(given.error) if given.error else None, ("errors",)),
        (given.mischief, ("mischief",)),
        (given.binds, ("bind", "binds_max")),
        (given.refuse_bind, ("bind", "refuse")),
        (given.receipts, ("receipts", "share")),
        (given.receipt_delay_ms, ("receipts", "delay_ms")),
        (given.receipts_first, ("receipts", "before_response")),
        ("HEX" if given.hex_ids else None, ("message_id", "notation")),
        ("decimal" if given.hex_ids else None, ("message_id", "receipt_notation")),
    )
    for value, path in places:
        if value is not None:
            at = patch
            for key in path[:-1]:
                at = at.setdefault(key, {})
            at[path[-1]] = value
    if given.undelivered is not None:
        states = {"DELIVRD": 1 - given.undelivered, "UNDELIV": given.undelivered}
        patch.setdefault("receipts", {})["states"] = states
    return patch


def _settings(given: argparse.Namespace) -> Settings:
    import msgspec

    from dispatcher.simulator import Behaviour, Settings, load
    from dispatcher.simulator.settings import parse, patched

    settings = load(given.config) if given.config else Settings()
    names = ("host", "allow_remote", "port", "control_port", "seed", "token")
    plain = msgspec.to_builtins(settings)
    plain |= {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    tls = {
        name: value
        for name in ("certificate", "key", "client_ca", "handshake")
        if (value := getattr(given, f"tls_{name}")) is not None
    }
    if tls:
        plain["tls"] = {**(plain["tls"] or {}), **tls}
    if given.counts:
        plain["ledger"] = "counts"
    settings = parse(plain, Settings)
    patch = behaviour_patch(given)
    accounts = dict(settings.accounts)
    if given.system_id is not None:
        accounts[given.system_id] = patched(accounts.get(given.system_id, Behaviour()), patch)
    elif patch:
        accounts = {
            name: patched(behaviour, patch, f"accounts.{name}") for name, behaviour in accounts.items()
        }
    return msgspec.structs.replace(settings, accounts=accounts)


# ---- running ----


def _serve(settings: Settings, given: argparse.Namespace) -> int:
    import asyncio

    from dispatcher.simulator import Behaviour, Simulator
    from dispatcher.simulator.settings import patched

    runner: Callable[[Any], int] = asyncio.run
    try:
        import uvloop

        runner = uvloop.run
    except ImportError:
        pass  # slower, the same
    simulator = Simulator(patched(Behaviour(), behaviour_patch(given)), settings)
    code = runner(_until_stopped(simulator, given))
    if given.ledger is not None and code == 0:
        try:
            given.ledger.write_bytes(simulator.ledger.json() + b"\n")
        except OSError as error:
            return _fail(f"{given.ledger}: {error.strerror}", Exit.CANNOT_CREATE)
    return code


async def _until_stopped(simulator: Simulator, given: argparse.Namespace) -> int:
    import asyncio
    import signal

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await simulator.start()
    except OSError as error:
        return _fail(f"{simulator.settings.host}:{simulator.port}: {error.strerror}", Exit.UNAVAILABLE)
    control = f", control on 127.0.0.1:{simulator.control.port}" if simulator.control else ""
    tls = " with TLS" if simulator.tls else ""
    print(f"SMSC on {simulator.settings.host}:{simulator.port}{tls}{control}", flush=True)
    live = sys.stdout.isatty()
    before: list[int] = [0, 0]
    period_s = _LIVE_S if live else _LINE_S
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), period_s)
        except TimeoutError:
            if not given.quiet:
                line, before = counters(simulator, before, period_s)
                print(f"\r\x1b[K{line}" if live else line, end="" if live else "\n", flush=True)
    await simulator.stop()
    line, _ = counters(simulator, before, 0)
    if not given.quiet:
        print(("\r\x1b[K" if live else "") + line, flush=True)
    return 0


def counters(simulator: Simulator, before: list[int], seconds: float) -> tuple[str, list[int]]:
    """Return one line that says how it goes, and the numbers to compare the next with."""
    totals = list(simulator.ledger.totals.values())
    submits = sum(each.submits for each in totals)
    receipts = sum(sum(each.receipts.values()) for each in totals)
    refused = sum(sum(each.responses.values()) - each.accepted for each in totals)
    rates = ""
    if seconds:
        rates = (
            f" ({(submits - before[0]) / seconds:,.0f}/s), {(receipts - before[1]) / seconds:,.0f} receipts/s"
        )
    line = (
        f"{len(simulator.connections)} connections, {submits:,} submits{rates}, "
        f"{sum(each.accepted for each in totals):,} accepted, {refused:,} refused, {receipts:,} receipts, "
        f"{sum(sum(each.acknowledged.values()) for each in totals):,} acknowledged"
    )
    return line, [submits, receipts]
