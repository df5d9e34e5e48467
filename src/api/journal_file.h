/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_JOURNAL_FILE_H
#define DP_API_JOURNAL_FILE_H

/*
 * The file behind a journal: a head that says of which call it is, and records of items that have
 * finished. It knows nothing of calls. journal.md tells the format and what a power cut may do.
 */

#include <stddef.h>
#include <stdint.h>

#include "platform/lock.h"

/* By what a journal is known to be that of a call. */
typedef struct dp__journal_identity {
    uint32_t verb;
    uint32_t
        is_named; /* `name` was chosen by the user; else it is a hash of what the call reads. */
    uint64_t n;
    uint64_t size; /* Bytes of a result. */
    uint64_t seed;
    uint64_t name;
} dp__journal_identity;

/* What is read and written at once. */
enum { DP__JOURNAL_ROOM = 65536 };

typedef struct dp__journal_file {
    int fd;           /* -1: closed. */
    const char *path; /* While it is opened. */
    dp__journal_identity identity;
    uint64_t salt;
    char *out;           /* The results. */
    unsigned char *kept; /* For each item, whether the file had its result when it was opened. */
    size_t kept_items;
    char *room;    /* DP__JOURNAL_ROOM bytes. */
    int64_t limit; /* Nanoseconds of work that may be in danger of a power cut. */

    /* Under the lock, once it is open: */
    dp__lock lock;
    uint64_t end;   /* Where the next record goes. */
    size_t waiting; /* Bytes in the room that are not written yet: the last ones before that. */
    int64_t unwritten, unsynced; /* Nanoseconds of work that the process, or the disk, may lose. */
    int is_dirty;                /* Something was written since the disk was last asked. */
    int is_syncing;              /* Somebody asks it now. */
    int code;                    /* Why nothing is written any more; 0: it is. */
    const char *text;            /* The same as a sentence, static; also when opening fails. */
} dp__journal_file;

/* Opens the journal at `path`, or makes one. What it has is copied to the results and noted in
   `kept`, which is zeroed before, as all other members are that are not given here. 0 or a code,
   with a text; the file is then as it was. */
int dp__journal_open(dp__journal_file *file, const char *path);

/* Records that the items begin .. end - 1 have results, which has taken so many nanoseconds. From
   any thread. 0, or the code of a file that cannot be written. */
int dp__journal_add(dp__journal_file *file, size_t begin, size_t end, int64_t spent);

/* Writes what waits, and sees to it that the disk has it. 0 or a code. No other thread uses the
   file any more. */
int dp__journal_finish(dp__journal_file *file);

/* Lets go of the file, and writes nothing. Closing twice is no error. */
void dp__journal_close(dp__journal_file *file);

#endif
