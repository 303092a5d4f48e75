"""``dispatcher openapi``: the OpenAPI document of the HTTP API, for those who generate clients."""

from __future__ import annotations

import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "openapi",
        help="print the OpenAPI document of the HTTP API",
        description="Print what GET /openapi.json answers: OpenAPI 3.1, as JSON.",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print the document."""
    import msgspec

    from dispatcher import __version__
    from dispatcher.ingest.operations import described

    print(msgspec.json.format(msgspec.json.encode(described(__version__)), indent=1).decode())
    return 0
