/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dp/error.h"
#include "platform/descriptor.h"
#include "platform/hash.h"
#include "platform/message.h"

/* So much finished work may be lost with the process, for each call to the system that is saved. */
#define WRITE_NS INT64_C(1000000)

#define MAGIC    "dp.jrnl\n"
#define IN_ORDER UINT32_C(0x01020304)
enum { VERSION = 1 };

/* In the byte order of the machine, which `order` tells. */
typedef struct head {
    char magic[8];
    uint32_t version, order;
    dp__journal_identity identity;
    uint64_t salt;  /* Another one in each journal. */
    uint64_t check; /* Of all before it. */
} head;

/* Before the results of `count` items from `begin` on. */
typedef struct record {
    uint64_t begin, count;
    uint64_t check; /* See check_of(). */
} record;

_Static_assert(sizeof(head) == 72 && sizeof(record) == 24, "the file has no gaps");
_Static_assert(sizeof(head) <= 512, "a disk writes the head in one piece");

/* ---- What goes wrong ---- */

static int refuse(dp__journal_file *file, int code, const char *text)
{
    file->text = text;
    dp__message(1, "journal %s: %s", file->path, text);
    return code;
}

static const char *text_of(int error, const char *otherwise)
{
    if (error == ENOSPC || error == EDQUOT)
        return "the journal cannot be written: the disk is full";
    if (error == EFBIG)
        return "the journal cannot be written: it would be larger than a file may be";
    return otherwise;
}

static int refuse_io(dp__journal_file *file, const char *otherwise)
{
    int error = errno;
    dp__message(2, "journal %s: the system's error was %d", file->path, error);
    return refuse(file, DP_EIO, text_of(error, otherwise));
}

/* From now on nothing is written. Under the lock. */
static void give_up(dp__journal_file *file, const char *otherwise)
{
    file->text = text_of(errno, otherwise);
    file->code = DP_EIO;
}

/* ---- Bytes ---- */

/* 0, or -1 and errno. */
static int write_all(int fd, const char *from, size_t bytes, uint64_t at)
{
    while (bytes > 0) {
        ssize_t written = pwrite(fd, from, bytes, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            errno = written == 0 ? ENOSPC : errno;
            return -1;
        }
        from += written;
        at += (uint64_t)written;
        bytes -= (size_t)written;
    }
    return 0;
}

/* How many there were; fewer only at the end of the file. -1 and errno. */
static ssize_t read_all(int fd, char *to, size_t bytes, uint64_t at)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(fd, to + done, bytes - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* A failure is final: what was to be written may be forgotten by now, so that the next attempt
   would succeed without it. */
static int sync_data(int fd)
{
    int error;
    while ((error = fdatasync(fd)) < 0 && errno == EINTR)
        ;
    return error;
}

static uint64_t salted(const dp__journal_file *file, const char *memory, size_t bytes)
{
    return dp__hash_of(memory, bytes, file->salt);
}

/* Of a record whose results have this hash. The place belongs to it: what has come to another one,
   or from another journal, does not count. */
static uint64_t check_of(const dp__journal_file *file, const record *r, uint64_t at, uint64_t hash)
{
    uint64_t all[4] = {r->begin, r->count, at, hash};
    return salted(file, (const char *)all, sizeof all);
}

/* ---- The head ---- */

/* Differs from that of any journal that has lain on the same blocks of the disk before. */
static uint64_t new_salt(const dp__journal_file *file)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t some[4] = {(uint64_t)now.tv_sec, (uint64_t)now.tv_nsec, (uint64_t)getpid(),
                        (uintptr_t)file};
    return dp__hash_of(some, sizeof some, file->identity.name);
}

static head head_of(const dp__journal_file *file, uint64_t salt)
{
    head h;
    memset(&h, 0, sizeof h);
    memcpy(h.magic, MAGIC, sizeof h.magic);
    h.version = VERSION;
    h.order = IN_ORDER;
    h.identity = file->identity;
    h.salt = salt;
    h.check = dp__hash_of(&h, offsetof(head, check), 0);
    return h;
}

/* The name of a new file is kept by its folder. Some of these cannot be opened, or synced. */
static int sync_folder(const char *path)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) /* The file was opened, so its path is no longer than that. */
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
    if (fd < 0)
        return 0;
    if (fsync(fd) < 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT))
        error = errno;
    close(fd);
    errno = error;
    return error ? -1 : 0;
}

static int write_head(dp__journal_file *file)
{
    head h = head_of(file, new_salt(file));
    file->salt = h.salt;
    file->end = sizeof h;
    if (write_all(file->fd, (const char *)&h, sizeof h, 0) < 0 || sync_data(file->fd) < 0)
        return refuse_io(file, "the journal cannot be written");
    return 0;
}

/* What a power cut may leave of a head that was being written: part of it, or a file that has grown
   already and is still empty. Nothing has been recorded then. */
static int is_unfinished(const dp__journal_file *file, const char *bytes, size_t size)
{
    head whole = head_of(file, 0);
    size_t known = offsetof(head, salt), zeros = 0;
    while (zeros < size && bytes[zeros] == 0)
        zeros++;
    return zeros == size ||
           (size < sizeof whole && memcmp(bytes, &whole, size < known ? size : known) == 0);
}

/* Why the head is not that of this call, or NULL. */
static const char *mismatch(const dp__journal_file *file, const head *h)
{
    const dp__journal_identity *own = &file->identity, *its = &h->identity;
    if (memcmp(h->magic, MAGIC, sizeof h->magic) != 0)
        return "the file is no journal";
    if (h->order != IN_ORDER || h->version != VERSION)
        return "the journal was written by another version, or on another machine";
    if (h->check != dp__hash_of(h, offsetof(head, check), 0))
        return "the beginning of the journal is damaged";
    if (its->verb != own->verb)
        return "the journal belongs to another verb";
    if (its->n != own->n)
        return "the journal belongs to a call with another number of items";
    if (its->size != own->size)
        return "the journal belongs to a call with results of another size";
    if (its->seed != own->seed)
        return "the journal belongs to a call with another seed";
    if (its->is_named != own->is_named || (own->is_named && its->name != own->name))
        return "the journal belongs to a call with another journal_key";
    return its->name != own->name ? "the journal belongs to a call with other inputs" : NULL;
}

/* ---- Reading ---- */

/* What of the file lies in the room. */
typedef struct view {
    dp__journal_file *file;
    uint64_t at, size; /* `size`: of the file. */
    size_t bytes;
} view;

/* So many bytes at a place in the file, at most what the room holds. NULL and errno. */
static const char *look(view *v, uint64_t at, size_t bytes)
{
    if (at < v->at || at + bytes > v->at + v->bytes) {
        uint64_t rest = v->size - at;
        size_t wanted = rest < DP__JOURNAL_ROOM ? (size_t)rest : DP__JOURNAL_ROOM;
        ssize_t got = read_all(v->file->fd, v->file->room, wanted, at);
        v->at = at;
        v->bytes = got > 0 ? (size_t)got : 0;
        if (got >= 0 && v->bytes < bytes) /* Somebody else has made it shorter. */
            errno = EIO;
        if (v->bytes < bytes)
            return NULL;
    }
    return v->file->room + (at - v->at);
}

static size_t piece_of(size_t rest)
{
    return rest < DP__JOURNAL_ROOM ? rest : DP__JOURNAL_ROOM;
}

/* Whether the results of a record are what was written. -1 and errno if they cannot be read. */
static int is_whole(view *v, const record *r, uint64_t at, size_t bytes)
{
    dp__hash hash;
    dp__hash_begin(&hash, v->file->salt);
    for (size_t done = 0, piece; done < bytes; done += piece) {
        piece = piece_of(bytes - done);
        const char *from = look(v, at + sizeof *r + done, piece);
        if (!from)
            return -1;
        dp__hash_add(&hash, from, piece);
    }
    return check_of(v->file, r, at, dp__hash_end(&hash)) == r->check;
}

static int restore(view *v, const record *r, uint64_t at, size_t bytes)
{
    dp__journal_file *file = v->file;
    for (size_t done = 0, piece; done < bytes; done += piece) {
        piece = piece_of(bytes - done);
        const char *from = look(v, at + sizeof *r + done, piece);
        if (!from)
            return -1;
        memcpy(file->out + r->begin * file->identity.size + done, from, piece);
    }
    for (uint64_t i = r->begin; i < r->begin + r->count; i++) {
        file->kept_items += !file->kept[i];
        file->kept[i] = 1;
    }
    return 0;
}

/* Takes over the record at the end of what has been read so far. 1; 0 if there is no whole one; -1
   and errno. Nothing is copied before all of it has been checked: results may lie where the call
   reads. */
static int take_record(view *v)
{
    dp__journal_file *file = v->file;
    uint64_t n = file->identity.n, at = file->end, rest = v->size - at;
    record r;
    if (rest < sizeof r)
        return 0;
    const char *from = look(v, at, sizeof r);
    if (!from)
        return -1;
    memcpy(&r, from, sizeof r);
    if (r.begin >= n || r.count == 0 || r.count > n - r.begin)
        return 0;
    size_t bytes = (size_t)(r.count * file->identity.size);
    if (rest - sizeof r < bytes)
        return 0;
    int whole = is_whole(v, &r, at, bytes);
    if (whole <= 0)
        return whole;
    if (restore(v, &r, at, bytes) < 0)
        return -1;
    file->end = at + sizeof r + bytes;
    return 1;
}

/* What follows the last whole record goes, and is gone on the disk before something else takes its
   place. */
static int repair(dp__journal_file *file, uint64_t size)
{
    dp__message(1, "journal %s: its last %llu bytes are no whole record and were cut off",
                file->path, (unsigned long long)(size - file->end));
    if (ftruncate(file->fd, (off_t)file->end) < 0 || sync_data(file->fd) < 0)
        return refuse_io(file, "the journal cannot be repaired");
    return 0;
}

static int read_records(dp__journal_file *file, uint64_t size)
{
    view v = {file, 0, size, 0};
    int found;
    file->end = sizeof(head);
    while ((found = take_record(&v)) > 0)
        ;
    if (found < 0)
        return refuse_io(file, "the journal cannot be read");
    dp__message(2, "journal %s: has %zu of %llu items", file->path, file->kept_items,
                (unsigned long long)file->identity.n);
    if (file->end < size)
        return repair(file, size);
    /* Who wrote them may have been killed before it synced them. They count as done from now on. */
    if (sync_data(file->fd) < 0)
        return refuse_io(file, "the journal cannot be written to the disk");
    return 0;
}

/* ---- Opening ---- */

static int lock_file(dp__journal_file *file)
{
    while (flock(file->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EWOULDBLOCK)
            return refuse(file, DP_EBUSY, "the journal is in use by another call");
        /* Some file systems have no locks. Two calls at once would lose records, and no more. */
        dp__message(1, "journal %s: cannot be locked", file->path);
        break;
    }
    return 0;
}

/* A child that was forked meanwhile may still have the descriptor. */
static void unlock_file(const dp__journal_file *file)
{
    flock(file->fd, LOCK_UN);
}

static int read_file(dp__journal_file *file)
{
    struct stat status;
    head h;
    if (fstat(file->fd, &status) < 0)
        return refuse_io(file, "the journal cannot be read");
    if (!S_ISREG(status.st_mode))
        return refuse(file, DP_EJOURNAL, "the journal is not an ordinary file");
    int code = lock_file(file);
    if (code)
        return code;
    /* Its size only counts now that nobody else writes. */
    ssize_t got = read_all(file->fd, (char *)&h, sizeof h, 0);
    if (got < 0 || fstat(file->fd, &status) < 0)
        return refuse_io(file, "the journal cannot be read");
    uint64_t size = (uint64_t)status.st_size;
    if (size <= sizeof h && is_unfinished(file, (const char *)&h, (size_t)got))
        return write_head(file);
    const char *why =
        (size_t)got < sizeof h ? "the file is no journal of this call" : mismatch(file, &h);
    if (why)
        return refuse(file, DP_EJOURNAL, why);
    file->salt = h.salt;
    return read_records(file, size);
}

int dp__journal_open(dp__journal_file *file, const char *path)
{
    file->path = path;
    /* As a standard output it would be overwritten by what the program prints. */
    file->fd = dp__fd_beyond_standard(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666));
    if (file->fd < 0)
        return refuse_io(file, "the journal cannot be opened");
    int code = read_file(file);
    /* Also of a file that was there: its maker may have been killed before it got to that. */
    if (code == 0 && sync_folder(path) < 0)
        code = refuse_io(file, "the journal cannot be written");
    if (code)
        unlock_file(file);
    file->path = NULL;
    return code;
}

/* ---- Writing ---- */

/* Under the lock, as the next two. */
static void flush(dp__journal_file *file)
{
    if (file->waiting > 0 && !file->code) {
        if (write_all(file->fd, file->room, file->waiting, file->end - file->waiting) < 0)
            give_up(file, "the journal cannot be written");
        file->is_dirty = 1;
    }
    file->waiting = 0;
    file->unwritten = 0;
}

static void put(dp__journal_file *file, const char *from, size_t bytes)
{
    if (file->waiting + bytes > DP__JOURNAL_ROOM)
        flush(file);
    if (bytes > DP__JOURNAL_ROOM) {
        if (!file->code && write_all(file->fd, from, bytes, file->end) < 0)
            give_up(file, "the journal cannot be written");
        file->is_dirty = 1;
    } else if (bytes > 0) {
        memcpy(file->room + file->waiting, from, bytes);
        file->waiting += bytes;
    }
    file->end += bytes;
}

/* While more work is in danger than may be, asks the disk to take it. Others go on recording
   meanwhile, and leave it to the one who is at it to ask once more. */
static void sync_enough(dp__journal_file *file)
{
    while (!file->code && !file->is_syncing && file->unsynced >= file->limit) {
        flush(file);
        file->unsynced = 0;
        file->is_dirty = 0;
        file->is_syncing = 1;
        dp__lock_release(&file->lock);
        int error = sync_data(file->fd), reason = errno;
        dp__lock_acquire(&file->lock);
        file->is_syncing = 0;
        errno = reason;
        if (error < 0)
            give_up(file, "the journal cannot be written to the disk");
    }
}

int dp__journal_add(dp__journal_file *file, size_t begin, size_t end, int64_t spent)
{
    size_t bytes = (end - begin) * file->identity.size;
    const char *results = bytes > 0 ? file->out + begin * file->identity.size : NULL;
    record r = {begin, end - begin, 0};
    /* Large results are hashed by all threads at once. */
    uint64_t hash = salted(file, results, bytes);
    dp__lock_acquire(&file->lock);
    r.check = check_of(file, &r, file->end, hash);
    put(file, (const char *)&r, sizeof r);
    put(file, results, bytes);
    file->unwritten += spent;
    file->unsynced += spent;
    if (file->unwritten >= WRITE_NS)
        flush(file);
    sync_enough(file);
    int code = file->code;
    dp__lock_release(&file->lock);
    return code;
}

int dp__journal_finish(dp__journal_file *file)
{
    flush(file);
    if (!file->code && file->is_dirty && sync_data(file->fd) < 0)
        give_up(file, "the journal cannot be written to the disk");
    file->is_dirty = 0;
    unlock_file(file);
    return file->code;
}

void dp__journal_close(dp__journal_file *file)
{
    /* The lock is not given back here: a forked child that frees a call of its parent's has it too.
     */
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}
