/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dp/error.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/heap.h"

/* Bytes of an item and a stream that are kept if the options do not say. */
enum { DEFAULT_LIMIT = 64 << 10 };

/* An order ends early when so many bytes wait to be delivered, or some have waited so long. */
enum { ORDER_BYTES = 256 << 10 };
#define ORDER_NS INT64_C(50000000)

/* ---- Files ---- */

static uint64_t size_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_size > 0 ? (uint64_t)status.st_size : 0;
}

/* Gives back the memory of what lies between, except of the pages in which that begins and ends. */
static void dig(int fd, uint64_t begin, uint64_t end)
{
    if (end > begin)
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin,
                  (off_t)(end - begin));
}

static int open_file(void)
{
    int fd = dp__fd_beyond_standard((int)syscall(SYS_memfd_create, "dp-output", 1u /* CLOEXEC */));
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_APPEND);
    return fd;
}

/* Of a pool that has the application's somewhere else. */
static struct {
    const dp__head *head;
    dp__captures *captures;
} joined;

static dp__captures *captures_of(const dp__head *head)
{
    return joined.captures && head == joined.head ? joined.captures : head->captures;
}

static size_t limit_of(const dp__head *head)
{
    size_t limit = head->options.process.output_limit;
    return limit > 0 && limit < SIZE_MAX / 4 ? limit : DEFAULT_LIMIT;
}

static void close_files(dp__capture *capture)
{
    for (int s = 0; s < DP__STREAMS; s++)
        if (capture->fd[s] >= 0)
            close(capture->fd[s]);
}

/* ---- The door ---- */

/* What comes with the files of a seat. */
typedef struct packet {
    uint32_t seat;
    dp__output_log *log;
} packet;

typedef union ancillary {
    struct cmsghdr header;
    char room[CMSG_SPACE(DP__STREAMS * sizeof(int))];
} ancillary;

int dp__output_send(const dp__head *head, uint32_t seat)
{
    if (!head->captures)
        return 0;
    const dp__capture *capture = &head->captures->of[seat];
    packet out = {seat, capture->log};
    ancillary files = {.header = {.cmsg_len = CMSG_LEN(sizeof capture->fd),
                                  .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {&out, sizeof out};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &files, .msg_controllen = sizeof files};
    memcpy(CMSG_DATA(&files.header), capture->fd, sizeof capture->fd);
    ssize_t sent;
    /* It waits where the zygote does not read fast enough. */
    do
        sent = sendmsg(head->captures->door[0], &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof out ? 0 : DP_EPROCESS;
}

/* Whether something whole has come. A process that may have no more files gets fewer. */
static int receive(int door, packet *in, int fds[DP__STREAMS])
{
    ancillary files = {.room = {0}};
    struct iovec part = {in, sizeof *in};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &files, .msg_controllen = sizeof files};
    ssize_t got;
    while ((got = recvmsg(door, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) > 0) {
        size_t size = message.msg_controllen >= sizeof(struct cmsghdr)
                          ? files.header.cmsg_len - CMSG_LEN(0)
                          : 0;
        int is_whole = got == (ssize_t)sizeof *in && size == DP__STREAMS * sizeof(int);
        memcpy(fds, CMSG_DATA(&files.header), size);
        if (is_whole)
            return 1;
        for (size_t i = 0; i < size / sizeof(int); i++)
            close(fds[i]);
        message.msg_controllen = sizeof files;
    }
    return 0;
}

/* ---- Notes ---- */

static int has_room(const dp__output_log *log, uint32_t notes)
{
    /* Acquire: pairs with the release of who has read it. */
    return dp__load_relaxed(&log->written) - dp__load_acquire(&log->read) <
           DP__OUTPUT_NOTES - notes;
}

/* Notes what was printed since the last note, if anything was; without room, the next note has it.
 */
static void note(const dp__capture *capture, size_t item)
{
    dp__output_log *log = capture->log;
    uint32_t written = dp__load_relaxed(&log->written);
    const dp__output_note *last = &log->note[(written - 1) % DP__OUTPUT_NOTES];
    dp__output_note *next = &log->note[written % DP__OUTPUT_NOTES];
    uint64_t end[DP__STREAMS], anew = 0;
    int is_news = 0;
    for (int s = 0; s < DP__STREAMS; s++) {
        end[s] = size_of(capture->fd[s]);
        is_news |= end[s] != last->end[s];
        anew |= (uint64_t)(end[s] < last->end[s]) << s;
    }
    if (!is_news || !has_room(log, 0))
        return;
    next->item = item;
    next->anew = anew;
    memcpy(next->end, end, sizeof end);
    dp__store_release(&log->written, written + 1);
}

/* ---- In a worker ---- */

static struct {
    const dp__capture *capture;  /* NULL: nothing is captured. */
    int64_t since;               /* When the first item that has printed was over, or INT64_MAX. */
    uint64_t began[DP__STREAMS]; /* Where the order did. */
} own = {.since = INT64_MAX};

void dp__output_attach(const dp__head *head, uint32_t seat)
{
    /* In a pool that a task has made there is what the worker outside has had. */
    own.capture = NULL;
    if (!head->captures)
        return;
    const dp__captures *captures = captures_of(head);
    own.capture = &captures->of[seat];
    if (captures->door[1] >= 0)
        close(captures->door[1]);
    for (uint32_t i = 0; i < DP_MAX_WORKERS; i++)
        for (int s = 0; captures->of[i].log && s < DP__STREAMS && i != seat; s++)
            close(captures->of[i].fd[s]);
    dup2(own.capture->fd[0], STDOUT_FILENO);
    dup2(own.capture->fd[1], STDERR_FILENO);
    /* A process that crashes does not write what is in its buffers. */
    setvbuf(stdout, NULL, _IONBF, 0);
}

void dp__output_start(void)
{
    if (own.capture)
        note(own.capture, DP_NO_ITEM);
}

static const dp__output_note *last_note(const dp__output_log *log)
{
    return &log->note[(dp__load_relaxed(&log->written) - 1) % DP__OUTPUT_NOTES];
}

void dp__output_begin_order(void)
{
    if (!own.capture)
        return;
    for (int s = 0; s < DP__STREAMS; s++)
        own.began[s] = last_note(own.capture->log)->end[s];
    own.since = INT64_MAX;
}

int dp__output_end_item(size_t item)
{
    if (!own.capture)
        return 0;
    const dp__output_log *log = own.capture->log;
    uint32_t written = dp__load_relaxed(&log->written);
    /* The task may have given its standard output a buffer. */
    fflush(stdout);
    note(own.capture, item);
    int is_news = dp__load_relaxed(&log->written) != written;
    if (!is_news && own.since == INT64_MAX)
        return 0;
    const dp__output_note *last = last_note(log);
    for (int s = 0; is_news && s < DP__STREAMS; s++)
        if (last->anew >> s & 1)
            own.began[s] = 0;
    int64_t now = dp__now_ns();
    if (own.since == INT64_MAX)
        own.since = now;
    /* One for the death of this process, and one for the beginning of the next. */
    return !has_room(log, 2) || now - own.since > ORDER_NS ||
           last->end[0] - own.began[0] + last->end[1] - own.began[1] > ORDER_BYTES;
}

/* ---- In the zygote ---- */

int dp__output_descriptors(const dp__head *head, int *fds)
{
    int count = 0;
    if (!head->captures)
        return 0;
    const dp__captures *captures = captures_of(head);
    if (captures->door[1] >= 0)
        fds[count++] = captures->door[1];
    for (uint32_t i = 0; i < dp__seats_now(head); i++)
        for (int s = 0; s < DP__STREAMS; s++)
            fds[count++] = captures->of[i].fd[s];
    return count;
}

int dp__output_join(const dp__head *head)
{
    if (!head->captures)
        return 0;
    joined.head = head;
    joined.captures = calloc(1, sizeof *joined.captures);
    if (!joined.captures)
        return DP_ENOMEM;
    joined.captures->door[0] = -1;
    joined.captures->door[1] = head->door;
    dp__fd_pass_on(head->door, 0);
    for (uint32_t i = 0; i < dp__seats_now(head); i++) {
        dp__capture *capture = &joined.captures->of[i];
        capture->log = head->entry[i].log;
        for (int s = 0; s < DP__STREAMS; s++) {
            capture->fd[s] = capture->log->fd[s];
            dp__fd_pass_on(capture->fd[s], 0);
        }
    }
    return 0;
}

int dp__output_door(const dp__head *head)
{
    return head->captures ? captures_of(head)->door[1] : -1;
}

int dp__output_is_there(const dp__head *head, uint32_t seat)
{
    return !head->captures || captures_of(head)->of[seat].log;
}

void dp__output_receive(dp__head *head)
{
    packet in;
    int fds[DP__STREAMS], door = dp__output_door(head);
    while (door >= 0 && receive(door, &in, fds)) {
        dp__capture *capture = &captures_of(head)->of[in.seat];
        if (capture->log) /* They have come before: these are the same. */
            close_files(capture);
        memcpy(capture->fd, fds, sizeof fds);
        capture->log = in.log;
    }
}

void dp__output_note_death(const dp__head *head, uint32_t number)
{
    const dp__seat *seat = dp__seat_of(head, number);
    uint64_t at = dp__load_acquire(&seat->at);
    if (head->captures)
        note(&captures_of(head)->of[number], at & 1 ? seat->base + (size_t)(at >> 1) : DP_NO_ITEM);
}

/* ---- In the application ---- */

int dp__output_create(dp__head *head)
{
    if (!head->options.process.on_output)
        return 0;
    dp__captures *made = calloc(1, sizeof *made);
    if (!made)
        return DP_ENOMEM;
    head->captures = made;
    made->door[0] = made->door[1] = -1;
    int ends[2];
    /* The workers of a call are all there from the beginning. */
    if (head->options.process.start == DP_START_SNAPSHOT)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return DP_EPROCESS;
    made->door[0] = dp__fd_beyond_standard(ends[0]);
    made->door[1] = head->door = dp__fd_beyond_standard(ends[1]);
    return made->door[0] >= 0 && made->door[1] >= 0 ? 0 : DP_EPROCESS;
}

int dp__output_add(dp__head *head, uint32_t seat)
{
    if (dp__output_is_there(head, seat))
        return 0;
    dp__capture *capture = &head->captures->of[seat];
    dp__output_log *log = dp__heap_alloc_lasting(sizeof *log, 1);
    if (!log)
        return DP_ENOMEM;
    capture->fd[0] = open_file();
    capture->fd[1] = capture->fd[0] >= 0 ? open_file() : -1;
    if (capture->fd[1] < 0) {
        close_files(capture);
        dp__heap_free(log);
        return DP_EPROCESS;
    }
    for (int s = 0; s < DP__STREAMS; s++)
        log->fd[s] = capture->fd[s];
    head->entry[seat].log = capture->log = log;
    return 0;
}

void dp__output_begun(dp__head *head)
{
    if (!head->captures || head->captures->door[1] < 0)
        return;
    close(head->captures->door[1]);
    head->captures->door[1] = -1;
}

/* Calls the user with the last part of what lies in a file from `begin` on. */
static void deliver(const dp__head *head, int fd, uint64_t begin, uint64_t end, dp_output *output)
{
    const dp_pool_process_options *options = &head->options.process;
    uint64_t limit = limit_of(head), kept = end - begin < limit ? end - begin : limit;
    char *text = malloc((size_t)kept + 1);
    ssize_t got = text ? pread(fd, text, (size_t)kept, (off_t)(end - kept)) : 0;
    output->size = got > 0 ? (size_t)got : 0;
    output->dropped = (size_t)(end - begin) - output->size;
    output->text = text ? text : "";
    if (text)
        text[output->size] = 0;
    int apart = dp__apart_begin();
    options->on_output(options->output_context, output);
    dp__apart_end(apart);
    free(text);
}

/* Nothing that stands in a note is taken for granted. */
static uint64_t bounded(uint64_t end, uint64_t taken, int fd)
{
    uint64_t size = size_of(fd);
    return end < taken ? taken : end > size ? size > taken ? size : taken : end;
}

/* As far as the ends say, to whom the output tells. Of streams with a bit in `lost` that is not
   there any more. */
static void deliver_up_to(const dp__head *head, dp__capture *capture,
                          const uint64_t end[DP__STREAMS], uint64_t lost, dp_output *output)
{
    for (int s = 0; s < DP__STREAMS; s++) {
        int is_lost = lost >> s & 1;
        uint64_t to = bounded(end[s], capture->taken[s], capture->fd[s]);
        if (is_lost && end[s] > to)
            to = end[s];
        if (to == capture->taken[s])
            continue;
        output->stream = s == 0 ? STDOUT_FILENO : STDERR_FILENO;
        deliver(head, is_lost ? -1 : capture->fd[s], capture->taken[s], to, output);
        if (!is_lost)
            dig(capture->fd[s], 0, to);
        capture->taken[s] = to;
    }
}

/* The files were cut off. */
static void begin_anew(dp__capture *capture, uint64_t streams)
{
    for (int s = 0; s < DP__STREAMS; s++)
        if (streams >> s & 1)
            capture->taken[s] = 0;
}

/* Of which streams the files were cut off after the first of these notes. */
static uint64_t cut_off_after(const dp__output_log *log, uint32_t read, uint32_t written)
{
    uint64_t streams = 0;
    while (++read != written)
        streams |= log->note[read % DP__OUTPUT_NOTES].anew;
    return streams;
}

void dp__output_deliver(const dp__head *head, uint32_t seat, const dp__batch *batch,
                        const dp__wire *wire, size_t begin, size_t end)
{
    if (!head->captures)
        return;
    dp__capture *capture = &head->captures->of[seat];
    dp__output_log *log = capture->log;
    uint32_t written = dp__load_acquire(&log->written), read = dp__load_relaxed(&log->read);
    /* More than there is room for somebody has scribbled. */
    if (written - read > DP__OUTPUT_NOTES)
        read = written;
    for (; read != written; read++) {
        const dp__output_note note = log->note[read % DP__OUTPUT_NOTES];
        dp_output output = {.item = DP_NO_ITEM, .worker = seat};
        if (note.item >= begin && note.item < end)
            wire->name(batch, (size_t)note.item, &output);
        begin_anew(capture, note.anew);
        deliver_up_to(head, capture, note.end, cut_off_after(log, read, written), &output);
    }
    dp__store_release(&log->read, read);
}

/* Noted or not. */
static void deliver_all(const dp__head *head, uint32_t seat, dp_output *output)
{
    const uint64_t all[DP__STREAMS] = {UINT64_MAX, UINT64_MAX};
    dp__capture *capture = &head->captures->of[seat];
    for (int s = 0; s < DP__STREAMS; s++)
        if (size_of(capture->fd[s]) < capture->taken[s])
            capture->taken[s] = 0;
    deliver_up_to(head, capture, all, 0, output);
}

void dp__output_deliver_rest(const dp__head *head, uint32_t seat, const dp__batch *batch,
                             const dp__wire *wire, size_t item)
{
    dp_output output = {.item = DP_NO_ITEM, .worker = seat};
    if (!head->captures)
        return;
    if (item != DP_NO_ITEM)
        wire->name(batch, item, &output);
    deliver_all(head, seat, &output);
}

int dp__output_trim(const dp__head *head, uint32_t seat)
{
    if (!head->captures || !captures_of(head)->of[seat].log)
        return 0;
    const dp__capture *capture = &captures_of(head)->of[seat];
    const dp__output_log *log = capture->log;
    int is_there = 0;
    const uint64_t limit = limit_of(head);
    for (int s = 0; s < DP__STREAMS; s++) {
        /* First: what there is now and is not noted then is of one item. Acquire: the note. */
        uint64_t size = size_of(capture->fd[s]);
        uint64_t begin = log->note[(dp__load_acquire(&log->written) - 1) % DP__OUTPUT_NOTES].end[s];
        if (size > begin && size - begin > 2 * limit)
            dig(capture->fd[s], begin, size - limit);
        is_there |= size > begin;
    }
    return is_there;
}

void dp__output_forget(dp__captures *captures, int has_files)
{
    for (uint32_t i = 0; captures && has_files && i < DP_MAX_WORKERS; i++)
        if (captures->of[i].log)
            close_files(&captures->of[i]);
    for (int i = 0; captures && has_files && i < 2; i++)
        if (captures->door[i] >= 0)
            close(captures->door[i]);
    free(captures);
}

void dp__output_destroy(dp__head *head)
{
    dp__captures *captures = head->captures;
    for (uint32_t i = 0; captures && i < DP_MAX_WORKERS; i++) {
        dp__capture *capture = &captures->of[i];
        dp_output output = {.item = DP_NO_ITEM, .worker = i};
        if (!capture->log)
            continue;
        deliver_all(head, i, &output);
        dp__heap_free(capture->log);
        head->entry[i].log = NULL;
    }
    dp__output_forget(captures, 1);
    head->captures = NULL;
}
