/* The floor: SMPP by the million with nothing behind it. No timers, no matching, no limits: what the kernel and
 * the machine allow, and nothing that could be used.
 *
 *     floor client PORT SYSTEM_ID BINDS WINDOW RECEIPTS WARM_S SPAN_S    floods, prints JSON
 *     floor smsc RECEIPTS                                                prints its port, answers until killed
 *
 * One epoll loop, one read and one write a wake-up and connection, in both roles.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 4 << 20, CONNECTIONS = 128, SUBMIT = 4, DELIVER = 5, BIND = 9 };
static const uint32_t RESP = 0x80000000;
struct peer { int fd, waiting; unsigned next, in_flight; size_t in, out, begun; uint8_t *inbox, *outbox; };
static struct peer peers[CONNECTIONS];
static int epoll, peer_count, is_client, window, receipts, refilling = 1;
static uint64_t sent, answered, reported;
static uint8_t submit[256], deliver[512];
static size_t submit_size, deliver_size, id_at, tlv_id_at;

static void die(const char *what) { perror(what); exit(1); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static double cpu(void)
{
    struct rusage r; getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
static uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return ntohl(v); }
static void put32(uint8_t *p, uint32_t v) { v = htonl(v); memcpy(p, &v, 4); }
static void header(uint8_t *p, uint32_t size, uint32_t command, uint32_t number)
{
    put32(p, size); put32(p + 4, command); put32(p + 8, 0); put32(p + 12, number);
}
static uint8_t *room(struct peer *p, size_t size)
{
    if (p->out + size > ROOM) { fprintf(stderr, "the peer does not read\n"); exit(1); }
    p->out += size;
    return p->outbox + p->out - size;
}
static void digits(uint8_t *p, uint64_t v) { for (int i = 9; i >= 0; i--, v /= 10) p[i] = '0' + v % 10; }
static size_t fill(uint8_t *to, uint32_t command, const void *body, size_t size)
{
    header(to, 16 + size, command, 0); memcpy(to + 16, body, size);
    return 16 + size;
}
static void templates(void)
{
    char text[160], body[400];
    static const char code[] = "Your one-time code is 482913. Do not tell it to anyone, ever";
    size_t n = snprintf(body, sizeof body, "%c%c%cbank%c\1\1" "79001234567%c%c%c%c%c%c%c%c%c%c%c%s", 0, 0, 0, 0, 0, 0,
                        0, 0, 0, 0, receipts, 0, 0, 0, (int)sizeof code - 1, code);
    submit_size = fill(submit, SUBMIT, body, n);
    int length = snprintf(text, sizeof text, "id:0000000000 sub:001 dlvrd:001 submit date:2611241000 "
                          "done date:2611241000 stat:DELIVRD err:000 text:Your one-time code i");
    n = snprintf(body, sizeof body, "%c\1\1" "79001234567%c%c%cbank%c%c%c%c%c%c%c%c%c%c%c", 0, 0, 0, 0, 0, 4, 0, 0, 0, 0,
                 0, 0, 0, 0, length);
    id_at = 16 + n + 3;
    memcpy(body + n, text, length); n += length;
    memcpy(body + n, "\0\x1e\0\x0b" "0000000000\0\4\x27\0\1\2", 20);
    tlv_id_at = 16 + n + 4; n += 20;
    deliver_size = fill(deliver, DELIVER, body, n);
}
static void flush(struct peer *p)
{
    while (p->begun < p->out) {
        ssize_t n = write(p->fd, p->outbox + p->begun, p->out - p->begun);
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) { if (is_client) die("write"); p->begun = p->out; }
        else p->begun += n;
    }
    if (p->begun == p->out) p->begun = p->out = 0;
    if ((p->out > 0) != p->waiting) {
        p->waiting = p->out > 0;
        struct epoll_event e = { EPOLLIN | (p->waiting ? EPOLLOUT : 0), { .ptr = p } };
        epoll_ctl(epoll, EPOLL_CTL_MOD, p->fd, &e);
    }
}
static void refill(struct peer *p)
{
    for (; refilling && p->in_flight < (unsigned)window; p->in_flight++, sent++) {
        uint8_t *at = room(p, submit_size);
        memcpy(at, submit, submit_size); put32(at + 12, p->next++);
    }
}
static void take(struct peer *p, const uint8_t *pdu)
{
    uint32_t command = get32(pdu + 4), number = get32(pdu + 12);
    if (command == (RESP | SUBMIT)) {
        if (get32(pdu + 8)) { fprintf(stderr, "refused: %u\n", get32(pdu + 8)); exit(1); }
        answered++; p->in_flight--;
    } else if (command == DELIVER) {
        reported++;
        uint8_t *at = room(p, 17); header(at, 17, RESP | DELIVER, number); at[16] = 0;
    } else if (command == SUBMIT) {
        uint8_t *at = room(p, 27);
        header(at, 27, RESP | SUBMIT, number); digits(at + 16, ++answered); at[26] = 0;
        if (receipts) {
            at = room(p, deliver_size); memcpy(at, deliver, deliver_size); put32(at + 12, ++p->next);
            memcpy(at + id_at, at - 11, 10); memcpy(at + tlv_id_at, at - 11, 10);
        }
    } else if (command == BIND) {
        uint8_t *at = room(p, 18); header(at, 18, RESP | BIND, number); at[16] = 'c'; at[17] = 0;
    }
}
static void serve(struct peer *p)
{
    ssize_t n = read(p->fd, p->inbox + p->in, (256 << 10) - p->in);
    if (n < 0 && errno == EAGAIN) { flush(p); return; }
    if (n <= 0) {
        if (is_client) die("read");
        epoll_ctl(epoll, EPOLL_CTL_DEL, p->fd, NULL); close(p->fd); p->fd = -1;
        return;
    }
    size_t end = p->in + n, at = 0;
    while (end - at >= 16 && end - at >= get32(p->inbox + at)) { take(p, p->inbox + at); at += get32(p->inbox + at); }
    memmove(p->inbox, p->inbox + at, p->in = end - at);
    if (is_client) refill(p);
    flush(p);
}
static struct peer *add(int fd)
{
    int at = 0, one = 1;
    while (at < peer_count && peers[at].fd >= 0) at++;  /* of one that is gone */
    if (at == CONNECTIONS) exit(1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct peer *p = &peers[at];
    uint8_t *inbox = at < peer_count ? p->inbox : malloc(ROOM), *outbox = at < peer_count ? p->outbox : malloc(ROOM);
    *p = (struct peer){ .fd = fd, .next = 2, .inbox = inbox, .outbox = outbox };
    if (at == peer_count) peer_count++;
    struct epoll_event e = { EPOLLIN, { .ptr = p } };
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
    return p;
}
int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event events[CONNECTIONS];
    double begin = 0, begin_cpu = 0, end = 0, end_cpu = 0;
    uint64_t begin_count = 0, end_count = 0;
    int listener = -1;
    if (argc != 9 && argc != 3) { fprintf(stderr, "see the top of floor.c\n"); return 2; }
    is_client = argc == 9;
    receipts = atoi(argv[is_client ? 6 : 2]);
    epoll = epoll_create1(0);
    templates();
    if (is_client) {
        to.sin_port = htons(atoi(argv[2])); window = atoi(argv[5]);
        for (int i = 0; i < atoi(argv[4]); i++) {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            uint8_t frame[64], body[48] = { 0 };
            if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
            size_t name = snprintf((char *)body, 16, "%s", argv[3]);
            body[name + 3] = 0x34;
            name = fill(frame, BIND, body, name + 7);
            put32(frame + 12, 1);
            if (write(fd, frame, name) < 0) die("bind");
            if (read(fd, frame, sizeof frame) < 16 || get32(frame + 8)) die("bind");
            fcntl(fd, F_SETFL, O_NONBLOCK);
            add(fd);
        }
        begin = now() + atof(argv[7]); end = begin + atof(argv[8]);
        for (int i = 0; i < peer_count; i++) { refill(&peers[i]); flush(&peers[i]); }
    } else {
        socklen_t size = sizeof to;
        listener = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listener, (struct sockaddr *)&to, size) || listen(listener, 128)) die("listen");
        getsockname(listener, (struct sockaddr *)&to, &size);
        printf("%d\n", ntohs(to.sin_port)); fflush(stdout);
        struct epoll_event e = { EPOLLIN, { .ptr = NULL } };
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    }
    while (!is_client || refilling || answered < sent || (receipts && reported < sent)) {
        int n = epoll_wait(epoll, events, CONNECTIONS, is_client ? 5000 : -1);
        if (n == 0) { fprintf(stderr, "silence: %lu of %lu answered\n", answered, sent); return 1; }
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) serve(events[i].data.ptr);
            else { int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK); if (fd >= 0) add(fd); }
        }
        if (is_client && refilling) {
            double time = now();
            if (!begin_cpu && time >= begin) {
                begin = time; begin_cpu = cpu(); begin_count = receipts ? reported : answered;
            } else if (begin_cpu && time >= end) {
                end = time; end_cpu = cpu(); end_count = receipts ? reported : answered; refilling = 0;
            }
        }
    }
    printf("{\"messages\": %lu, \"seconds\": %.6f, \"cpu_s\": %.6f, \"sent\": %lu}\n", end_count - begin_count,
           end - begin, end_cpu - begin_cpu, sent);
    return 0;
}
