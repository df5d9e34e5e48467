/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <stdlib.h>
#include <string.h>

static const char *const op_names[] = {
#define FUZZ_OP(name, waits) #name,
    FUZZ_OPS(FUZZ_OP)
#undef FUZZ_OP
};

static const unsigned char op_waiting[] = {
#define FUZZ_OP(name, waits) waits,
    FUZZ_OPS(FUZZ_OP)
#undef FUZZ_OP
};

static const char *const act_names[] = {
#define FUZZ_ACT(name) #name,
    FUZZ_ACTS(FUZZ_ACT)
#undef FUZZ_ACT
};

static const struct {
    const char *name;
    unsigned bit;
} hows[] = {
#define FUZZ_HOW(name, bit) {#name, bit},
    FUZZ_HOWS(FUZZ_HOW)
#undef FUZZ_HOW
};

enum { HOWS = sizeof hows / sizeof hows[0] };

int op_waits(fuzz_op op)
{
    return op_waiting[op];
}

const char *op_name(fuzz_op op)
{
    return op_names[op];
}

size_t step_size(const fuzz_step *step)
{
    static const uint16_t sizes[16] = {0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 64, 100, 257, 700, 3000};
    return sizes[step->size & 15];
}

size_t step_chunk(const fuzz_step *step)
{
    static const size_t chunks[16] = {0, 1,  2,  3,  0, 4,   7,    8,
                                      0, 16, 33, 64, 0, 100, 1000, SIZE_MAX};
    return chunks[step->chunk & 15];
}

/* ---- Bytes ---- */

/* In the byte of the step: the act is one of those that a half byte cannot name. */
enum { HIGH_ACT = 128 };

static fuzz_step decode_step(const uint8_t *bytes, unsigned threads)
{
    unsigned act = (bytes[5] & 15) + (bytes[0] & HIGH_ACT ? 16 : 0);
    return (fuzz_step){.op = (bytes[0] & (HIGH_ACT - 1)) % OPS,
                       .thread = (uint8_t)((bytes[1] & 3) % threads),
                       .pool = bytes[1] >> 2 & 3,
                       .slot = bytes[1] >> 4,
                       .size = bytes[2] & 15,
                       .chunk = bytes[2] >> 4,
                       .how = (uint16_t)(bytes[3] | bytes[4] << 8),
                       .act = (uint8_t)(act % ACTS),
                       .at = bytes[5] >> 4,
                       .fail = bytes[6],
                       .extra = bytes[7]};
}

void program_decode(fuzz_program *program, const uint8_t *bytes, size_t size)
{
    uint8_t header[HEADER_BYTES] = {0};
    memcpy(header, bytes, size < HEADER_BYTES ? size : HEADER_BYTES);
    memset(program, 0, sizeof *program);
    program->threads = (uint8_t)(1 + header[0] % MAX_THREADS);
    memcpy(program->pools, header + 1, MAX_POOLS);
    for (int i = 0; i < MAX_LIMITERS; i++)
        program->limiters[i] = (uint8_t)(1 + header[4 + i] % 4);
    program->outside = header[6];
    for (size_t at = HEADER_BYTES; at + STEP_BYTES <= size && program->nsteps < MAX_STEPS;
         at += STEP_BYTES)
        program->steps[program->nsteps++] = decode_step(bytes + at, program->threads);
}

size_t program_encode(const fuzz_program *program, uint8_t *bytes)
{
    uint8_t *at = bytes;
    *at++ = (uint8_t)(program->threads - 1);
    for (int i = 0; i < MAX_POOLS; i++)
        *at++ = program->pools[i];
    for (int i = 0; i < MAX_LIMITERS; i++)
        *at++ = (uint8_t)(program->limiters[i] - 1);
    *at++ = program->outside;
    while (at < bytes + HEADER_BYTES)
        *at++ = 0;
    for (size_t i = 0; i < program->nsteps; i++) {
        const fuzz_step *s = &program->steps[i];
        const uint8_t packed[STEP_BYTES] = {(uint8_t)(s->op | (s->act > 15 ? HIGH_ACT : 0)),
                                            (uint8_t)(s->thread | s->pool << 2 | s->slot << 4),
                                            (uint8_t)(s->size | s->chunk << 4),
                                            (uint8_t)s->how,
                                            (uint8_t)(s->how >> 8),
                                            (uint8_t)((s->act & 15) | s->at << 4),
                                            s->fail,
                                            s->extra};
        memcpy(at, packed, sizeof packed);
        at += sizeof packed;
    }
    return (size_t)(at - bytes);
}

/* ---- Text ---- */

/* The numbers of a step that are written when they are not 0. */
#define STEP_NUMBERS(X) X(pool) X(slot) X(size) X(chunk) X(at) X(fail) X(extra)

void step_show(const fuzz_step *step, FILE *file)
{
    fprintf(file, "%u %s", step->thread, op_names[step->op]);
#define SHOW(name)  \
    if (step->name) \
        fprintf(file, " " #name "=%u", step->name);
    STEP_NUMBERS(SHOW)
#undef SHOW
    if (step->act)
        fprintf(file, " act=%s", act_names[step->act]);
    for (unsigned i = 0; i < HOWS; i++)
        if (step->how & hows[i].bit)
            fprintf(file, " %s", hows[i].name);
    fputc('\n', file);
}

void program_show(const fuzz_program *program, FILE *file)
{
    fprintf(file, "setup %u  %u %u %u  %u %u", program->threads, program->pools[0],
            program->pools[1], program->pools[2], program->limiters[0], program->limiters[1]);
    if (program->outside)
        fprintf(file, "  %u", program->outside);
    fputc('\n', file);
    for (size_t i = 0; i < program->nsteps; i++)
        step_show(&program->steps[i], file);
}

static int read_number(fuzz_step *step, const char *name, const char *value)
{
#define READ(number)                         \
    if (strcmp(name, #number) == 0) {        \
        step->number = (uint8_t)atoi(value); \
        return 1;                            \
    }
    STEP_NUMBERS(READ)
#undef READ
    for (unsigned i = 0; i < ACTS && strcmp(name, "act") == 0; i++)
        if (strcmp(value, act_names[i]) == 0) {
            step->act = (uint8_t)i;
            return 1;
        }
    return 0;
}

static int read_word(fuzz_step *step, char *word)
{
    char *equals = strchr(word, '=');
    if (equals) {
        *equals = 0;
        return read_number(step, word, equals + 1);
    }
    for (unsigned i = 0; i < HOWS; i++)
        if (strcmp(word, hows[i].name) == 0) {
            step->how = (uint16_t)(step->how | hows[i].bit);
            return 1;
        }
    return 0;
}

static int read_step(fuzz_step *step, char *line)
{
    char *rest, *word = strtok_r(line, " \n", &rest);
    memset(step, 0, sizeof *step);
    step->op = OPS;
    step->thread = (uint8_t)(atoi(word) % MAX_THREADS);
    if (!(word = strtok_r(NULL, " \n", &rest)))
        return 0;
    for (unsigned i = 0; i < OPS; i++)
        if (strcmp(word, op_names[i]) == 0)
            step->op = (uint8_t)i;
    while ((word = strtok_r(NULL, " \n", &rest)))
        if (!read_word(step, word))
            return 0;
    return step->op < OPS;
}

static int read_setup(fuzz_program *program, const char *line)
{
    unsigned n[7] = {0}; /* The last may be left out. */
    if (sscanf(line, "setup %u %u %u %u %u %u %u", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5],
               &n[6]) < 6)
        return 0;
    program->threads = (uint8_t)n[0];
    for (int i = 0; i < MAX_POOLS; i++)
        program->pools[i] = (uint8_t)n[1 + i];
    for (int i = 0; i < MAX_LIMITERS; i++)
        program->limiters[i] = (uint8_t)n[4 + i];
    program->outside = (uint8_t)n[6];
    return n[0] >= 1 && n[0] <= MAX_THREADS && n[4] >= 1 && n[5] >= 1;
}

int program_read(fuzz_program *program, FILE *file)
{
    char line[256];
    memset(program, 0, sizeof *program);
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (program->threads == 0) {
            if (!read_setup(program, line))
                return number;
        } else if (program->nsteps == MAX_STEPS ||
                   !read_step(&program->steps[program->nsteps++], line)) {
            return number;
        }
    }
    return 0;
}
