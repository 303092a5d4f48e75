"""``dispatcher segments``: what a text, or a file of texts, costs and why.

A single text is explained; of a file every text is counted, refused ones are named by their line, and the
totals come last. Files are read in slices: memory does not grow with them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from dispatcher.cli.exits import Exit, fail

if TYPE_CHECKING:
    from dispatcher.encoding import Explanation, Options, Segmented

_SLICE = 10_000  # texts counted at a time: a few megabytes, and the batch form is at full speed


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "segments",
        help="count the segments of a text or of a file of texts",
        description="Count the segments of a text, or of every text in a file, and say what forces the cost.",
    )
    parser.set_defaults(run=run)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", metavar="TEXT", help="the text; '-' reads it from standard input")
    what.add_argument("--file", metavar="FILE", help="UTF-8, one text a line ('-' is standard input)")
    parser.add_argument("--column", metavar="NAME", help="FILE is CSV with a header line; take this column")
    parser.add_argument("--json", action="store_true", help="JSON for programs, one object a line")
    parser.add_argument("--price", type=_price, metavar="P", help="price of a segment, e.g. 2.45")
    parser.add_argument("--max-segments", type=int, metavar="N", help="refuse longer texts (default 10)")
    parser.add_argument("--alphabet", metavar="A", help="force gsm7, ucs2, latin1 or ascii")
    parser.add_argument("--allow", type=_names, metavar="A,B", help="alphabets to choose from (gsm7,ucs2)")
    parser.add_argument("--languages", type=_names, metavar="L,M", help="national tables allowed, e.g. tr,pt")
    parser.add_argument("--reference-bits", type=int, metavar="8|16", help="concatenation reference (8)")


def _price(value: str) -> Decimal:
    try:
        price = Decimal(value)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number") from None
    if not price.is_finite() or not 0 <= price <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{value!r} is not a price from 0 to 1000000")
    return price


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    from dispatcher.encoding import ConfigError, encoder

    names = ("max_segments", "alphabet", "allow", "languages", "reference_bits")
    options: Options = {name: getattr(given, name) for name in names if getattr(given, name) is not None}  # type: ignore[assignment]
    try:
        encoder(**options)
    except ConfigError as error:
        return _fail(str(error), Exit.USAGE)
    if given.column is not None and given.file is None:
        return _fail("--column goes with --file", Exit.USAGE)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever the terminal can show
    if given.file is None:
        return _run_text(given, options)
    try:
        opened = _open(given.file)
    except OSError as error:
        return _fail(f"{given.file}: {error.strerror}", Exit.NO_INPUT)
    with opened as file:
        return _run_file(given, options, file)


def _fail(message: str, code: Exit) -> Exit:
    return fail("segments", message, code)


def _open(name: str) -> AbstractContextManager[TextIO]:
    if name == "-":
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")
        return nullcontext(sys.stdin)
    return Path(name).open(encoding="utf-8-sig", errors="surrogateescape", newline="")


# ---- one text ----


def _run_text(given: argparse.Namespace, options: Options) -> int:
    from dispatcher.encoding import EncodingError, explain, segment

    text = given.text
    if text == "-":
        with _open("-") as file:
            text = file.read().removesuffix("\n").removesuffix("\r")
    if _is_no_utf8(text):
        return _fail("the text is not UTF-8", Exit.DATA)
    try:
        message, explanation = segment(text, **options), explain(text, **options)
    except EncodingError as error:
        return _fail(str(error), Exit.DATA)
    if given.json:
        print(json.dumps(_as_json(message, explanation, given.price), ensure_ascii=False))
    else:
        print("\n".join(describe(message, explanation, given.price)))
    return 0


def describe(message: Segmented, explanation: Explanation, price: Decimal | None = None) -> Iterator[str]:
    """Yield the lines that explain one text to a person."""
    units = {"gsm7": "septets", "ucs2": "UTF-16 units"}.get(message.alphabet, "octets")
    alphabet = f"{message.alphabet} ({message.language})" if message.language else message.alphabet
    yield (
        f"{alphabet}: {_many(len(message), 'segment')}, {explanation.units} {units}, "
        f"{explanation.free} free, data_coding 0x{message.data_coding:02X}, "
        f"esm_class 0x{message.esm_class:02X}"
        + (f", cost {price * len(message):f}" if price is not None else "")
    )
    for part in message.segments:
        header = f"  UDH {part.udh.hex()}" if part.udh else ""
        yield f"  {part.number}/{part.total}  {part.units:3} units{header}  {_shown(part.text)}"
    for what, costs in (("not in gsm7", explanation.forced), ("two units each", explanation.doubled)):
        if costs:
            places: dict[str, list[str]] = {}
            for cost in costs:
                places.setdefault(cost.character, []).append(str(cost.position))
            shown = (f"{_shown(character)} at {_few(at)}" for character, at in islice(places.items(), 8))
            more = f", and {len(places) - 8} more" if len(places) > 8 else ""
            yield f"  {what}: {', '.join(shown)}{more}"
    for suggestion in explanation.suggestions:
        edited = _many(suggestion.edited, "character")
        how = (
            f"take {edited} off the end"
            if suggestion.actions == ("shorten",)
            else f"{' + '.join(suggestion.actions)} ({edited})"
        )
        yield f"  cheaper: {how} -> {_many(suggestion.segments, 'segment')} of {suggestion.alphabet}"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _few(places: list[str]) -> str:
    return " ".join(places[:4]) + (f" and {len(places) - 4} more" if len(places) > 4 else "")


def _shown(text: str) -> str:
    """A text on one line: quoted, invisible characters escaped, the middle of a long one left out."""
    quoted = repr(text)
    return quoted if len(quoted) <= 60 else f"{quoted[:38]} … {quoted[-18:]}"


def _as_json(message: Segmented, explanation: Explanation, price: Decimal | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "alphabet": message.alphabet,
        "language": message.language,
        "units": message.units,
        "free": explanation.free,
        "data_coding": message.data_coding,
        "esm_class": message.esm_class,
        "segments": [
            {
                "number": part.number,
                "units": part.units,
                "udh": part.udh.hex(),
                "user_data": part.user_data.hex(),
                "text": part.text,
            }
            for part in message.segments
        ],
        "forced": [cost._asdict() for cost in explanation.forced],
        "doubled": [cost._asdict() for cost in explanation.doubled],
        "suggestions": [
            {
                "actions": suggestion.actions,
                "edited": suggestion.edited,
                "text": suggestion.text,
                "alphabet": suggestion.alphabet,
                "segments": suggestion.segments,
            }
            for suggestion in explanation.suggestions
        ],
    }
    if price is not None:
        result["cost"] = f"{price * len(message):f}"
    return result


# ---- a file ----


def _run_file(given: argparse.Namespace, options: Options, file: TextIO) -> int:
    from dispatcher.encoding import count_batch

    totals = {"texts": 0, "segments": 0, "refused": 0}
    alphabets: dict[str, int] = {}
    try:
        texts = _column(file, given.column) if given.column is not None else _lines(file)
        while batch := list(islice(texts, _SLICE)):
            counts = count_batch(cast("list[str]", [text for _, text in batch]), **options)  # None is refused
            rows = zip(
                batch, counts.alphabet.tolist(), counts.units.tolist(), counts.segments.tolist(), strict=True
            )
            for (line, text), alphabet, units, segments in rows:
                reason = "" if segments else _reason(text, options)
                if given.json:
                    row = {"line": line, "alphabet": alphabet, "units": units, "segments": segments}
                    print(json.dumps({"line": line, "error": reason} if reason else row))
                elif reason:
                    _fail(f"line {line}: {reason}", Exit.DATA)
                alphabets[alphabet] = alphabets.get(alphabet, 0) + segments
            totals["texts"] += len(batch)
            totals["segments"] += int(counts.segments.sum())
            totals["refused"] += int((counts.segments == 0).sum())
    except _UnreadableError as error:
        return _fail(f"{given.file}: {error}", Exit.DATA)
    alphabets.pop("", None)
    cost = None if given.price is None else given.price * totals["segments"]
    if given.json:
        total: dict[str, Any] = {**totals, "by_alphabet": alphabets}
        print(json.dumps({"totals": total if cost is None else {**total, "cost": f"{cost:f}"}}))
    else:
        print(
            f"{_many(totals['texts'], 'text')}, {_many(totals['segments'], 'segment')}"
            + "".join(f", {number:,} of {name}" for name, number in sorted(alphabets.items()))
            + (f", {totals['refused']:,} refused" if totals["refused"] else "")
            + (f", cost {cost:,f}" if cost is not None else "")
        )
    return Exit.DATA if totals["refused"] else 0


class _UnreadableError(Exception):
    """The file as a whole cannot be read as asked."""


def _lines(file: TextIO) -> Iterator[tuple[int, str | None]]:
    for line, text in enumerate(file, 1):
        yield line, text.removesuffix("\n").removesuffix("\r")


def _column(file: TextIO, name: str) -> Iterator[tuple[int, str | None]]:
    rows: Iterable[list[str]] = csv.reader(file, strict=True)
    reader = iter(rows)
    try:
        header = next(reader, None)
        if header is None or name not in header:
            known = ", ".join(header) if header else "none: the file is empty"
            raise _UnreadableError(f"no column {name!r}; the header line names {known}")
        index = header.index(name)
        for row in reader:
            if row:
                yield rows.line_num, row[index] if index < len(row) else None  # type: ignore[attr-defined]
    except csv.Error as error:
        raise _UnreadableError(f"not CSV: {error}") from None


def _is_no_utf8(text: str) -> bool:
    """Whether octets that are no UTF-8 were read with surrogateescape."""
    return any("\udc80" <= character <= "\udcff" for character in text)


def _reason(text: str | None, options: Options) -> str:
    from dispatcher.encoding import EncodingError, count

    if text is None:
        return "the row ends before the column"
    if _is_no_utf8(text):
        return "not UTF-8"
    try:
        count(text, **options)
    except EncodingError as error:
        return str(error)
    return ""
