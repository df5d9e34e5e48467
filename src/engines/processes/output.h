/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_OUTPUT_H
#define DP_PROCESSES_OUTPUT_H

/*
 * What tasks print. Each seat has two files in memory to which its process, and all that this
 * starts, only ever append; and shared notes of where in there the output of an item ends. So
 * nobody has to read while a task prints, what a process has printed outlives it, and offsets stay
 * what they are: what was delivered, or is too much, becomes a hole. Only a program that opens
 * /dev/stdout by name, to write it from the beginning, cuts the file off.
 *
 * Notes are written by the worker after each item that has printed, and by the zygote when the
 * worker has died. The application reads them when an order has ended.
 */

#include "seat.h"

enum { DP__STREAMS = 2, DP__OUTPUT_NOTES = 64 };

typedef struct dp__output_note {
    uint64_t item; /* Or DP_NO_ITEM. */
    uint64_t end[DP__STREAMS];
    uint64_t anew; /* A bit for each stream whose file was cut off since the last note: what there
                      is begins at 0. */
} dp__output_note;

/* A ring, shared: notes read .. written - 1 are new. */
typedef struct dp__output_log {
    _Alignas(DP__LINE) _Atomic(uint32_t) written; /* Release: the note. */
    _Atomic(uint32_t) read;                       /* Release: the note may be overwritten. */
    dp__output_note note[DP__OUTPUT_NOTES];
    int fd[DP__STREAMS]; /* For a zygote that has nothing of the application's. */
} dp__output_log;

/* Of each seat. */
typedef struct dp__capture {
    int fd[DP__STREAMS];
    dp__output_log *log; /* NULL: there are no files. */
    /* In the application: whoever has the place. */
    uint64_t taken[DP__STREAMS]; /* Delivered up to there. */
} dp__capture;

/* It is memory of the application, of which the others have a copy, or make one in a program begun
   anew. Where a seat is added later the application sends its files through a socket. */
typedef struct dp__captures {
    int door[2]; /* The application's end and the zygote's; -1: it is closed here, or no seats can
                    be added. */
    dp__capture of[DP_MAX_WORKERS];
} dp__captures;

/* ---- In the application ---- */

/* Makes what the options of the head want, for no seat yet. 0 or a code. */
int dp__output_create(dp__head *head);

/* Makes the files of a seat, unless they are there. 0 or a code. */
int dp__output_add(dp__head *head, uint32_t seat);

/* The zygote has what there is; what comes later it is sent. */
void dp__output_begun(dp__head *head);

/* Sends the zygote the files of a seat. 0 or a code. */
int dp__output_send(const dp__head *head, uint32_t seat);

/* When all processes have ended: delivers what is left, and gives all back. */
void dp__output_destroy(dp__head *head);

/* In a child of the application: gives back what it has of it, and the files if it has those. */
void dp__output_forget(dp__captures *captures, int has_files);

/* Delivers what was noted at a seat, of which an order of these items of the batch was carried out.
 */
void dp__output_deliver(const dp__head *head, uint32_t seat, const dp__batch *batch,
                        const dp__wire *wire, size_t begin, size_t end);

/* Delivers what was not noted, as nobody is there to do it any more: what the item has printed that
   ran last, or DP_NO_ITEM. After what was. */
void dp__output_deliver_rest(const dp__head *head, uint32_t seat, const dp__batch *batch,
                             const dp__wire *wire, size_t item);

/* Drops what was printed since the last note beyond the limit: by the item that runs, or by
   programs that are left of others. Whether there is anything. In the zygote too. */
int dp__output_trim(const dp__head *head, uint32_t seat);

/* ---- In the zygote ---- */

/* The descriptors that are to stay open: how many. At most two for each seat, and one. */
int dp__output_descriptors(const dp__head *head, int *fds);

/* In one that was begun anew, first. 0 or DP_ENOMEM. */
int dp__output_join(const dp__head *head);

/* The descriptor at which files come, or -1; takes those that have come. */
int dp__output_door(const dp__head *head);
void dp__output_receive(dp__head *head);

/* Whether a process that begins at the seat can print where it should. */
int dp__output_is_there(const dp__head *head, uint32_t seat);

/* The process of the seat has died. */
void dp__output_note_death(const dp__head *head, uint32_t seat);

/* ---- In a worker ---- */

/* From now on it prints there. */
void dp__output_attach(const dp__head *head, uint32_t seat);

/* What was printed up to now belongs to no item. */
void dp__output_start(void);

/* An order has begun. */
void dp__output_begin_order(void);

/* What was printed since the last time belongs to the item. Whether the order should end, so that
   it is delivered. */
int dp__output_end_item(size_t item);

#endif
