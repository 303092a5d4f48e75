"""The user data header: tolerant reading, element by element."""

from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.encoding import Concatenation, split_header
from dispatcher.encoding.udh import Ports, UserDataHeader, parse_elements
from tests import oracle

MANY: Final = settings(max_examples=400, deadline=None, print_blob=True)

elements = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 4, 5, 8, 0x24, 0x25, 0x70]) | st.integers(0, 255), st.binary(max_size=6)
    ),
    max_size=8,
)


def written(given_elements: list[tuple[int, bytes]]) -> bytes:
    """Return elements as a header without its length octet."""
    return b"".join(bytes([iei, len(data)]) + data for iei, data in given_elements)


@MANY
@given(given_elements=elements, body=st.binary(max_size=40))
def test_what_was_written_is_read(given_elements: list[tuple[int, bytes]], body: bytes) -> None:
    """All elements in order, unknown ones too, and the body untouched."""
    inside = written(given_elements)
    header, rest = split_header(bytes([len(inside)]) + inside + body)
    assert header == UserDataHeader(tuple(given_elements), len(inside) + 1, None)
    assert rest == body
    wanted = None
    for iei, data in given_elements:  # of several valid ones the last counts
        form = {(0, 3): data[:1], (8, 4): data[:2]}.get((iei, len(data)))
        if form is not None and 1 <= data[-1] <= data[-2]:
            wanted = Concatenation(int.from_bytes(form, "big"), data[-2], data[-1], 8 * len(form))
    assert header is not None
    assert header.concatenation == wanted
    shifts = {iei: data[0] for iei, data in given_elements if iei in (0x24, 0x25) and len(data) == 1}
    assert (header.single_shift, header.locking_shift) == (shifts.get(0x24, 0), shifts.get(0x25, 0))


@MANY
@given(octets=st.binary(max_size=150))
@example(b"")
@example(b"\x00")
@example(b"\x8c" + bytes(140))
@example(b"\x8b" + bytes(139))
def test_any_octets_are_taken_apart(octets: bytes) -> None:
    """No exception and nothing lost: header and body are the octets, and the elements are the twin's."""
    header, body = split_header(octets)
    told = oracle.elements_of(octets)
    if told is None:
        assert (header, body) == (None, octets)
        return
    assert header is not None
    assert octets[: header.octets] + body == octets
    assert (list(header.elements), body) == told
    length = sum(2 + len(data) for _, data in header.elements)
    assert (header.error is None) == (length == header.octets - 1)
    assert header.ports is None or isinstance(header.ports, Ports)


CASES: Final = {
    "8 bits": ("050003240301", Concatenation(0x24, 3, 1, 8)),
    "16 bits": ("0608049cfa0302", Concatenation(0x9CFA, 3, 2, 16)),
    "number 0": ("050003240300", None),
    "number beyond the total": ("050003240304", None),
    "total 0": ("050003240000", None),
    "too short": ("0400022403", None),
    "too long": ("06000424030100", None),
    "16-bit element with 8 bits": ("050803240301", None),
    "the last of two": ("0a00032403010003250302", Concatenation(0x25, 3, 2, 8)),
    "the last valid one of two": ("0a00032403010003250309", Concatenation(0x24, 3, 1, 8)),
    "16 after 8": ("0b0003030201080400040201", Concatenation(4, 2, 1, 16)),
    "8 after 16": ("0b0804000402010003030201", Concatenation(3, 2, 1, 8)),
    "one of one": ("050003240101", Concatenation(0x24, 1, 1, 8)),
    "255 of 255": ("050003ffffff", Concatenation(255, 255, 255, 8)),
    "behind ports": ("0b05040b8423f0000324ff03", Concatenation(0x24, 255, 3, 8)),
    "no elements": ("00", None),
    "before an element that runs over": ("070003240301" + "7009", Concatenation(0x24, 3, 1, 8)),
}


@pytest.mark.parametrize("name", CASES)
def test_concatenation(name: str) -> None:
    """The last valid element counts; one that contradicts itself is ignored."""
    octets, wanted = CASES[name]
    header, body = split_header(bytes.fromhex(octets))
    assert header is not None
    assert header.concatenation == wanted
    assert body == b""


PORTS: Final = {
    "16 bits": ("0605040b8423f0", Ports(2948, 9200)),
    "8 bits": ("040402ffee", Ports(255, 238)),
    "too short": ("0505030b8423", None),
    "the last of two": ("0a040201020504000a000b", Ports(10, 11)),
    "none": ("050003240301", None),
}


@pytest.mark.parametrize("name", PORTS)
def test_ports(name: str) -> None:
    """Application port addresses of either size; the last element counts."""
    octets, wanted = PORTS[name]
    header, _ = split_header(bytes.fromhex(octets))
    assert header is not None
    assert header.ports == wanted


@pytest.mark.parametrize("octets", [b"", b"\x01", b"\x05\x00\x03", b"\xff" + bytes(254), b"\x05abcd"])
def test_a_length_that_points_outside_is_no_header(octets: bytes) -> None:
    """The user data was flagged by mistake: shown raw, nothing lost."""
    assert split_header(octets) == (None, octets)


ERRORS: Final = {
    "00": 0,
    "0003": 0,
    "000301": 0,
    "00032403017009": 5,
    "0003240301" + "70": 5,
    "7000" + "05": 2,
}


@pytest.mark.parametrize("inside", ERRORS)
def test_an_element_that_runs_over_is_named(inside: str) -> None:
    """The elements before it are kept; the message says at which octet it begins."""
    found, error = parse_elements(bytes.fromhex(inside))
    assert error is not None
    assert f"octet {ERRORS[inside]} " in error
    assert sum(2 + len(data) for _, data in found) == ERRORS[inside]
