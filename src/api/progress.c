/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/progress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dp/error.h"

/*
 * The line: label, percent, bar, count, failures, rate, time. The parts are made first, then those
 * that fit are joined, and the bar takes what is left. Without a total there is no percent, no bar
 * and no estimate.
 */

enum { MIN_COLUMNS = 20, MIN_BAR = 10, MAX_BAR = 60, DEFAULT_COLUMNS = 80, MAX_COLUMNS = 1000 };

/* A number in three or four digits: 12.3, 4.5k, 6.7M. */
static void put_rate(char *text, size_t size, double rate)
{
    static const char units[] = {0, 'k', 'M', 'G', 'T', 'P'};
    size_t unit = 0;
    while (rate >= 999.95 && unit + 1 < sizeof units) {
        rate /= 1000;
        unit++;
    }
    const char *form = rate < 99.95 ? "%.1f%.1s/s" : "%.0f%.1s/s";
    snprintf(text, size, form, rate, unit ? &units[unit] : "");
}

/* Hours only when there are some. */
static void put_time(char *text, size_t size, double seconds)
{
    unsigned long whole = seconds < 3.6e9 ? (unsigned long)(seconds + 0.5) : 3600000000UL;
    unsigned long hours = whole / 3600, minutes = whole / 60 % 60;
    if (hours > 0)
        snprintf(text, size, "%lu:%02lu:%02lu", hours, minutes, whole % 60);
    else
        snprintf(text, size, "%lu:%02lu", minutes, whole % 60);
}

/* The digits of the total, so that the count does not move the rest about. */
static int digits_of(size_t n)
{
    int digits = 1;
    while (n >= 10) {
        n /= 10;
        digits++;
    }
    return digits;
}

typedef struct parts {
    char percent[8];
    char count[64];
    char rate[32];
    char time[32];
    char failed[40];
} parts;

static parts make_parts(const dp_progress *progress)
{
    parts p;
    char time[24];
    /* A hundred only when all have run: 99.6 is not the end. */
    double part = progress->total > 0 ? (double)progress->done / (double)progress->total : 1;
    snprintf(p.percent, sizeof p.percent, "%3d%%", (int)(100 * part));
    snprintf(p.count, sizeof p.count, "%*zu/%zu", digits_of(progress->total), progress->done,
             progress->total);
    put_rate(p.rate, sizeof p.rate, progress->rate);
    put_time(time, sizeof time, progress->finished ? progress->seconds : progress->eta);
    if (progress->finished)
        snprintf(p.time, sizeof p.time, "in %s", time);
    else if (progress->eta >= 0)
        snprintf(p.time, sizeof p.time, "ETA %s", time);
    else
        snprintf(p.time, sizeof p.time, "ETA -:--");
    p.failed[0] = 0;
    if (progress->failed > 0)
        snprintf(p.failed, sizeof p.failed, "%zu failed", progress->failed);
    if (progress->total == DP_NO_TOTAL) {
        p.percent[0] = 0;
        snprintf(p.count, sizeof p.count, "%zu", progress->done);
        if (!progress->finished)
            p.time[0] = 0;
    }
    return p;
}

/* Adds two spaces and the text if it fits into what is left of the columns. */
static void add(char *line, size_t columns, const char *text)
{
    size_t length = strlen(line), gap = length > 0 ? 2 : 0;
    if (text[0] && length + gap + strlen(text) <= columns)
        snprintf(line + length, columns + 1 - length, "%.*s%s", (int)gap, "  ", text);
}

static size_t bar_length(size_t columns, const char *head, const char *tail)
{
    size_t taken = strlen(head) + strlen(tail) + 5; /* Two lines around it, spaces. */
    if (taken + MIN_BAR > columns)
        return 0;
    return columns - taken < MAX_BAR ? columns - taken : MAX_BAR;
}

/* A space, and the bar between its two lines; `text` has room for MAX_BAR and four more. */
static void put_bar(char *text, size_t length, const dp_progress *progress)
{
    size_t full = length;
    if (progress->total > 0)
        full = (size_t)((double)length * (double)progress->done / (double)progress->total);
    full = full > length ? length : full;
    text[0] = ' ';
    text[1] = '|';
    memset(text + 2, '#', full);
    memset(text + 2 + full, ' ', length - full);
    text[2 + length] = '|';
    text[3 + length] = 0;
}

int dp_progress_format(const dp_progress *progress, const char *label, int columns, char *buffer,
                       size_t size)
{
    if (!progress || !buffer || size == 0)
        return DP_EINVAL;
    size_t width = columns < MIN_COLUMNS   ? MIN_COLUMNS
                   : columns > MAX_COLUMNS ? MAX_COLUMNS
                                           : (size_t)columns;
    char head[MAX_COLUMNS + 1] = "", tail[MAX_COLUMNS + 1] = "", bar[MAX_BAR + 4] = "";
    parts p = make_parts(progress);
    /* The label gives way to the numbers. */
    if (label && width > 45)
        snprintf(head, sizeof head, "%.*s", (int)(width - 45), label);
    add(head, width, p.percent);
    size_t room = width - strlen(head) - 2;
    add(tail, room, p.count);
    add(tail, room, p.failed);
    add(tail, room, p.rate);
    add(tail, room, p.time);
    size_t length = bar_length(width, head, tail);
    if (length > 0 && progress->total != DP_NO_TOTAL)
        put_bar(bar, length, progress);
    snprintf(buffer, size, "%s%s%s%s", head, bar, head[0] ? "  " : "", tail);
    return (int)strlen(buffer);
}

static int columns_of_terminal(void)
{
    struct winsize window;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
        return window.ws_col;
    const char *columns = getenv("COLUMNS");
    int known = columns ? atoi(columns) : 0;
    return known > 0 ? known : DEFAULT_COLUMNS;
}

void dp_progress_bar(const dp_progress *progress, void *label)
{
    char line[MAX_COLUMNS + 16];
    if (!progress || !isatty(STDERR_FILENO))
        return;
    /* One column is left free: terminals wrap after the last. */
    line[0] = '\r';
    int length =
        dp_progress_format(progress, label, columns_of_terminal() - 1, line + 1, sizeof line - 8);
    /* What an earlier, longer line has left is erased. */
    memcpy(line + 1 + length, "\x1b[K", 3);
    length += 4;
    if (progress->finished)
        line[length++] = '\n';
    while (write(STDERR_FILENO, line, (size_t)length) < 0 && errno == EINTR)
        ;
}
