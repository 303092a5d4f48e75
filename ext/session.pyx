# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The hot part of an SMPP session: octets in, octets out, and which answer belongs to which request.

Laws:

* sans I/O: reads are handed in, writes are handed out, time is an argument (monotonic nanoseconds);
* register before write: a request stands in the window before its octets can be taken;
* responses match by sequence_number alone, in any order; duplicate, unknown, late and mismatched ones are
  counted and harmless;
* one parse per read, one write per turn; results wait in lists until they are taken, never a call per PDU;
* a dying exchange hands back what went unanswered, and apart from it what no octet left for.

Both roles share it: an ESME pushes submit_sm and gets deliver_sm, an SMSC the other way round. Every other PDU
goes to `take_others`, for the state machine in dispatcher.smpp.session, but enquire_link, which is answered at
once.

The window is a ring of slots indexed by the low bits of the sequence_number. A number whose slot is taken, by
a request still unanswered, is skipped: that is also how a wrapped counter passes numbers in flight. The
unanswered slots are linked in the order of writing, so that the oldest is always at hand.

Of the ring at most one half is in the window, less than a quarter in other requests; stragglers (given up, but
kept so that a late answer finds its handle) may fill a quarter, beyond it the counter frees those it meets. So
a free slot is always found.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cimport cython

from hot cimport (
    DELIVER_SM, ENQUIRE_LINK, ENQUIRE_LINK_RESP, GENERIC_NACK, RINVOPTPARSTREAM, SUBMIT_SM, SubmitResp,
    get_deliver_sm, get_submit_sm_resp, put_header_only,
)
from wire cimport (
    HEADER_OCTETS, SEQUENCE_NUMBER_MAX, Header, Octets, get_header, get_u32, inbox_free, inbox_init,
    inbox_next, inbox_room, next_sequence, outbox_free, outbox_init, outbox_room, put_header, put_octets,
    put_u8, put_u32,
)

from dispatcher._ext.pdu cimport Pdu, append_pdu, decode_frame

from dispatcher.errors import LocalProtocolError, Recoverable, Unrecoverable

cdef enum:
    RESPONSE = 0x80000000
    BIND_RECEIVER = 0x01
    BIND_TRANSCEIVER = 0x09
    SLOTS_MIN = 256             # room for requests beyond the window: binds, enquiries, stragglers
    WINDOW_MAX = 65_536         # a slot takes 48 octets; no contract comes near
    OCTETS_MAX = 1 << 24        # of a PDU or a read: far above any use, far below any overflow
    RINVCMDLEN = 0x02


@cython.final
@cython.freelist(256)
cdef class Incoming:
    """A deliver_sm (or, to an SMSC, a submit_sm) that waits for its answer.

    Parameters are spelled as in SMPP 3.4; strings are bytes without their NUL, TLVs that did not come are
    None. `short_message` is the message_payload where that came instead. `pdu` is the whole PDU as received.
    `fault` is 0, or the command_status that a strict reader would refuse its TLVs with: what could be read
    stands.
    """

    @property
    def sequence_number(self):
        return self.fields.sequence_number

    @property
    def service_type(self):
        return octets(&self.fields.service_type)

    @property
    def source_addr_ton(self):
        return self.fields.source_addr_ton

    @property
    def source_addr_npi(self):
        return self.fields.source_addr_npi

    @property
    def source_addr(self):
        return octets(&self.fields.source_addr)

    @property
    def dest_addr_ton(self):
        return self.fields.dest_addr_ton

    @property
    def dest_addr_npi(self):
        return self.fields.dest_addr_npi

    @property
    def destination_addr(self):
        return octets(&self.fields.destination_addr)

    @property
    def esm_class(self):
        return self.fields.esm_class

    @property
    def protocol_id(self):
        return self.fields.protocol_id

    @property
    def priority_flag(self):
        return self.fields.priority_flag

    @property
    def registered_delivery(self):
        return self.fields.registered_delivery

    @property
    def data_coding(self):
        return self.fields.data_coding

    @property
    def short_message(self):
        return octets(&self.fields.short_message)

    @property
    def receipted_message_id(self):
        return octets(&self.fields.receipted_message_id)

    @property
    def message_state(self):
        return self.fields.message_state if self.fields.message_state >= 0 else None

    @property
    def network_error_code(self):
        return octets(&self.fields.network_error_code)

    @property
    def user_message_reference(self):
        return self.fields.user_message_reference if self.fields.user_message_reference >= 0 else None

    def decode(self):
        """Return the Pdu, every TLV included, or the Recoverable that says what is wrong with it."""
        return decode_frame(<const uint8_t*>PyBytes_AS_STRING(self.pdu), PyBytes_GET_SIZE(self.pdu))

    def __repr__(self):
        return f"<Incoming {self.sequence_number}: {len(self.pdu)} octets>"


cdef inline object octets(const Octets* field):
    return PyBytes_FromStringAndSize(<const char*>field.at, field.length) if field.length >= 0 else None


cdef class Exchange:
    """The PDUs of one connection.

    `window` (1 to 65,536) limits the unanswered requests pushed. `smsc` gives it the SMSC's side. `limit` is
    the greatest command_length; `read_octets` the most that one read may bring. All memory for reading is
    taken at once; nothing is allocated on the word of the peer. `sequence_number` is the first one used.

    Counters, all since the connection began: octets_in, octets_out, pushed, answered, received (incoming
    requests), late (answers after `expire`), duplicate, unknown and mismatched responses, malformed PDUs,
    enquiries of the peer. heard_ns and said_ns are the times of the last read and the last write, answered_ns
    that of the last answer to what was pushed.
    """

    def __cinit__(
        self, *, int window=10, bint smsc=False, Py_ssize_t limit=70_000, Py_ssize_t read_octets=262_144,
        uint32_t sequence_number=1,
    ):
        cdef uint32_t size = SLOTS_MIN
        outbox_init(&self.outbox)
        if not 1 <= window <= WINDOW_MAX:
            raise LocalProtocolError(f"window is 1 to {WINDOW_MAX}, not {window}", "window")
        if not HEADER_OCTETS <= limit <= OCTETS_MAX or not 1 <= read_octets <= OCTETS_MAX:
            raise LocalProtocolError(f"limit is {HEADER_OCTETS}, read_octets is 1, to {OCTETS_MAX}", "limit")
        if not 1 <= sequence_number <= SEQUENCE_NUMBER_MAX:
            raise LocalProtocolError(f"sequence_number is 1 to {SEQUENCE_NUMBER_MAX}", "sequence_number")
        while size < <uint32_t>window * 2:
            size *= 2
        self.slots = <Slot*>calloc(size, sizeof(Slot))
        if self.slots == NULL or not inbox_init(&self.inbox, limit, read_octets):
            raise MemoryError
        self.mask = size - 1
        self.next_number = sequence_number
        self.window = window
        self.pushed_id = DELIVER_SM if smsc else SUBMIT_SM
        self.incoming_id = SUBMIT_SM if smsc else DELIVER_SM
        self.lost = None
        self.handles, self.statuses, self.message_ids = [], [], []
        self.late_answers, self.coming, self.others = [], [], []

    def __dealloc__(self):
        cdef uint32_t index
        if self.slots != NULL:
            for index in range(self.mask + 1):
                if self.slots[index].handle != NULL:
                    Py_DECREF(<object>self.slots[index].handle)
        free(self.slots)
        inbox_free(&self.inbox)
        outbox_free(&self.outbox)

    @property
    def octets_out(self):
        """Octets handed out by `outgoing`."""
        return self.octets_taken

    @property
    def room(self):
        """How many more requests the window has room for now."""
        return self.window - self.in_flight if self.in_flight < self.window else 0

    @property
    def unwritten(self):
        """Octets that `outgoing` would return."""
        return self.outbox.used

    @property
    def pending(self):
        """Octets of a PDU begun but not yet whole: above 0 for long calls for a read timeout."""
        return self.inbox.end - self.inbox.start

    # ---- the window ----

    cdef Slot* find(self, uint32_t sequence_number) noexcept:
        cdef Slot* slot = &self.slots[sequence_number & self.mask]
        return slot if sequence_number and slot.sequence_number == sequence_number else NULL

    cdef Slot* register(self, uint32_t command_id, object handle, int64_t now_ns):
        """Take the next sequence_number whose slot is free: there always is one, see the top."""
        cdef Slot* slot = &self.slots[self.next_number & self.mask]
        while slot.sequence_number:
            if slot.expired and self.stragglers > self.mask >> 2:
                self.release(slot)
                break
            self.next_number = next_sequence(self.next_number)
            slot = &self.slots[self.next_number & self.mask]
        slot.sequence_number = self.next_number
        slot.command_id = command_id
        slot.expired = False
        slot.sent_ns = now_ns
        slot.handle = <PyObject*>handle
        Py_INCREF(handle)
        if command_id == self.pushed_id:
            self.in_flight += 1
        else:
            self.asked += 1
        slot.newer = NULL
        slot.older = self.newest
        if self.newest == NULL:
            self.oldest = slot
        else:
            self.newest.newer = slot
        self.newest = slot
        self.next_number = next_sequence(self.next_number)
        return slot

    cdef object release(self, Slot* slot):
        """Free a slot and return its handle."""
        handle = <object>slot.handle
        Py_DECREF(handle)
        slot.handle = NULL
        if slot.expired:
            self.stragglers -= 1
        else:
            self.unlink(slot)
        slot.answered = slot.sequence_number
        slot.sequence_number = 0
        return handle

    cdef void unlink(self, Slot* slot) noexcept:
        """Take a slot out of the list of the unanswered."""
        if slot.command_id == self.pushed_id:
            self.in_flight -= 1
        else:
            self.asked -= 1
        if slot.older == NULL:
            self.oldest = slot.newer
        else:
            slot.older.newer = slot.newer
        if slot.newer == NULL:
            self.newest = slot.older
        else:
            slot.newer.older = slot.older

    # ---- out ----

    def push(
        self, list handles not None, list frames not None, Py_ssize_t start, int64_t now_ns, Py_ssize_t most=65_536
    ):
        """Write as many of frames[start:] as the window has room for, at most `most`; return how many.

        A frame is a whole submit_sm (deliver_sm as SMSC) whose sequence_number does not matter: it is given
        here. handles[i] comes back with the answer to frames[i]. A frame that is no such PDU ends the writing;
        where it is the first one, LocalProtocolError says so.
        """
        cdef Py_ssize_t at, stop = len(frames), size
        cdef Slot* slot
        cdef bytes frame
        cdef uint8_t* out
        if len(handles) != stop or not 0 <= start <= stop:
            raise ValueError("push takes as many handles as frames, and a start among them")
        most = min(most, self.window - self.in_flight)
        if stop - start > most:
            stop = start + most
        if stop <= start:
            return 0
        for at in range(start, stop):
            frame = frames[at]
            size = PyBytes_GET_SIZE(frame)
            out = <uint8_t*>PyBytes_AS_STRING(frame)
            if size < HEADER_OCTETS or get_u32(out) != size or get_u32(out + 4) != self.pushed_id:
                if at > start:
                    return at - start
                raise LocalProtocolError(f"frames[{at}] is no whole PDU of command 0x{self.pushed_id:08x}", "frames")
            out = outbox_room(&self.outbox, size)
            if out == NULL:
                raise MemoryError
            slot = self.register(self.pushed_id, handles[at], now_ns)
            memcpy(out, PyBytes_AS_STRING(frame), size)
            put_u32(out + 12, slot.sequence_number)
            self.outbox.used += size
            slot.end = self.octets_taken + self.outbox.used
            self.pushed += 1
        return stop - start

    def ask(self, uint32_t command_id, handle, int64_t now_ns, *, tlvs=(), **fields):
        """Write any other request; its response comes through `take_others` with `handle`. Return its
        sequence_number. LocalProtocolError: a field that SMPP forbids; nothing was written."""
        cdef Slot* slot
        if command_id == self.pushed_id:
            raise LocalProtocolError("it belongs to the window: push it", "command_id")
        if self.asked >= self.mask >> 2:
            raise LocalProtocolError(f"{self.asked} requests are unanswered: no more than that", "window")
        slot = self.register(command_id, handle, now_ns)
        try:
            append_pdu(&self.outbox, Pdu(command_id, slot.sequence_number, 0, tlvs, **fields))
        except BaseException:
            self.release(slot)
            raise
        slot.end = self.octets_taken + self.outbox.used
        return slot.sequence_number

    def say(self, Pdu pdu not None):
        """Write a response, or a request that has none, as it is."""
        append_pdu(&self.outbox, pdu)

    def answer(self, list incoming not None, uint32_t command_status=0, list message_ids=None):
        """Answer what came in: deliver_sm_resp, or as SMSC submit_sm_resp with message_ids[i] (bytes)."""
        cdef Py_ssize_t index, size = 0
        cdef Incoming each
        cdef bytes message_id = b""
        cdef uint8_t* out
        if message_ids is not None and len(message_ids) != len(incoming):
            raise ValueError("as many message_ids as PDUs to answer")
        for index in range(len(incoming)):
            each = incoming[index]
            if message_ids is not None:
                message_id = message_ids[index]
            size = HEADER_OCTETS + PyBytes_GET_SIZE(message_id) + 1
            out = outbox_room(&self.outbox, size)
            if out == NULL:
                raise MemoryError
            out = put_header(out, size, self.incoming_id | RESPONSE, command_status, each.fields.sequence_number)
            out = put_octets(out, <const uint8_t*>PyBytes_AS_STRING(message_id), PyBytes_GET_SIZE(message_id))
            put_u8(out, 0)
            self.outbox.used += size

    def outgoing(self, int64_t now_ns):
        """Return the octets to write now, b"" for none; they count as handed to the transport."""
        cdef bytes out
        if self.outbox.used == 0:
            return b""
        out = PyBytes_FromStringAndSize(<const char*>self.outbox.data, self.outbox.used)
        self.octets_taken += self.outbox.used
        self.outbox.used = 0
        self.said_ns = now_ns
        return out

    # ---- in ----

    def buffer(self):
        """Return where the next read may write: a memoryview, to be used up to the next call of `read`."""
        return memoryview(self)

    def __getbuffer__(self, Py_buffer* view, int flags):
        cdef Py_ssize_t room
        cdef uint8_t* at = inbox_room(&self.inbox, &room)
        PyBuffer_FillInfo(view, self, at, room, 0, flags)

    def feed(self, const uint8_t[::1] data, int64_t now_ns):
        """Take `data` as read, of any length: for tests and for transports without buffers of ours."""
        cdef Py_ssize_t room, at = 0, part
        cdef uint8_t* to
        while at < data.shape[0] and self.lost is None:
            to = inbox_room(&self.inbox, &room)
            part = min(room, data.shape[0] - at)
            memcpy(to, &data[at], part)
            self.received_octets(part, now_ns)
            at += part

    def read(self, Py_ssize_t octets, int64_t now_ns):
        """Parse `octets` that were read into `buffer`. What came waits to be taken."""
        if not 0 <= octets <= self.inbox.size - self.inbox.end:
            raise ValueError("more octets than the buffer had room for")
        self.received_octets(octets, now_ns)

    cdef int received_octets(self, Py_ssize_t n, int64_t now_ns) except -1:
        cdef const uint8_t* at = NULL
        cdef Py_ssize_t length
        cdef Header header
        self.heard_ns = now_ns
        if self.lost is not None:
            return 0
        self.octets_in += n
        self.inbox.end += n
        while True:
            length = inbox_next(&self.inbox, &at)
            if length <= 0:
                break
            get_header(at, &header)
            if header.command_id & RESPONSE:
                self.response(at, length, &header)
            else:
                self.request(at, length, &header)
        if length < 0:
            self.malformed += 1
            self.lost = Unrecoverable(
                f"command_length {get_u32(at)} is not {HEADER_OCTETS} to {self.inbox.limit}: framing is lost",
                RINVCMDLEN, get_u32(at))
            self.inbox.start = self.inbox.end = 0
        return 0

    cdef int response(self, const uint8_t* at, Py_ssize_t length, Header* header) except -1:
        cdef Slot* slot = self.find(header.sequence_number)
        cdef SubmitResp resp
        cdef uint32_t command_id = header.command_id & 0x7FFFFFFF
        if slot == NULL:
            if header.command_id == GENERIC_NACK:  # about no request of ours in flight: the peer lost track
                return self.other(at, length, None)
            if header.sequence_number and (
                self.slots[header.sequence_number & self.mask].answered == header.sequence_number
            ):
                self.duplicate += 1
            else:
                self.unknown += 1
            return 0
        if header.command_id == GENERIC_NACK:
            if header.command_status == 0:  # says nothing, and least of all that the request was accepted
                return self.other(at, length, None)
            if slot.command_id != self.pushed_id:
                return self.other(at, length, self.release(slot))
            self.other(at, length, self)
        elif command_id != slot.command_id:
            self.mismatched += 1
            return 0
        elif command_id != self.pushed_id:
            if header.command_status == 0 and command_id in (BIND_RECEIVER, BIND_TRANSCEIVER):
                self.receives = True  # what follows in the same read may be deliver_sm already
            return self.other(at, length, self.release(slot))
        get_submit_sm_resp(at, length, &resp)
        if header.command_id == GENERIC_NACK:
            resp.message_id.length = -1
        elif resp.broken:
            resp.message_id.length = -1
            self.malformed += 1
        if slot.expired:
            self.late += 1
            self.late_answers.append((self.release(slot), resp.command_status, octets(&resp.message_id)))
            return 0
        self.answered += 1
        self.answered_ns = self.heard_ns
        self.handles.append(self.release(slot))
        self.statuses.append(resp.command_status)
        self.message_ids.append(octets(&resp.message_id))
        return 0

    cdef int request(self, const uint8_t* at, Py_ssize_t length, Header* header) except -1:
        cdef Incoming incoming
        if header.command_id == self.incoming_id and self.receives:
            incoming = Incoming.__new__(Incoming)
            incoming.pdu = PyBytes_FromStringAndSize(<const char*>at, length)
            incoming.fault = get_deliver_sm(
                <const uint8_t*>PyBytes_AS_STRING(incoming.pdu), length, &incoming.fields)
            if incoming.fault == 0 or incoming.fault == RINVOPTPARSTREAM:
                self.received += 1
                self.coming.append(incoming)
                return 0
        elif header.command_id == ENQUIRE_LINK:
            self.enquiries += 1
            if not put_header_only(&self.outbox, ENQUIRE_LINK_RESP, 0, header.sequence_number):
                raise MemoryError
            return 0
        return self.other(at, length, None)

    cdef int other(self, const uint8_t* at, Py_ssize_t length, object handle) except -1:
        """Leave a PDU to the state machine; one that cannot be read gets its negative response here."""
        pdu = decode_frame(at, length)
        if isinstance(pdu, Recoverable):
            self.malformed += 1
            if pdu.response_id and not put_header_only(
                &self.outbox, pdu.response_id, pdu.command_status, pdu.sequence_number
            ):
                raise MemoryError
        self.others.append((pdu, handle))
        return 0

    # ---- results, taken in batches ----

    def take_answers(self):
        """Return (handles, command_statuses, message_ids) of what was answered since the last call, in the
        order of arrival: three lists of equal length. A message_id is None where the response had none."""
        taken = self.handles, self.statuses, self.message_ids
        if self.handles:
            self.handles, self.statuses, self.message_ids = [], [], []
            return taken
        return [], [], []

    def take_late(self):
        """Return [(handle, command_status, message_id)] of answers to requests that were given up."""
        taken = self.late_answers
        self.late_answers = []
        return taken

    def take_incoming(self):
        """Return [Incoming], each to be answered by `answer` once it is stored."""
        taken = self.coming
        if taken:
            self.coming = []
        return taken

    def take_others(self):
        """Return [(Pdu or Recoverable, handle)]: all other PDUs, answers with the handle of `ask`, others with
        None; a generic_nack that failed something pushed (see `take_answers`) with this exchange."""
        taken = self.others
        if taken:
            self.others = []
        return taken

    # ---- time, and the end ----

    @property
    def oldest_ns(self):
        """When the oldest unanswered request was written; -1 where none is."""
        return -1 if self.oldest == NULL else self.oldest.sent_ns

    def expire(self, int64_t before_ns):
        """Give up what was written at or before `before_ns` and is unanswered: return [(command_id, handle)],
        oldest first. A late answer still finds its handle, see `take_late`."""
        cdef Slot* slot = self.oldest
        cdef list given_up = []
        while slot != NULL and slot.sent_ns <= before_ns:
            given_up.append((slot.command_id, <object>slot.handle))
            self.unlink(slot)
            slot.expired = True
            self.stragglers += 1
            slot = self.oldest
        return given_up

    def abandon(self, Py_ssize_t unsent=0):
        """End it: return (unanswered, unsent) handles of what was pushed, in the order of writing.

        `unsent` octets are still with the transport. A PDU whose last octet did not leave cannot have been
        acted upon: it is unsent, all others have an unknown outcome. Requests given up by `expire` are not
        named again.
        """
        cdef Slot* slot = self.oldest
        cdef uint32_t index
        cdef uint64_t gone = self.octets_taken - min(max(unsent, 0), <int64_t>self.octets_taken)
        cdef list unanswered = [], kept = []
        while slot != NULL:
            if slot.command_id == self.pushed_id:
                (unanswered if slot.end <= gone else kept).append(<object>slot.handle)
            slot = slot.newer
        for index in range(self.mask + 1):
            if self.slots[index].sequence_number:
                self.release(&self.slots[index])
        self.outbox.used = 0
        return unanswered, kept

    def __repr__(self):
        return (f"<Exchange {self.in_flight}/{self.window} in flight, {self.pushed} pushed, {self.answered} answered, "
                f"{self.received} received>")
