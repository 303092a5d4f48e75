# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Requests to messages: every rule of the door, in its order. dispatcher.admission says what is what.

Law: this is the one place where a request is judged. Why one is refused is said in Python, by a word for it; what is
odd about a request (a callback, a name beyond ASCII, a type of a program's own) is looked at there first.

Plan. Fields of a request are read where they lie (fields.pxd); the hash of its key is made first, so that the two
places where it may be known are on their way into the cache while the hash of the body is made. What costs an object
is what the path keeps: the Message, its id, its frames.
"""

from libc.stdint cimport int64_t, uint16_t, uint8_t, uint64_t

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM

cimport cython

from blake2b cimport Hash, hash_begin, hash_end, hash_put
from fields cimport FIELD, field_of, new_struct, set_field
from text cimport PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII
from utf8 cimport hash_text
from wire cimport Outbox, outbox_free, outbox_init

from dispatcher._ext.keys cimport Entry, Keys, hash_of_key, id_of
from dispatcher._ext.numbers cimport Normaliser
from dispatcher._ext.pack cimport Packer, Record
from dispatcher._ext.routes cimport Routes
from dispatcher._ext.submit cimport SubmitBuilder

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object text) noexcept
    bint PyLong_CheckExact(object number) noexcept
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef enum:
    CLASSES = 4
    LATER = 4                   # in `closed`, behind the classes
    KEY_MAX = 64
    ENTROPY_OCTETS = 5          # of a message: 34 bits of its id
    REFERENCES = 1 << 16

cdef extern from *:
    """
    #define SEND_AFTER_MIN_MS 100000000000LL        /* 1973: what is less was meant as seconds */
    #define SEND_AFTER_MAX_MS (366 * 86400000LL)    /* a year ahead: later is a slip of units */
    #define BEYOND_MS (1LL << 62)                   /* of a number that no 64 bits hold: refused in any case */
    """
    const int64_t SEND_AFTER_MIN_MS
    const int64_t SEND_AFTER_MAX_MS
    const int64_t BEYOND_MS


@cython.final
cdef class Group:
    """Messages of a batch that go into one row of the journal; see the stub."""

    cdef readonly list messages, frames
    cdef readonly Py_ssize_t segments
    cdef Outbox out             # their records, back to back

    def __cinit__(self):
        self.messages, self.frames = [], []
        outbox_init(&self.out)

    def __dealloc__(self):
        outbox_free(&self.out)

    @property
    def body(self):
        """The records of the messages, as dispatcher.store.records has them."""
        return PyBytes_FromStringAndSize(<char *>self.out.data, self.out.used)

    def __len__(self):
        return len(self.messages)


@cython.final
cdef class Batch:
    """What became of a batch; see the stub."""

    cdef public list verdicts, messages, places, repeats
    cdef readonly Group later
    cdef readonly dict groups
    cdef PyObject *last_carrier[CLASSES]    # of each class, and its group: `groups` holds both
    cdef PyObject *last_group[CLASSES]

    def __cinit__(self, Py_ssize_t size):
        self.verdicts = [None] * size
        self.messages, self.places, self.repeats, self.groups = [], [], [], {}
        self.later = Group()

    cdef Group group_of(self, object carrier, int traffic_class):
        """Where a message goes that can go at once."""
        cdef tuple key
        cdef PyObject *found
        if self.last_carrier[traffic_class] == <PyObject *>carrier:
            return <Group>self.last_group[traffic_class]
        key = (carrier, traffic_class)
        found = PyDict_GetItem(self.groups, key)
        if found == NULL:
            self.groups[key] = group = Group()
            found = <PyObject *>group
            self.last_carrier[traffic_class], self.last_group[traffic_class] = <PyObject *>carrier, found
        return <Group>found

    def __repr__(self):
        return f"<Batch: {len(self.messages)} messages, {len(self.repeats)} repeats, of {len(self.verdicts)} requests>"


cdef struct Fields:             # where those of a SendRequest lie
    Py_ssize_t to, text, sender, traffic_class, client_ref, idempotency_key, ttl_ms, send_after_ms, source, callback
    Py_ssize_t traceparent

cdef struct MessageFields:      # ... and of a Message
    Py_ssize_t n, message_id, to, sender, text, traffic_class, accepted_ms, deadline_ms, send_after_ms, segments
    Py_ssize_t reference, carriers, client_ref, key_hash, body_hash, source, callback, traceparent

cdef struct Policy:             # of a traffic class
    int64_t ttl_ms, ttl_max_ms
    Py_ssize_t segments_max

cdef struct Terms:              # what holds for a call
    int64_t now_ms, oldest_key_n
    int64_t[CLASSES + 1] closed
    PyObject *now               # now_ms, borrowed
    PyObject *given             # of one request (message_id, accepted_ms, reference), borrowed; NULL: made here


@cython.final
cdef class Judge:
    """Judges requests; see the stub."""

    cdef Keys keys
    cdef Packer packer
    cdef object request_type, message_type, accepted_type, class_type, plain, refuse
    cdef bytearray references   # of concatenation: a counter for all destinations that share a hash
    cdef Fields at
    cdef MessageFields made
    cdef Py_ssize_t at_message, at_repeated
    # the configuration
    cdef Policy[CLASSES] policies
    cdef Py_ssize_t text_max
    cdef bint takes_callbacks
    cdef Normaliser normalise
    cdef Routes routes          # None: `route` is another callable
    cdef object route
    cdef dict builders

    def __cinit__(self, Keys keys not None, request_type, message_type, accepted_type, class_type, plain, refuse,
                  Packer packer not None, bytes references not None):
        if PyBytes_GET_SIZE(references) != REFERENCES * sizeof(uint16_t):
            raise ValueError(f"references have {REFERENCES * sizeof(uint16_t)} octets")
        self.keys, self.packer, self.references = keys, packer, bytearray(references)
        self.request_type, self.message_type, self.accepted_type = request_type, message_type, accepted_type
        self.class_type, self.plain, self.refuse = class_type, plain, refuse
        self.at.to = field_of(request_type, b"to")
        self.at.text = field_of(request_type, b"text")
        self.at.sender = field_of(request_type, b"sender")
        self.at.traffic_class = field_of(request_type, b"traffic_class")
        self.at.client_ref = field_of(request_type, b"client_ref")
        self.at.idempotency_key = field_of(request_type, b"idempotency_key")
        self.at.ttl_ms = field_of(request_type, b"ttl_ms")
        self.at.send_after_ms = field_of(request_type, b"send_after_ms")
        self.at.source = field_of(request_type, b"source")
        self.at.callback = field_of(request_type, b"callback")
        self.at.traceparent = field_of(request_type, b"traceparent")
        self.made.n = field_of(message_type, b"n")
        self.made.message_id = field_of(message_type, b"message_id")
        self.made.to = field_of(message_type, b"to")
        self.made.sender = field_of(message_type, b"sender")
        self.made.text = field_of(message_type, b"text")
        self.made.traffic_class = field_of(message_type, b"traffic_class")
        self.made.accepted_ms = field_of(message_type, b"accepted_ms")
        self.made.deadline_ms = field_of(message_type, b"deadline_ms")
        self.made.send_after_ms = field_of(message_type, b"send_after_ms")
        self.made.segments = field_of(message_type, b"segments")
        self.made.reference = field_of(message_type, b"reference")
        self.made.carriers = field_of(message_type, b"carriers")
        self.made.client_ref = field_of(message_type, b"client_ref")
        self.made.key_hash = field_of(message_type, b"key_hash")
        self.made.body_hash = field_of(message_type, b"body_hash")
        self.made.source = field_of(message_type, b"source")
        self.made.callback = field_of(message_type, b"callback")
        self.made.traceparent = field_of(message_type, b"traceparent")
        self.at_message = field_of(accepted_type, b"message")
        self.at_repeated = field_of(accepted_type, b"is_repeated")

    def configure(self, policies, Py_ssize_t text_max, bint takes_callbacks, Normaliser normalise not None, route,
                  dict builders not None):
        """Take up a configuration."""
        cdef int index
        cdef SubmitBuilder builder
        for index in range(CLASSES):
            policy = policies[index]
            self.policies[index].ttl_ms, self.policies[index].ttl_max_ms = policy.ttl_ms, policy.ttl_max_ms
            self.policies[index].segments_max = policy.max_segments
        for builder in builders.values():
            if builder is None:
                raise TypeError("a builder is a SubmitBuilder")
        self.text_max, self.takes_callbacks, self.normalise = text_max, takes_callbacks, normalise
        self.route, self.routes = route, route if isinstance(route, Routes) else None
        self.builders = builders

    def admit(self, requests, int64_t now_ms, closed, int64_t oldest_key_n, uint64_t next_n, bytes entropy not None,
              reorder=None, list given=None):
        """Judge requests in order and remember their keys: numbers go on from `next_n`."""
        cdef Terms terms
        cdef object now = now_ms
        cdef Py_ssize_t place, size = len(requests)
        cdef Batch batch = Batch(size)
        cdef uint64_t random_bits
        cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(entropy)
        if PyBytes_GET_SIZE(entropy) < size * <Py_ssize_t>ENTROPY_OCTETS:
            raise ValueError(f"{ENTROPY_OCTETS} octets of entropy a request are needed")
        set_terms(&terms, now_ms, closed, oldest_key_n)
        terms.now = <PyObject *>now
        if given is not None and len(given) != size:
            raise ValueError(f"{len(given)} given for {size} requests")
        try:
            for place in range(size):
                if given is not None:
                    terms.given = <PyObject *><tuple>given[place]
                random_bits = (octets[0] | <uint64_t>octets[1] << 8 | <uint64_t>octets[2] << 16 | <uint64_t>octets[3] << 24
                               | <uint64_t>octets[4] << 32)
                octets += <Py_ssize_t>ENTROPY_OCTETS
                found = self.judge(requests[place], &terms, next_n, random_bits, reorder, batch)
                if type(found) is self.message_type:
                    next_n += 1
                    batch.places.append(place)
                    found = self.accepted(found)
                elif PyLong_CheckExact(found):
                    batch.repeats.append((place, found))
                    continue
                batch.verdicts[place] = found
        except BaseException:  # these numbers are given again: no key may lead to the message of another
            for message in batch.messages:
                self.keys.drop(message.key_hash, message.n)
            raise
        return batch

    def one(self, request, int64_t now_ms, closed, int64_t oldest_key_n, uint64_t next_n):
        """Say what `admit` would make of a request, without any effect."""
        cdef Terms terms
        cdef object now = now_ms
        set_terms(&terms, now_ms, closed, oldest_key_n)
        terms.now = <PyObject *>now
        return self.judge(request, &terms, next_n, 0, None, None)

    def unknown_keys(self, requests):
        """Return the hashes of keys that are not known here."""
        cdef list found = []
        cdef uint64_t key_hash
        for request in requests:
            if not self.is_plain(request):
                request = self.plain(request)
                if type(request) is not self.request_type:
                    continue
            key = <object>FIELD(request, self.at.idempotency_key)
            key = <object>FIELD(request, self.at.client_ref) if key is None else key
            if key:
                key_hash = hash_of_key(key, <str>FIELD(request, self.at.source))
                if self.keys.find(key_hash).n <= 0:
                    found.append(key_hash)
        return found

    cdef object judge(self, object request, Terms *terms, uint64_t n, uint64_t random_bits, object reorder, Batch batch):
        """A Message, which the batch gets; a Refused; or the number of the message that it repeats. Without a batch it is
        a dry run, which changes nothing."""
        cdef object key, source, text, sender, name, digits, callback, message_id
        cdef PyObject *found
        cdef int traffic_class
        cdef uint64_t key_hash = 0, body_hash = 0
        cdef int64_t ttl_ms, sends_ms, deadline_ms
        cdef Py_ssize_t length, total
        cdef uint16_t *reference
        cdef Entry *entry
        cdef Policy *policy
        cdef int64_t accepted_ms = terms.now_ms
        cdef object accepted = <object>terms.now, traceparent
        cdef int chosen = -1
        cdef tuple carriers
        cdef list frames
        cdef Group group
        cdef Record record
        if not self.is_plain(request):
            request = self.plain(request)
            if type(request) is not self.request_type:
                return request
        traffic_class = <object>FIELD(request, self.at.traffic_class)
        policy = &self.policies[traffic_class]
        ttl_ms = milliseconds(<object>FIELD(request, self.at.ttl_ms))
        sends_ms = milliseconds(<object>FIELD(request, self.at.send_after_ms))
        source, name = <object>FIELD(request, self.at.source), <object>FIELD(request, self.at.client_ref)
        sender, text = <object>FIELD(request, self.at.sender), <object>FIELD(request, self.at.text)
        callback = <object>FIELD(request, self.at.callback)
        key = <object>FIELD(request, self.at.idempotency_key)
        key = name if key is None else key
        if key is not None:
            if not 0 < PyUnicode_GET_LENGTH(key) <= KEY_MAX:
                return self.refuse("key_malformed", request, "client_ref" if key is name else "idempotency_key")
            key_hash = hash_of_key(key, source)
            self.keys.prefetch(key_hash)
            body_hash = self.hash_of_body(request, traffic_class, ttl_ms, sends_ms)
            entry = self.keys.find(key_hash)
            if entry.n > 0 and entry.n >= terms.oldest_key_n:
                return entry.n if entry.body == body_hash else self.refuse("idempotency_conflict", request, None)
        if terms.closed[traffic_class]:
            return self.refuse("overloaded", request, terms.closed[traffic_class])
        digits = self.normalise.read(<str>FIELD(request, self.at.to))
        if not PyUnicode_CheckExact(digits):
            return self.refuse("number", request, digits)
        length = PyUnicode_GET_LENGTH(text)
        if not 0 < length <= self.text_max:
            return self.refuse("text_length", request, self.text_max)
        if sends_ms < 0 or 0 < sends_ms < SEND_AFTER_MIN_MS:
            return self.refuse("send_after_malformed", request, None)
        if sends_ms <= terms.now_ms:
            sends_ms = 0
        elif sends_ms > terms.now_ms + SEND_AFTER_MAX_MS:
            return self.refuse("send_after_too_late", request, None)
        elif terms.closed[LATER]:
            return self.refuse("schedule_full", request, terms.closed[LATER])
        if callback is not None and not self.takes_callbacks:
            return self.refuse("callback_not_possible", request, None)
        ttl_ms = ttl_ms or policy.ttl_ms
        if not 0 < ttl_ms <= policy.ttl_max_ms:
            return self.refuse("ttl_out_of_range", request, policy.ttl_max_ms)
        if self.routes is not None:
            carriers = self.routes.route(digits, sender, traffic_class, n)
        else:
            carriers = self.route(digits, sender, traffic_class, n)
        if not carriers:
            return self.refuse("no_route", request, None)
        if reorder is not None:
            carriers = reorder(carriers, traffic_class, terms.now_ms)
        found = PyDict_GetItem(self.builders, <object>PyTuple_GET_ITEM(carriers, 0))
        if found == NULL:
            raise KeyError(carriers[0])
        reference = <uint16_t *><char *>self.references + (hash(digits) & (REFERENCES - 1))
        if terms.given != NULL:
            message_id, accepted, chosen = <tuple>terms.given
            accepted_ms = accepted
        if chosen < 0:
            chosen = reference[0]
        deadline_ms = (sends_ms or accepted_ms) + ttl_ms
        frames = (<SubmitBuilder>found).build(digits, sender, text, deadline_ms, chosen, terms.now_ms)
        total = len(frames)
        if total == 0:
            return self.refuse("not_carried", request, carriers[0])
        if total > policy.segments_max:
            return self.refuse("too_many_segments", request, (total, policy.segments_max))
        message = new_struct(self.message_type)
        set_field(message, self.made.n, n)
        if terms.given == NULL:
            message_id = id_of(terms.now_ms, n, random_bits)
        set_field(message, self.made.message_id, message_id)
        set_field(message, self.made.to, digits)
        set_field(message, self.made.sender, sender)
        set_field(message, self.made.text, text)
        set_field(message, self.made.traffic_class, <object>FIELD(request, self.at.traffic_class))
        set_field(message, self.made.accepted_ms, accepted)
        set_field(message, self.made.deadline_ms, deadline_ms)
        set_field(message, self.made.send_after_ms, sends_ms)
        set_field(message, self.made.segments, total)
        set_field(message, self.made.reference, chosen)
        set_field(message, self.made.carriers, carriers)
        set_field(message, self.made.client_ref, name)
        set_field(message, self.made.key_hash, key_hash)
        set_field(message, self.made.body_hash, body_hash)
        set_field(message, self.made.source, source)
        set_field(message, self.made.callback, callback)
        traceparent = <object>FIELD(request, self.at.traceparent)
        set_field(message, self.made.traceparent, traceparent)
        if batch is not None:
            if total > 1:
                reference[0] += 1
            batch.messages.append(message)
            group = batch.later if sends_ms else batch.group_of(<object>PyTuple_GET_ITEM(carriers, 0), traffic_class)
            group.messages.append(message)
            group.frames.append(frames)
            group.segments += total
            record = Record(
                n, key_hash, body_hash, accepted_ms, deadline_ms, sends_ms, traffic_class, <unsigned int>total,
                <unsigned int>chosen,
                <PyObject *>message_id, <PyObject *>digits, <PyObject *>sender, <PyObject *>text,
                <PyObject *>carriers, <PyObject *>name, <PyObject *>source, <PyObject *>callback, <PyObject *>traceparent)
            self.packer.put_record(&group.out, &record)
            if key_hash:
                self.keys.remember(key_hash, body_hash, n)
        return message

    cdef object accepted(self, object message):
        cdef object made = new_struct(self.accepted_type)
        set_field(made, self.at_message, message)
        set_field(made, self.at_repeated, False)
        return made

    cdef bint is_plain(self, object request) noexcept:
        """Whether nothing is odd about it: types are exactly what they are declared to be."""
        return (
            type(request) is self.request_type
            and PyUnicode_CheckExact(<object>FIELD(request, self.at.to))
            and PyUnicode_CheckExact(<object>FIELD(request, self.at.text))
            and PyUnicode_CheckExact(<object>FIELD(request, self.at.sender))
            and is_name(<object>FIELD(request, self.at.source))
            and PyLong_CheckExact(<object>FIELD(request, self.at.ttl_ms))
            and PyLong_CheckExact(<object>FIELD(request, self.at.send_after_ms))
            and type(<object>FIELD(request, self.at.traffic_class)) is self.class_type
            and is_name(<object>FIELD(request, self.at.client_ref))
            and is_name(<object>FIELD(request, self.at.idempotency_key))
            and <object>FIELD(request, self.at.callback) is None
            and is_name(<object>FIELD(request, self.at.traceparent))
        )

    cdef uint64_t hash_of_body(self, object request, int traffic_class, int64_t ttl_ms, int64_t sends_ms) except? 0:
        """Of ``[mask url NUL] to NUL sender NUL traffic_class ttl_ms send_after_ms NUL text``."""
        cdef Hash it
        cdef uint8_t[64] numbers
        cdef uint8_t *end = numbers
        cdef object callback = <object>FIELD(request, self.at.callback)
        hash_begin(&it)
        if callback is not None:
            hash_text(&it, f"{callback.mask} {callback.url}\0")
        hash_text(&it, <str>FIELD(request, self.at.to))
        hash_put(&it, <const uint8_t *>b"\0", 1)
        hash_text(&it, <str>FIELD(request, self.at.sender))
        end[0], end[1], end[2], end[3] = 0, 48 + traffic_class, 32, 0
        end = put_number(end + 3, ttl_ms)
        end[0] = 32
        end = put_number(end + 1, sends_ms)
        end[0] = 0
        hash_put(&it, numbers, end + 1 - numbers)
        hash_text(&it, <str>FIELD(request, self.at.text))
        return hash_end(&it)


cdef inline bint is_name(object name) noexcept:
    return name is None or (PyUnicode_CheckExact(name) and PyUnicode_IS_ASCII(name))


cdef int set_terms(Terms *terms, int64_t now_ms, closed, int64_t oldest_key_n) except -1:
    cdef int index
    if len(closed) != CLASSES + 1:
        raise ValueError(f"closed has {CLASSES + 1} numbers")
    for index in range(CLASSES + 1):
        terms.closed[index] = closed[index]
    terms.now_ms, terms.oldest_key_n, terms.given = now_ms, oldest_key_n, NULL
    return 0


cdef inline int64_t milliseconds(object number) except? -1:
    cdef int overflow = 0
    cdef int64_t found = PyLong_AsLongLongAndOverflow(number, &overflow)
    return overflow * BEYOND_MS if overflow else max(-BEYOND_MS, min(BEYOND_MS, found))


cdef inline uint8_t *put_number(uint8_t *at, int64_t number) noexcept nogil:
    """In decimal; up to 20 octets."""
    cdef uint8_t[20] digits
    cdef int count = 0
    if number < 0:
        at[0] = 45
        at += 1
        number = -number
    while True:
        digits[count] = <uint8_t>(48 + number % 10)
        count += 1
        number //= 10
        if not number:
            break
    while count:
        count -= 1
        at[0] = digits[count]
        at += 1
    return at
