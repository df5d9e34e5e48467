/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "exec.h"

#include <dp/start.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/engine.h"
#include "output.h"
#include "platform/check.h"
#include "platform/descriptor.h"
#include "platform/heap.h"
#include "platform/message.h"
#include "zygote.h"

/*
 * The application makes two children that share its memory and run one after the other while the
 * thread that makes them waits, as with vfork(): nothing is copied, however large the program is,
 * and no handler of pthread_atfork() runs, of which those of other libraries may not bear it. What
 * the second one needs to become the program anew lies ready in an image. The rest of this file
 * happens there, in dp_process_main().
 */

/* In the environment of the new zygote: what it is, for it and for no process that it starts. */
#define VARIABLE "DP_ZYGOTE"

/* How often the program is begun when its address space is in the way, which the system shuffles.
 */
enum { ATTEMPTS = 8 };

/* What a child has for a stack. */
enum { STACK = 64 << 10 };

/* ThreadSanitizer takes any child for one with memory of its own, so there they have that. */
enum { FLAGS = (DP__TSAN ? 0 : CLONE_VM) | CLONE_VFORK | SIGCHLD };

/* A way to /proc/self/exe that nobody else goes. It stands in what the system tells the program of
   itself, also where nothing is left of the environment: a constructor has cleared it, or the file
   has the rights of another user. */
static const char self[] = "/proc/self/task/../exe";

/* As dp_process_main() was told. */
static char *own_name;

/* ---- The order to become a zygote ---- */

/* As text, with digits that are always the same number: the first two are set in place. */
typedef struct order {
    int pid;
    unsigned attempt, form;
    dp__heap_site heap;
    dp__head *head;
    int call, application;
} order;

enum { PID_DIGITS = 8, ATTEMPT_DIGITS = 2, ORDER_TEXT = 200 };

/* Two libraries of which one cannot read what the other has written differ here. */
static unsigned form(void)
{
    return (unsigned)(sizeof(dp__head) * 31 + sizeof(dp__seat));
}

static void write_order(char *text, const order *o)
{
    snprintf(text, ORDER_TEXT,
             "%08x %02x %x %x %" PRIx64 " %" PRIx64 " %" PRIx32 " %" PRIxPTR " %zx %" PRIxPTR
             " %x %x",
             (unsigned)o->pid, o->attempt, o->form, (unsigned)o->heap.file, o->heap.is.device,
             o->heap.is.number, o->heap.is.seals, (uintptr_t)o->heap.address, o->heap.size,
             (uintptr_t)o->head, (unsigned)o->call, (unsigned)o->application);
}

static int read_order(const char *text, order *o)
{
    unsigned pid, file, call, application;
    uintptr_t address, head;
    if (sscanf(text,
               "%8x %2x %x %x %" SCNx64 " %" SCNx64 " %" SCNx32 " %" SCNxPTR " %zx %" SCNxPTR
               " %x %x",
               &pid, &o->attempt, &o->form, &file, &o->heap.is.device, &o->heap.is.number,
               &o->heap.is.seals, &address, &o->heap.size, &head, &call, &application) != 12)
        return 0;
    o->pid = (int)pid;
    o->heap.file = (int)file;
    o->heap.address = (void *)address;
    o->head = (dp__head *)head;
    o->call = (int)call;
    o->application = (int)application;
    return o->form == form();
}

/* Usable in a child that shares its parent's memory. */
__attribute__((no_sanitize("address", "thread"))) static void
put_digits(char *text, unsigned number, int digits)
{
    while (digits-- > 0) {
        text[digits] = "0123456789abcdef"[number % 16];
        number /= 16;
    }
}

/* ---- The image ---- */

struct dp__image {
    dp__head *head;
    char order[sizeof VARIABLE + ORDER_TEXT]; /* NAME=VALUE */
    char threads[4][40];                      /* What libraries are told in the environment. */
    char *arguments[2];
    char **environment;
    int *passed_on; /* Descriptors. */
    int passed_on_count;
    char *stack;             /* Two. */
    const sigset_t *blocked; /* Signals that the program begins with blocked. */
};

extern char **environ;

static const char *const names_of_threads[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                               "MKL_NUM_THREADS", "BLIS_NUM_THREADS"};

static int is_setting_of(const char *setting, const char *name)
{
    size_t length = strlen(name);
    return strncmp(setting, name, length) == 0 && setting[length] == '=';
}

/* Whether the setting is one that the image replaces. */
static int is_replaced(const dp__image *image, const char *setting)
{
    if (is_setting_of(setting, VARIABLE))
        return 1;
    for (size_t i = 0; dp__load_relaxed(&image->head->inner_threads) >= 0 && i < 4; i++)
        if (is_setting_of(setting, names_of_threads[i]))
            return 1;
    return 0;
}

static char **make_environment(dp__image *image)
{
    const int threads = dp__load_relaxed(&image->head->inner_threads);
    size_t count = 0, used = 0;
    while (environ && environ[count])
        count++;
    char **made = malloc((count + 6) * sizeof *made);
    if (!made)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!is_replaced(image, environ[i]))
            made[used++] = environ[i];
    for (size_t i = 0; threads >= 0 && i < 4; i++) {
        snprintf(image->threads[i], sizeof image->threads[i], "%s=%d", names_of_threads[i],
                 threads);
        made[used++] = image->threads[i];
    }
    made[used++] = image->order;
    made[used] = NULL;
    return made;
}

dp__image *dp__image_create(dp__head *head, int call, int application)
{
    dp__image *image = calloc(1, sizeof *image);
    if (!image)
        return NULL;
    const order o = {.attempt = 0,
                     .form = form(),
                     .heap = dp__heap_find(),
                     .head = head,
                     .call = call,
                     .application = application};
    image->head = head;
    memcpy(image->order, VARIABLE "=", sizeof VARIABLE "=");
    write_order(image->order + sizeof VARIABLE, &o);
    image->arguments[0] = own_name;
    image->environment = make_environment(image);
    image->stack = malloc(2 * STACK);
    image->passed_on =
        calloc(4 + DP__STREAMS * (size_t)dp__seats_now(head), sizeof *image->passed_on);
    if (!image->environment || !image->stack || !image->passed_on) {
        dp__image_free(image);
        return NULL;
    }
    image->passed_on[0] = o.heap.file;
    image->passed_on[1] = call;
    image->passed_on[2] = application;
    image->passed_on_count = 3 + dp__output_descriptors(head, image->passed_on + 3);
    return image;
}

void dp__image_free(dp__image *image)
{
    if (!image)
        return;
    free(image->environment);
    free(image->passed_on);
    free(image->stack);
    free(image);
}

static char *top_of(const dp__image *image, int stack)
{
    return image->stack + (size_t)(stack + 1) * STACK;
}

/* The program begins with signals as it would for anybody who starts it, since its constructors may
   wait for some. A handler of the application's must not run here, as execve() is still to come. */
__attribute__((no_sanitize("address", "thread"))) static void give_signals(const sigset_t *blocked)
{
    struct sigaction action;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
            action.sa_handler != SIG_IGN) {
            action.sa_flags = 0;
            action.sa_handler = SIG_DFL;
            sigaction(number, &action, NULL);
        }
    sigprocmask(SIG_SETMASK, blocked, NULL);
}

/* With the memory of the application, of which it must leave everything as it is. */
__attribute__((no_sanitize("address", "thread"))) static int become_image(void *context)
{
    dp__image *image = context;
    dp__store_relaxed(&image->head->zygote, getpid());
    setpgid(0, 0);
    for (int i = 0; i < image->passed_on_count; i++)
        dp__fd_pass_on(image->passed_on[i], 1);
    put_digits(image->order + sizeof VARIABLE, (unsigned)getpid(), PID_DIGITS);
    give_signals(image->blocked);
    execve(self, image->arguments, image->environment);
    dp__store_relaxed(&image->head->obstacle, DP__OBSTACLE_IMAGE);
    _exit(127);
}

/* The process between, which is the application's child and ends at once. */
__attribute__((no_sanitize("address", "thread"))) static int begin_image(void *context)
{
    dp__image *image = context;
    pid_t pid = clone(become_image, top_of(image, 1), FLAGS, image);
    int has_failed = pid < 0 || dp__load_relaxed(&image->head->obstacle) != DP__OBSTACLE_NONE;
    if (pid > 0 && has_failed)
        waitpid(pid, NULL, 0);
    if (has_failed)
        dp__store_relaxed(&image->head->zygote, 0);
    _exit(has_failed);
}

pid_t dp__image_begin(dp__image *image, const sigset_t *blocked)
{
    image->blocked = blocked;
    return clone(begin_image, top_of(image, 0), FLAGS, image);
}

/* ---- In the application ---- */

int dp__exec_check(const dp_pool_options *options)
{
    const char *why = NULL;
    if (!own_name)
        why = "a pool with DP_START_EXEC is refused: dp_process_main() must be called first in "
              "main()";
    else if (getauxval(AT_SECURE))
        why = "a pool with DP_START_EXEC is refused: the program has the rights of another user";
    else if (dp__heap_find().file < 0)
        why = "a pool with DP_START_EXEC is refused: shared memory was allocated before "
              "dp_process_main(), or its descriptor was closed, or the system refused one";
    if (why) {
        dp__message(1, "%s", why);
        return DP_ENOTSUP;
    }
    if (!options->worker_context || dp__heap_holds(options->worker_context, 1))
        return 0;
    dp__message(1, "a pool with DP_START_EXEC is refused: worker_context is not shared memory");
    return DP_ENOTSHARED;
}

static const void *address_of(const void *function)
{
    const void *address;
    memcpy(&address, function, sizeof address);
    return address;
}

static int knows_hook(dp__module_book *book, const void *function)
{
    const void *address = address_of(function);
    return address ? dp__modules_know(book, address) : 0;
}

int dp__exec_describe(dp__head *head, dp__module_book **book)
{
    const dp_pool_options *options = &head->options;
    head->landmark = &dp__engine_processes;
    if (!(*book = dp__modules_tell(&head->modules)))
        return DP_ENOMEM;
    int code = knows_hook(*book, &options->worker_init);
    if (code == 0)
        code = knows_hook(*book, &options->worker_fini);
    return code ? code : knows_hook(*book, &options->local_fini);
}

int dp__exec_explain(const dp__head *head, int code)
{
    static const char *const texts[] = {
        [DP__OBSTACLE_IMAGE] = "the program could not be executed",
        [DP__OBSTACLE_ADDRESS] = "the place of the shared memory is taken there",
        [DP__OBSTACLE_LIBRARY] = "it has another version of dp, or none",
        [DP__OBSTACLE_TIME] = "it has not come to dp_process_main() in 30 seconds",
        [DP__OBSTACLE_HOOK] = "a hook of the pool is in a library that is another one there",
        [DP__OBSTACLE_MEMORY] = "there is no memory"};
    uint32_t obstacle = dp__load_relaxed(&head->obstacle);
    if (code != DP_EPROCESS || head->options.process.start != DP_START_EXEC)
        return code;
    if (obstacle == DP__OBSTACLE_NONE || obstacle >= sizeof texts / sizeof *texts)
        dp__message(1, "a pool with DP_START_EXEC is refused: the program, begun anew, has ended "
                       "before it came to dp_process_main(), had not the environment or the "
                       "descriptors that it was given, or has ended before its workers had begun");
    else
        dp__message(1,
                    "a pool with DP_START_EXEC is refused: the program could not be begun anew, "
                    "as %s",
                    texts[obstacle]);
    return obstacle == DP__OBSTACLE_MEMORY ? DP_ENOMEM : code;
}

/* ---- In the new process ---- */

static _Noreturn void give_up(dp__head *head, dp__obstacle obstacle)
{
    dp__store_relaxed(&head->obstacle, obstacle);
    dp__store_release(&head->broken, 1);
    dp__news_tell(head);
    dp__store_release(&head->gone, 1);
    _exit(1);
}

/* Tells by the head, wherever that can be mapped, that it has no place. */
static _Noreturn void give_up_elsewhere(const order *o, dp__obstacle obstacle)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t at = (size_t)((char *)o->head - (char *)o->heap.address), skipped = at % page;
    char *map = mmap(NULL, skipped + sizeof(dp__head), PROT_READ | PROT_WRITE, MAP_SHARED,
                     o->heap.file, (off_t)(at - skipped));
    if (map != MAP_FAILED)
        give_up((dp__head *)(void *)(map + skipped), obstacle);
    _exit(1);
}

/* Where the heap should be there is something else. Another time there may not be. */
static _Noreturn void try_again(const order *o, char *text)
{
    char *arguments[] = {own_name, NULL};
    put_digits(text + PID_DIGITS + 1, o->attempt + 1, ATTEMPT_DIGITS);
    if (o->attempt + 1 < ATTEMPTS)
        execve(self, arguments, environ);
    give_up_elsewhere(o, DP__OBSTACLE_ADDRESS);
}

/* Makes a pointer to a function lead to where that is here. */
static void translate(dp__head *head, void *function)
{
    const void *there = address_of(function);
    if (!there)
        return;
    void *here = dp__module_here(there);
    if (!here)
        give_up(head, DP__OBSTACLE_HOOK);
    memcpy(function, &here, sizeof here);
}

static _Noreturn void become_zygote(const order *o, char *text)
{
    if (dp__heap_join(&o->heap) != 0) {
        if (errno == EEXIST)
            try_again(o, text);
        if (errno ==
            EBADF) /* A constructor has put something else there, which is not to change. */
            _exit(1);
        give_up_elsewhere(o, DP__OBSTACLE_MEMORY);
    }
    dp__head *head = o->head;
    dp__store_relaxed(&head->has_come, 1);
    unsetenv(VARIABLE);
    dp__fd_pass_on(o->heap.file, 0);
    dp__fd_pass_on(o->call, 0);
    dp__fd_pass_on(o->application, 0);
    dp__modules_come_from(&head->modules);
    if (dp__module_here(head->landmark) != &dp__engine_processes)
        give_up(head, DP__OBSTACLE_LIBRARY);
    translate(head, &head->options.worker_init);
    translate(head, &head->options.worker_fini);
    translate(head, &head->options.local_fini);
    if (dp__load_relaxed(&head->inner_threads) >= 0)
        head->inner_setters = dp__inner_threads_find();
    if (dp__fork_guard() != 0 || dp__output_join(head) != 0)
        give_up(head, DP__OBSTACLE_MEMORY);
    dp__zygote_main(head, o->call, o->application);
}

void dp_process_main(int argc, char **argv)
{
    /* Whoever starts a program with the rights of another user does not tell it what to map. */
    char *text = secure_getenv(VARIABLE);
    order o;
    own_name = argc > 0 && argv && argv[0] ? argv[0] : (char *)(uintptr_t) "";
    /* That of another process has come here by the environment that this one was started with. */
    if (text && strtol(text, NULL, 16) == getpid()) {
        if (!read_order(text, &o))
            _exit(1); /* From another dp. Not to go on: that would make pools, and so on. */
        become_zygote(&o, text);
    }
    /* Without the order nobody knows for whom. To go on would be to do the program's work again. */
    const char *started_by = (const char *)getauxval(AT_EXECFN);
    if (started_by && strcmp(started_by, self) == 0)
        _exit(1);
    unsetenv(VARIABLE);
    dp__heap_want_file();
}
