# Segments on their way to a carrier, and the ring in which those of one carrier and class wait.


@cython.final
@cython.no_gc
@cython.freelist(1024)
cdef class Submission:
    """One segment on its way to a carrier: the handle of its submit_sm in the exchange.

    `message` is the caller's own; it must not lead back here, as the collector does not look. `n` is 1 to
    2 ** 40 - 1, `segment` counts from 0 to `segments` - 1. `deadline_ms` is a time of UTC, 0: none. `frame` is the
    whole submit_sm. `attempts` counts the claims; whoever finds that one was no attempt takes it back.
    `framed_ms` is when the frame was made, 0: with the message. `since_ms` is since when it waits to be written for
    the first time, 0: it was, or that is not known. `trouble` is the caller's own, None to begin
    with.
    ValueError: a number out of its range.
    """

    cdef readonly object message
    cdef public bytes frame
    cdef public object trouble
    cdef readonly uint64_t n
    cdef readonly int64_t deadline_ms
    cdef public int64_t framed_ms
    cdef public int64_t since_ms
    cdef public uint16_t attempts
    cdef public uint16_t carrier
    cdef readonly uint8_t segment
    cdef readonly uint8_t segments
    cdef readonly uint8_t traffic_class
    cdef public bint claimed
    cdef public bint cancelled

    def __init__(
        self, message, uint64_t n, int segment, int segments, int traffic_class, int64_t deadline_ms,
        bytes frame not None, int carrier=0,
    ):
        check_segments(n, segment, segments, traffic_class, carrier)
        self.message = message
        self.n, self.segment, self.segments, self.traffic_class = n, segment, segments, traffic_class
        self.deadline_ms = deadline_ms
        self.frame = frame
        self.carrier = carrier

    def __repr__(self):
        return f"<Submission {self.n}: segment {self.segment + 1} of {self.segments}, {self.attempts} attempts>"


cdef int check_segments(uint64_t n, int segment, int segments, int traffic_class, int carrier) except -1:
    if not (1 <= n < N_MAX and 0 <= segment < segments <= 255 and 0 <= traffic_class < CLASSES):
        raise ValueError(f"no segment: n {n}, segment {segment} of {segments}, traffic_class {traffic_class}")
    if not 0 <= carrier < CARRIERS_MAX:
        raise ValueError(f"carrier is 0 to {CARRIERS_MAX - 1}, not {carrier}")
    return 0


def submissions(list messages not None, list frames not None, int carrier, int64_t framed_ms=0, int64_t since_ms=0):
    """Return the segments of messages, in order, for a carrier; `frames` are those of each message, made at
    `framed_ms`, or when it was accepted. They wait since `since_ms`.

    Of a message its n, traffic_class and deadline_ms are read. ValueError: lists of unequal length, or as Submission.
    """
    cdef list found = [], its_frames
    cdef Py_ssize_t index
    cdef int segment, segments, traffic_class
    cdef uint64_t n
    cdef int64_t deadline_ms
    cdef Submission each
    if len(messages) != len(frames):
        raise ValueError(f"{len(messages)} messages with the frames of {len(frames)}")
    for index in range(len(messages)):
        message, its_frames = messages[index], frames[index]
        n, traffic_class, deadline_ms = message.n, message.traffic_class, message.deadline_ms
        segments = len(its_frames)
        if segments:
            check_segments(n, segments - 1, segments, traffic_class, carrier)
        for segment in range(segments):
            frame = its_frames[segment]
            if type(frame) is not bytes:
                raise TypeError("frames are bytes")
            each = Submission.__new__(Submission)  # its __init__ costs more than all the rest
            each.message, each.frame = message, <bytes>frame
            each.n, each.segment, each.segments, each.traffic_class = n, segment, segments, traffic_class
            each.deadline_ms, each.carrier = deadline_ms, carrier
            each.framed_ms, each.since_ms = framed_ms, since_ms
            found.append(each)
    return found


def wrote(list submissions not None, Py_ssize_t count, int64_t now_ms, tuple waited not None):
    """Of the first `count`, which were written now, note how long those that were never tried before had waited:
    into one Histogram for each traffic_class. ValueError: there are not so many."""
    cdef Submission each
    cdef Histogram histogram
    cdef Py_ssize_t at
    if not 0 <= count <= len(submissions) or len(waited) != CLASSES:
        raise ValueError(f"{count} of {len(submissions)}, and {len(waited)} histograms")
    for at in range(count):
        each = submissions[at]
        if each.since_ms and each.trouble is None:
            histogram = waited[each.traffic_class]
            observe(&histogram.bins, (now_ms - each.since_ms) * 1000, 1)
        each.since_ms = 0


@cython.final
cdef class Ready:
    """Segments of one carrier and traffic_class that may go as soon as there is capacity, first in first out.

    Those of one message stay together and in order, as they were pushed. What was cancelled, or is past its
    deadline, is left out of every `pull` and waits in `take_dropped` for its outcome.
    """

    cdef PyObject** ring        # owned; a power of two of places
    cdef Py_ssize_t mask
    cdef Py_ssize_t first
    cdef Py_ssize_t count
    cdef list dropped

    def __cinit__(self):
        self.ring = <PyObject**>malloc(RING_MIN * sizeof(PyObject*))
        if self.ring == NULL:
            raise MemoryError
        self.mask = RING_MIN - 1
        self.dropped = []

    def __dealloc__(self):
        cdef Py_ssize_t at
        for at in range(self.count):
            Py_DECREF(<object>self.ring[(self.first + at) & self.mask])
        free(self.ring)

    def __len__(self):
        return self.count

    @property
    def oldest(self):
        """The foremost Submission, or None."""
        return <object>self.ring[self.first & self.mask] if self.count else None

    def push(self, Submission submission not None):
        """Put it behind all others."""
        self.make_room(1)
        Py_INCREF(submission)
        self.ring[(self.first + self.count) & self.mask] = <PyObject*>submission
        self.count += 1

    def extend(self, list submissions not None):
        """Put these behind all others, in their own order."""
        cdef Submission submission
        self.make_room(len(submissions))
        for submission in submissions:
            Py_INCREF(submission)
            self.ring[(self.first + self.count) & self.mask] = <PyObject*>submission
            self.count += 1

    @property
    def lowest(self):
        """The lowest n that stands here, 0 where nothing does. It looks at all."""
        cdef Py_ssize_t at
        cdef uint64_t n, lowest = 0
        for at in range(self.count):
            n = (<Submission>self.ring[(self.first + at) & self.mask]).n
            if lowest == 0 or n < lowest:
                lowest = n
        return lowest

    def find(self, uint64_t n):
        """Return the segments of a message that stand here. It looks at all of them: for cancelling only."""
        cdef Py_ssize_t at
        cdef list found = []
        for at in range(self.count):
            if (<Submission>self.ring[(self.first + at) & self.mask]).n == n:
                found.append(<object>self.ring[(self.first + at) & self.mask])
        return found

    def peek(self, Py_ssize_t start, Py_ssize_t most):
        """Return up to `most` of those that stand here, from the `start`th on; they stay."""
        cdef Py_ssize_t at
        cdef list found = []
        for at in range(max(0, start), min(self.count, start + most)):
            found.append(<object>self.ring[(self.first + at) & self.mask])
        return found

    def push_front(self, list submissions not None):
        """Put these before all others, in their own order: what was pulled and could not go."""
        cdef Py_ssize_t index
        cdef Submission submission
        for index in range(len(submissions)):
            if not isinstance(submissions[index], Submission):
                raise TypeError("submissions are a list of Submission")
        self.make_room(len(submissions))
        for index in range(len(submissions) - 1, -1, -1):
            submission = submissions[index]
            Py_INCREF(submission)
            self.first = (self.first - 1) & self.mask
            self.ring[self.first] = <PyObject*>submission
            self.count += 1

    def pull(self, Py_ssize_t most, int64_t now_ms, list out not None):
        """Append up to `most` of the foremost that may still go to `out`; return how many."""
        cdef Py_ssize_t pulled = 0
        cdef Submission submission
        while pulled < most and self.count:
            submission = <Submission>self.ring[self.first]
            if is_over(submission, now_ms):
                self.dropped.append(submission)
            else:
                out.append(submission)
                pulled += 1
            Py_DECREF(submission)
            self.first = (self.first + 1) & self.mask
            self.count -= 1
        return pulled

    def sweep(self, int64_t now_ms):
        """Move all that were cancelled or are past their deadline, wherever they stand, to the dropped ones;
        return how many. The others keep their order."""
        cdef Py_ssize_t at, kept = 0
        cdef PyObject* each
        for at in range(self.count):
            each = self.ring[(self.first + at) & self.mask]
            if is_over(<Submission>each, now_ms):
                self.dropped.append(<object>each)
                Py_DECREF(<object>each)
            else:
                self.ring[(self.first + kept) & self.mask] = each
                kept += 1
        at = self.count - kept
        self.count = kept
        return at

    def take_dropped(self):
        """Return those that `pull` and `sweep` left out since the last call, in the order they were met."""
        taken = self.dropped
        if taken:
            self.dropped = []
        return taken

    cdef int make_room(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t size = self.mask + 1, at
        cdef PyObject** ring
        if self.count + more <= size:
            return 0
        while size < self.count + more:
            size *= 2
        ring = <PyObject**>malloc(size * sizeof(PyObject*))
        if ring == NULL:
            raise MemoryError
        for at in range(self.count):
            ring[at] = self.ring[(self.first + at) & self.mask]
        free(self.ring)
        self.ring, self.mask, self.first = ring, size - 1, 0
        return 0

    def __repr__(self):
        return f"<Ready {self.count} segments, {len(self.dropped)} dropped>"


cdef inline bint is_over(Submission submission, int64_t now_ms) noexcept:
    return submission.cancelled or 0 < submission.deadline_ms <= now_ms
