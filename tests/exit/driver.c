/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that end without having cleaned up, or at an odd moment: they end at once, with the
 * status they were given and without a word.
 *
 *     driver CHILD                    every case of cases.h
 *     driver --unload CHILD LIBRARY   unload.c, which loads libdp.so from this path
 */
#include "../stress/child.h"

#include "cases.h"

static const char *const cases[] = {
#define ENTRY(name) #name,
    EXIT_CASES(ENTRY)
#undef ENTRY
};

enum { CASES = sizeof cases / sizeof cases[0] };

static int execute(void *context)
{
    char **arguments = context;
    execv(arguments[0], arguments);
    return 127;
}

static int ends_well(char *program, char *argument, int status)
{
    char text[16];
    snprintf(text, sizeof text, "%d", status);
    char *arguments[] = {program, argument, text, NULL};
    child_end end = child_run(execute, arguments, STRESS_DEADLINE);
    if (!end.late && WIFEXITED(end.status) && WEXITSTATUS(end.status) == status && !end.text[0])
        return 1;
    fprintf(stderr, "expected exit status %d and nothing on stderr; got\n", status);
    child_show(argument, &end);
    return 0;
}

int main(int argc, char **argv)
{
    int failures = 0;
    double end = stress_end(1);
    if (argc > 1 && strcmp(argv[1], "--unload") == 0) {
        if (argc < 4)
            return 77;
        for (int round = 0; round < 3 || stress_goes_on(end); round++)
            if (!ends_well(argv[2], argv[3], 7))
                return 1;
        return 0;
    }
    CHECK_EQUAL(argc, 2);
    for (int round = 0; round == 0 || (stress_goes_on(end) && failures == 0); round++)
        for (int i = 0; i < CASES; i++) {
            char name[64];
            snprintf(name, sizeof name, "%s", cases[i]);
            failures += !ends_well(argv[1], name, 40 + i);
        }
    return failures > 0;
}
