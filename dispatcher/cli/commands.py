"""The table of commands: names, groups, one line of help each. A module is imported when it is called."""

import argparse
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final, NamedTuple


class Command(NamedTuple):
    """One line of the help. ``dispatcher.cli.NAME`` is its module, whose ``add_to`` makes its parser."""

    name: str
    help: str


COMMANDS: Final[dict[str, tuple[Command, ...]]] = {
    "The daemon": (
        Command("init", "write a configuration to start with"),
        Command("serve", "run the dispatcher"),
        Command("config", "check a configuration, show what it adds up to, or its schema"),
        Command("keys", "make, list and take away API keys of the HTTP door"),
        Command("top", "show what a running dispatcher does"),
        Command("webhooks", "show who is told of events, send again what was given up"),
        Command("kafka", "make and check the topics of Kafka, print the schema of their records"),
        Command("openapi", "print the OpenAPI document of the HTTP API"),
    ),
    "Send and follow, through a running daemon": (
        Command("send", "send a message, or a file of messages"),
        Command("status", "say what has become of a message"),
        Command("events", "print what happens to messages, one JSON object a line"),
    ),
    "Texts and numbers": (
        Command("segments", "count the segments of a text or of a file of texts"),
        Command("plan", "import a numbering plan, or look a number up"),
    ),
    "The store": (
        Command("audit", "prove that a store has lost nothing"),
        Command("rebuild", "make the projection of a store anew"),
        Command("repair", "make a new journal of what is whole in a damaged one"),
    ),
    "Try it out": (
        Command("bench", "measure the dispatcher on this machine"),
        Command("simulate", "run an SMSC on this machine, well or badly behaved"),
        Command("completions", "print what makes a shell complete these commands"),
    ),
}
"""Every command, in the order of the help."""


class Parser(argparse.ArgumentParser):
    """Says what a command does not know with the usage of that command, and not with that of all."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all that is given; whatever is left is an error here."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest


def names() -> list[str]:
    """Return the names of all commands."""
    return [each.name for group in COMMANDS.values() for each in group]


def parser_of(*commands: str) -> argparse.ArgumentParser:
    """Return a parser that knows these commands, whose modules it imports."""
    parser = Parser(prog="dispatcher")
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in commands:
        import_module(f"dispatcher.cli.{name}").add_to(parsers)
    return parser


def overview() -> Iterator[str]:
    """Yield the lines of ``dispatcher --help``."""
    yield "usage: dispatcher COMMAND ..."
    yield "\nA dispatcher of SMS for those who send many: it says the truth about each, and loses none."
    for title, group in COMMANDS.items():
        yield f"\n{title}:"
        yield from (f"  {each.name:<14}{each.help}" for each in group)
    yield "\n`dispatcher help COMMAND` says more, `dispatcher help exits` lists the exit codes."


def unknown(command: str) -> str:
    """Return what to say about a command that there is not."""
    close = get_close_matches(command, names(), 1)
    hint = f"did you mean {close[0]!r}?" if close else "`dispatcher --help` lists them"
    return f"there is no command {command!r}; {hint}"
