"""Numbers that moved to another operator and kept their digits: the plan is wrong about them, this is right.

Law: memory is ten octets a number, whatever the register's size (Russia: 21 million in 2025). A line is
``number,operator``; the number has its country code, with or without ``+``.
"""

from array import array
from collections.abc import Iterable

import numpy as np

from dispatcher._ext.numbers import RangeTable
from dispatcher.routing.plan import DIGITS, HOLDERS_MAX, Complaint


class PortedNumbers:
    """Numbers to operators. Of two lines with one number the later counts."""

    __slots__ = ("_table", "operators")

    def __init__(self, numbers: "array[int]", indexes: "array[int]", operators: Iterable[str]) -> None:
        """Take numbers as integers of 15 digits (``array("Q")``) and the index of the operator of each."""
        keys = np.frombuffer(numbers, np.uint64) if len(numbers) else np.empty(0, np.uint64)
        values = np.frombuffer(indexes, np.uint16) if len(indexes) else np.empty(0, np.uint16)
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
        last = np.append(keys[1:] != keys[:-1], True) if len(keys) else np.empty(0, bool)
        keys, values = np.ascontiguousarray(keys[last]), np.ascontiguousarray(values[last])
        self.operators = tuple(operators)
        self._table = RangeTable(keys.data, keys.data, values.data)

    def __len__(self) -> int:
        return len(self._table)

    def find(self, number: str) -> str | None:
        """Return the operator that the digits of a number moved to; None: it did not move."""
        found = self._table.find(number)
        return None if found < 0 else self.operators[found]


def parse_ported(lines: Iterable[str]) -> tuple[PortedNumbers, list[Complaint]]:
    """Return the numbers of a file's lines, and what is wrong with the others. A heading is passed over."""
    numbers, indexes = array("Q"), array("H")
    operators: dict[str, int] = {}
    complaints: list[Complaint] = []
    for line, text in enumerate(lines, 1):
        number, _, operator = text.strip().partition(",")
        digits, operator = number.strip().removeprefix("+"), operator.strip()
        if not digits and not operator:
            continue
        if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS):
            if line > 1:
                complaints.append(Complaint(line, f"number: expected up to {DIGITS} digits"))
        elif not operator:
            complaints.append(Complaint(line, "operator: it is empty; expected number,operator"))
        elif len(operators) == HOLDERS_MAX and operator not in operators:
            complaints.append(Complaint(line, f"more than {HOLDERS_MAX} operators"))
        else:
            numbers.append(int(digits) * 10 ** (DIGITS - len(digits)))
            indexes.append(operators.setdefault(operator, len(operators)))
    return PortedNumbers(numbers, indexes, operators), complaints
