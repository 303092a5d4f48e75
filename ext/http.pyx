# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Bodies to requests and verdicts to answers, many in one call: what the HTTP door does for each message.

dispatcher.ingest.bodies decodes, and says what is wrong with what is no request; what is rare (a time, an address, a
refusal) is done there too, by what a Reader and a Writer are given.
"""

cimport cython
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from fields cimport FIELD, field_of, new_struct, set_field
from text cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII
from wire cimport Outbox, outbox_free, outbox_init, outbox_room

cdef enum:
    STRING_QUOTES = 4           # of a field and its value
    NUMBER_QUOTES = 2
    ID_OCTETS = 16
    OF_ALL = 1                  # how deep the names of a body stand
    OF_A_BATCH = 2              # ... and the commas between the messages of a batch

cdef extern from *:
    """
    static const char HEXADECIMAL[16] = "0123456789abcdef";
    /* By 128: so many an octet can count, and the compiler takes sixteen in one step. */
    static size_t octets_counted(const uint8_t *at, size_t length, uint8_t octet) {
        size_t found = 0;
        for (; length >= 128; at += 128, length -= 128) {
            uint8_t some = 0;
            for (int index = 0; index < 128; index++)
                some += at[index] == octet;
            found += some;
        }
        while (length--)
            found += at[length] == octet;
        return found;
    }
    """
    const char *HEXADECIMAL
    size_t octets_counted(const uint8_t *at, size_t length, uint8_t octet) noexcept nogil


def count_of(bytes octets not None, uint8_t octet):
    """Return how often an octet stands in octets."""
    return octets_counted(<const uint8_t *>PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets), octet)


def shape(bytes octets not None, Py_ssize_t depth_max, Py_ssize_t commas_max):
    """Return how deep JSON is nested, the names in what is one deep, the commas in what is two deep."""
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(octets)
    cdef const uint8_t *end = at + PyBytes_GET_SIZE(octets)
    cdef Py_ssize_t depth = 0, deepest = 0, names = 0, commas = 0
    while at < end and deepest <= depth_max and commas <= commas_max:
        if at[0] == c'"':
            at = string_end(at + 1, end)
            continue
        if at[0] == c'{' or at[0] == c'[':
            depth += 1
            deepest = max(deepest, depth)
        elif at[0] == c'}' or at[0] == c']':
            depth -= 1
        elif at[0] == c':' and depth == OF_ALL:
            names += 1
        elif at[0] == c',' and depth == OF_A_BATCH:
            commas += 1
        at += 1
    return deepest, names, commas


cdef const uint8_t *string_end(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Return what stands behind a string that begins here, or the end."""
    cdef const uint8_t *quote
    cdef const uint8_t *back
    while True:
        quote = <const uint8_t *>memchr(at, c'"', end - at)
        if quote == NULL:
            return end
        back = quote
        while back > at and back[-1] == c'\\':
            back -= 1
        if (quote - back) % 2 == 0:
            return quote + 1
        at = quote + 1


cdef struct InFields:           # where those of a MessageIn lie
    Py_ssize_t to, text, sender, traffic_class, client_ref, ttl_ms, send_after, callback_url

cdef struct RequestFields:      # ... and of a SendRequest
    Py_ssize_t to, text, sender, traffic_class, client_ref, idempotency_key, ttl_ms, send_after_ms, source, callback
    Py_ssize_t traceparent


@cython.final
cdef class Reader:
    """Makes requests of what was decoded; see the stub."""

    cdef object in_type, request_type, moment, address, wrong, zero
    cdef dict classes
    cdef InFields given
    cdef RequestFields made

    def __cinit__(self, in_type, request_type, dict classes not None, moment, address, wrong):
        self.in_type, self.request_type, self.classes, self.zero = in_type, request_type, classes, 0
        self.moment, self.address, self.wrong = moment, address, wrong
        self.given.to = field_of(in_type, b"to")
        self.given.text = field_of(in_type, b"text")
        self.given.sender = field_of(in_type, b"sender")
        self.given.traffic_class = field_of(in_type, b"traffic_class")
        self.given.client_ref = field_of(in_type, b"client_ref")
        self.given.ttl_ms = field_of(in_type, b"ttl_ms")
        self.given.send_after = field_of(in_type, b"send_after")
        self.given.callback_url = field_of(in_type, b"callback_url")
        self.made.to = field_of(request_type, b"to")
        self.made.text = field_of(request_type, b"text")
        self.made.sender = field_of(request_type, b"sender")
        self.made.traffic_class = field_of(request_type, b"traffic_class")
        self.made.client_ref = field_of(request_type, b"client_ref")
        self.made.idempotency_key = field_of(request_type, b"idempotency_key")
        self.made.ttl_ms = field_of(request_type, b"ttl_ms")
        self.made.send_after_ms = field_of(request_type, b"send_after_ms")
        self.made.source = field_of(request_type, b"source")
        self.made.callback = field_of(request_type, b"callback")
        self.made.traceparent = field_of(request_type, b"traceparent")

    def read(self, list bodies not None, defaults, str source not None, str key=None):
        """Return (requests or refusals, how many quotes stand in bodies where nothing is escaped, null or twice)."""
        cdef Py_ssize_t place, quotes = 0
        cdef list found = [None] * len(bodies)
        cdef object body, text, sender, name, client_ref, ttl_ms, after, url, made
        cdef object its_text = defaults.text, its_sender = defaults.sender, its_class = defaults.traffic_class
        cdef object its_ttl_ms = defaults.ttl_ms, its_after = defaults.send_after, its_url = defaults.callback_url
        its_class = "transactional" if its_class is None else its_class
        for place in range(len(bodies)):
            body = bodies[place]
            if type(body) is not self.in_type:
                raise TypeError(f"a MessageIn is expected, not {type(body).__name__}")
            text, sender = <object>FIELD(body, self.given.text), <object>FIELD(body, self.given.sender)
            name, ttl_ms = <object>FIELD(body, self.given.traffic_class), <object>FIELD(body, self.given.ttl_ms)
            after, url = <object>FIELD(body, self.given.send_after), <object>FIELD(body, self.given.callback_url)
            client_ref = <object>FIELD(body, self.given.client_ref)
            quotes += <Py_ssize_t>STRING_QUOTES * (
                1 + (text is not None) + (sender is not None) + (name is not None) + (client_ref is not None)
                + (after is not None) + (url is not None)
            ) + <Py_ssize_t>NUMBER_QUOTES * (ttl_ms is not None)
            text, sender = its_text if text is None else text, its_sender if sender is None else sender
            name, ttl_ms = its_class if name is None else name, its_ttl_ms if ttl_ms is None else ttl_ms
            after, url = its_after if after is None else after, its_url if url is None else url
            if sender is None or text is None:
                found[place] = self.wrong("sender" if sender is None else "text", client_ref)
                continue
            if url is not None:
                url = self.address(url)
                if url is None:
                    found[place] = self.wrong("callback", client_ref)
                    continue
            after = self.zero if after is None else self.moment(after)
            name = self.classes[name]
            made = new_struct(self.request_type)
            set_field(made, self.made.to, <object>FIELD(body, self.given.to))
            set_field(made, self.made.text, text)
            set_field(made, self.made.sender, sender)
            set_field(made, self.made.traffic_class, name)
            set_field(made, self.made.client_ref, client_ref)
            set_field(made, self.made.idempotency_key, key)
            set_field(made, self.made.ttl_ms, self.zero if ttl_ms is None else ttl_ms)
            set_field(made, self.made.send_after_ms, after)
            set_field(made, self.made.source, source)
            set_field(made, self.made.callback, url)
            set_field(made, self.made.traceparent, None)
            found[place] = made
        return found, quotes


@cython.final
cdef class Writer:
    """Says verdicts in JSON; see the stub."""

    cdef object accepted_type, message_type, encode
    cdef Py_ssize_t at_message, at_repeated, at_id, at_ref, at_segments
    cdef Outbox out

    def __cinit__(self, accepted_type, message_type, encode):
        self.accepted_type, self.message_type, self.encode = accepted_type, message_type, encode
        self.at_message = field_of(accepted_type, b"message")
        self.at_repeated = field_of(accepted_type, b"is_repeated")
        self.at_id = field_of(message_type, b"message_id")
        self.at_ref = field_of(message_type, b"client_ref")
        self.at_segments = field_of(message_type, b"segments")
        outbox_init(&self.out)

    def __dealloc__(self):
        outbox_free(&self.out)

    def write(self, verdicts, refused, bytes after not None):
        """Return the objects of verdicts, each with `after` behind it."""
        cdef Py_ssize_t place = 0
        self.out.used = 0
        for verdict in verdicts:
            if type(verdict) is self.accepted_type:
                self.put_accepted(verdict)
            else:
                self.put_bytes(refused(verdict, place))
            self.put_bytes(after)
            place += 1
        return PyBytes_FromStringAndSize(<char *>self.out.data, self.out.used)

    cdef int put_accepted(self, object verdict) except -1:
        cdef object message = <object>FIELD(verdict, self.at_message), ref
        cdef bytes message_id
        if type(message) is not self.message_type:
            raise TypeError(f"a Message is expected, not {type(message).__name__}")
        message_id, ref = <bytes>FIELD(message, self.at_id), <object>FIELD(message, self.at_ref)
        if PyBytes_GET_SIZE(message_id) != ID_OCTETS:
            raise ValueError(f"a message_id has {ID_OCTETS} octets")
        self.put(b'{"message_id":"', 15)
        put_uuid(self.room(36), <const uint8_t *>PyBytes_AS_STRING(message_id))
        self.out.used += 36
        self.put(b'"', 1)
        if ref is not None:
            self.put(b',"client_ref":', 14)
            self.put_string(ref)
        self.put(b',"segments":', 12)
        self.put_segments(<object>FIELD(message, self.at_segments))
        if <object>FIELD(verdict, self.at_repeated):
            self.put(b',"is_repeated":true}', 20)
        else:
            self.put(b',"is_repeated":false}', 21)
        return 0

    cdef int put_string(self, str text) except -1:
        """In quotes; what is to be escaped, or is not ASCII, is left to the encoder."""
        cdef const uint8_t *at = <const uint8_t *>PyUnicode_DATA(text)
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text), index
        cdef uint8_t *out
        if not PyUnicode_IS_ASCII(text):
            return self.put_bytes(self.encode(text))
        out = self.room(length + 2)
        out[0] = 34
        for index in range(length):
            if at[index] < 32 or at[index] == 34 or at[index] == 92 or at[index] == 127:
                return self.put_bytes(self.encode(text))
            out[index + 1] = at[index]
        out[length + 1] = 34
        self.out.used += length + 2
        return 0

    cdef int put_segments(self, int segments) except -1:
        cdef uint8_t *out = self.room(3)
        cdef int count = 3 if segments > 99 else 2 if segments > 9 else 1, index
        if not 0 <= segments <= 255:
            raise ValueError(f"segments are 0 to 255, not {segments}")
        for index in range(count - 1, -1, -1):
            out[index] = <uint8_t>(48 + segments % 10)
            segments //= 10
        self.out.used += count
        return 0

    cdef int put_bytes(self, bytes octets) except -1:
        return self.put(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))

    cdef int put(self, const char *octets, Py_ssize_t length) except -1:
        memcpy(self.room(length), octets, length)
        self.out.used += length
        return 0

    cdef uint8_t *room(self, Py_ssize_t octets) except NULL:
        cdef uint8_t *at = outbox_room(&self.out, octets)
        if at == NULL:
            raise MemoryError
        return at


cdef inline void put_uuid(uint8_t *out, const uint8_t *octets) noexcept nogil:
    """In the usual form, 36 characters."""
    cdef int index
    for index in range(ID_OCTETS):
        if index == 4 or index == 6 or index == 8 or index == 10:
            out[0] = 45
            out += 1
        out[0] = HEXADECIMAL[octets[index] >> 4]
        out[1] = HEXADECIMAL[octets[index] & 15]
        out += 2
