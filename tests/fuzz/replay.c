/* SPDX-License-Identifier: Apache-2.0 */
/* Runs inputs that are kept, and translates them from text and back. */
#include "machine.h"

static const char usage[] =
    "Usage: fuzz-replay [--times N] PATH...   run files, and all files of folders, each N times\n"
    "       fuzz-replay --show FILE           write an input as text\n"
    "       fuzz-replay --encode FILE         write the bytes of a text\n"
    "\n"
    "Names that end in .txt are texts, all others inputs.\n";

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The bytes of an input or of a text; ends the program when there are none. */
static size_t load(const char *path, uint8_t *bytes)
{
    fuzz_program program;
    FILE *file = fopen(path, "rb");
    int line = 0;
    size_t size = 0;
    if (!file) {
        fprintf(stderr, "fuzz-replay: cannot read %s\n", path);
        exit(2);
    }
    if (!ends_with(path, ".txt")) {
        size = fread(bytes, 1, FUZZ_BYTES, file);
    } else if ((line = program_read(&program, file))) {
        fprintf(stderr, "%s:%d: not a step\n", path, line);
        exit(2);
    } else {
        size = program_encode(&program, bytes);
    }
    fclose(file);
    return size;
}

static unsigned replay_file(const char *path, unsigned times)
{
    uint8_t bytes[FUZZ_BYTES];
    size_t size = load(path, bytes);
    double start = stress_now();
    for (unsigned i = 0; i < times; i++)
        machine_run(bytes, size);
    if (getenv("DP_FUZZ_VERBOSE"))
        fprintf(stderr, "%s: %.0f ms\n", path, (stress_now() - start) * 1e3);
    return 1;
}

static unsigned replay(const char *path, unsigned times)
{
    char inner[4096];
    unsigned count = 0;
    struct dirent *entry;
    DIR *folder = opendir(path);
    if (!folder)
        return replay_file(path, times);
    while ((entry = readdir(folder))) {
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            count += replay_file(inner, times);
    }
    closedir(folder);
    return count;
}

static int translate(const char *path, int to_text)
{
    uint8_t bytes[FUZZ_BYTES];
    fuzz_program program;
    size_t size = load(path, bytes);
    program_decode(&program, bytes, size);
    if (to_text)
        program_show(&program, stdout);
    else
        fwrite(bytes, 1, size, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned times = 1, count = 0;
    int at = 1;
    if (argc == 3 && (strcmp(argv[1], "--show") == 0 || strcmp(argv[1], "--encode") == 0))
        return translate(argv[2], argv[1][2] == 's');
    if (argc > 3 && strcmp(argv[1], "--times") == 0) {
        times = (unsigned)atoi(argv[2]);
        at = 3;
    }
    if (at >= argc) {
        fputs(usage, stderr);
        return 2;
    }
    for (; at < argc; at++)
        count += replay(argv[at], times);
    printf("%u inputs\n", count);
    return count == 0;
}
