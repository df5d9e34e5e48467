/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "module.h"

#include <dlfcn.h>
#include <dp/error.h>
#include <dp/start.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "heap.h"
#include "lock.h"
#include "message.h"

enum { ID_ROOM = 64 };

/* By what a module is told from another. */
typedef struct identity {
    uint32_t id_size; /* 0: it has no build ID; then the file. */
    unsigned char id[ID_ROOM];
    uint64_t device, number, size; /* Size 0: it is not known, and the same as none. */
    int64_t changed;               /* Nanoseconds. */
    uint32_t is_program;
} identity;

struct dp__module {
    const dp__module *older;
    uintptr_t base; /* By how much its addresses are larger than those in its file. */
    uintptr_t begin, end;
    uint32_t is_function; /* A registered one, which is at `begin`. */
    identity identity;
    char name[]; /* Where its file is, or the name of the function. */
};

/* ---- What is loaded here ---- */

typedef struct loaded {
    uintptr_t base, begin, end;
    identity identity;
    const char *path; /* Empty: the program. */
} loaded;

static size_t up_to_4(size_t number)
{
    return (number + 3) / 4 * 4;
}

/* Looks for the build ID among the notes that lie there. */
static void read_notes(const char *at, size_t left, identity *out)
{
    static const char owner[4] = "GNU";
    ElfW(Nhdr) note;
    while (left >= sizeof note) {
        memcpy(&note, at, sizeof note);
        size_t text = sizeof note + up_to_4(note.n_namesz), next = text + up_to_4(note.n_descsz);
        if (text > left || note.n_descsz > left - text)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof owner &&
            memcmp(at + sizeof note, owner, sizeof owner) == 0 && note.n_descsz <= ID_ROOM) {
            out->id_size = note.n_descsz;
            memcpy(out->id, at + text, note.n_descsz);
            return;
        }
        next = next < left ? next : left;
        at += next;
        left -= next;
    }
}

/* Whether the part is in memory with one that is loaded. */
static int is_loaded(const struct dl_phdr_info *info, const ElfW(Phdr) * part)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *whole = &info->dlpi_phdr[i];
        if (whole->p_type == PT_LOAD && part->p_vaddr >= whole->p_vaddr &&
            part->p_vaddr - whole->p_vaddr <= whole->p_filesz &&
            part->p_filesz <= whole->p_filesz - (part->p_vaddr - whole->p_vaddr))
            return 1;
    }
    return 0;
}

/* Which file is mapped there: where its path leads there may be another one by now. As it stands
   in that list, which may be otherwise than what stat() tells: it is compared with its like. */
static int read_mapping(uintptr_t at, identity *out)
{
    char line[200];
    int found = 0, begins = 1;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        uintptr_t begin, end;
        unsigned major, minor;
        uint64_t number;
        found = begins &&
                sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*x %x:%x %" SCNu64, &begin, &end,
                       &major, &minor, &number) == 5 &&
                at >= begin && at < end && number != 0;
        if (found) {
            out->device = (uint64_t)major << 32 | minor;
            out->number = number;
        }
        begins = strchr(line, '\n') != NULL;
    }
    if (maps)
        fclose(maps);
    return found;
}

static void read_file(const char *path, uintptr_t at, identity *out)
{
    struct stat status;
    if (stat(path, &status) != 0 || !read_mapping(at, out))
        return;
    out->size = (uint64_t)status.st_size;
    out->changed = status.st_mtim.tv_sec * INT64_C(1000000000) + status.st_mtim.tv_nsec;
}

static loaded describe(const struct dl_phdr_info *info)
{
    loaded found = {.base = info->dlpi_addr, .begin = UINTPTR_MAX, .path = info->dlpi_name};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr, end = begin + part->p_memsz;
        if (part->p_type == PT_NOTE && found.identity.id_size == 0 && is_loaded(info, part))
            /* Its address is a number in the headers. */
            read_notes((const char *)begin, part->p_filesz, &found.identity);
        if (part->p_type != PT_LOAD)
            continue;
        found.begin = begin < found.begin ? begin : found.begin;
        found.end = end > found.end ? end : found.end;
    }
    found.identity.is_program = !found.path || !found.path[0];
    if (found.identity.is_program)
        found.path = "";
    else if (found.identity.id_size == 0)
        read_file(found.path, found.begin, &found.identity);
    return found;
}

/* A program without an ID is still the same one: it was begun from what the other one was. */
static int is_same(const identity *a, const identity *b)
{
    if (a->id_size != b->id_size || memcmp(a->id, b->id, a->id_size) != 0)
        return 0;
    if (a->id_size > 0 || (a->is_program && b->is_program))
        return a->is_program == b->is_program;
    return !a->is_program && !b->is_program && a->number == b->number && a->device == b->device &&
           a->size == b->size && a->changed == b->changed && a->size > 0;
}

/* ---- Registered functions ---- */

static struct {
    dp__lock lock;
    dp_registered *newest;
    _Atomic(uint64_t) changes; /* Relaxed; under the lock where it matters. */
} registry;

void dp_register(dp_registered *entry)
{
    dp__lock_acquire(&registry.lock);
    entry->older = registry.newest;
    registry.newest = entry;
    dp__fetch_add_relaxed(&registry.changes, 1);
    dp__lock_release(&registry.lock);
}

void dp_unregister(dp_registered *entry)
{
    dp__lock_acquire(&registry.lock);
    dp_registered **link = &registry.newest;
    while (*link && *link != entry)
        link = &(*link)->older;
    if (*link)
        *link = entry->older;
    dp__fetch_add_relaxed(&registry.changes, 1);
    dp__lock_release(&registry.lock);
}

static void *address_of(const dp_registered *entry)
{
    void *address;
    memcpy(&address, &entry->function, sizeof address);
    return address;
}

static void *find_registered(const char *name)
{
    void *found = NULL;
    dp__lock_acquire(&registry.lock);
    for (const dp_registered *e = registry.newest; e && !found; e = e->older)
        if (strcmp(e->name, name) == 0)
            found = address_of(e);
    dp__lock_release(&registry.lock);
    return found;
}

/* ---- Telling ---- */

struct dp__module_book {
    dp__lock lock;
    dp__module_list *list;
    unsigned long long loads, unloads; /* Of the system, when it was last told. */
    uint64_t registered;               /* The same, of the registry. */
    int lacks;                         /* There was no memory for some of it. */
    /* What stands in the list, which others may write over. */
    struct line {
        struct line *older;
        dp__module *told;
        uintptr_t base, begin, end;
        int is_function, is_there;
    } * newest;
};

static int is_known(const struct line *known, const loaded *what, int is_function, const char *name)
{
    return known->base == what->base && known->begin == what->begin && known->end == what->end &&
           known->is_function == is_function && strcmp(known->told->name, name) == 0 &&
           (is_function || is_same(&known->told->identity, &what->identity));
}

static void tell(dp__module_book *book, const loaded *what, int is_function, const char *name)
{
    /* Behind a module that has come to lie at the same place since nobody would find it. */
    int is_hidden = 0;
    for (struct line *known = book->newest; known && !is_hidden; known = known->older) {
        if (is_known(known, what, is_function, name)) {
            known->is_there = 1;
            return;
        }
        is_hidden = !known->is_function && known->begin < what->end && what->begin < known->end;
    }
    struct line *line = calloc(1, sizeof *line);
    size_t length = strlen(name) + 1;
    dp__module *told = line ? dp__heap_alloc_lasting(sizeof *told + length, 1) : NULL;
    if (!told) {
        free(line);
        book->lacks = 1;
        return;
    }
    *line = (struct line){book->newest, told, what->base, what->begin, what->end, is_function, 1};
    told->base = what->base;
    told->begin = what->begin;
    told->end = what->end;
    told->is_function = (uint32_t)is_function;
    told->identity = what->identity;
    memcpy(told->name, name, length);
    told->older = book->newest ? book->newest->told : NULL;
    book->newest = line;
    dp__store_release(&book->list->newest, (uintptr_t)told);
}

static int tell_loaded(struct dl_phdr_info *info, size_t size, void *context)
{
    dp__module_book *book = context;
    char path[PATH_MAX];
    loaded what = describe(info);
    (void)size;
    book->loads = info->dlpi_adds;
    book->unloads = info->dlpi_subs;
    /* Some have no memory, or are named by what is no file. */
    if (what.begin < what.end)
        tell(book, &what, 0, realpath(what.path, path) ? path : what.path);
    return 0;
}

static void tell_registered(dp__module_book *book)
{
    dp__lock_acquire(&registry.lock);
    book->registered = dp__load_relaxed(&registry.changes);
    for (const dp_registered *e = registry.newest; e; e = e->older) {
        uintptr_t at = (uintptr_t)address_of(e);
        tell(book, &(loaded){.begin = at, .end = at + 1}, 1, e->name);
    }
    dp__lock_release(&registry.lock);
}

static int look_at_counts(struct dl_phdr_info *info, size_t size, void *context)
{
    const dp__module_book *book = context;
    (void)size;
    return info->dlpi_adds == book->loads && info->dlpi_subs == book->unloads ? 1 : 2;
}

static void tell_all(dp__module_book *book)
{
    for (struct line *line = book->newest; line; line = line->older)
        line->is_there = 0;
    book->lacks = 0;
    dl_iterate_phdr(tell_loaded, book);
    tell_registered(book);
}

dp__module_book *dp__modules_tell(dp__module_list *list)
{
    dp__module_book *book = calloc(1, sizeof *book);
    if (!book)
        return NULL;
    book->list = list;
    tell_all(book);
    if (!book->lacks)
        return book;
    dp__modules_take_back(book, 1);
    return NULL;
}

void dp__modules_take_back(dp__module_book *book, int is_ours)
{
    if (!book)
        return;
    while (book->newest) {
        struct line *line = book->newest;
        book->newest = line->older;
        if (is_ours)
            dp__heap_free(line->told);
        free(line);
    }
    free(book);
}

int dp__modules_know(dp__module_book *book, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    int code = DP_ENOTSUP;
    dp__lock_acquire(&book->lock);
    if (book->lacks || book->registered != dp__load_relaxed(&registry.changes) ||
        dl_iterate_phdr(look_at_counts, book) != 1)
        tell_all(book);
    for (const struct line *line = book->newest; line && code; line = line->older)
        if (line->is_there && at >= line->begin && at < line->end)
            code = 0;
    if (code && book->lacks)
        code = DP_ENOMEM;
    dp__lock_release(&book->lock);
    return code;
}

/* ---- Finding ---- */

/* Modules of the other process that are in this one. */
enum { KNOWN = 64 };
static struct {
    const dp__module_list *list;
    struct {
        const dp__module *there;
        uintptr_t base;
    } known[KNOWN];
    size_t count;
} foreign;

void dp__modules_come_from(const dp__module_list *list)
{
    foreign.list = list;
    foreign.count = 0;
}

int dp__modules_are_foreign(void)
{
    return foreign.list != NULL;
}

typedef struct wanted {
    const dp__module *there;
    uintptr_t base;
    const char *path; /* Where it has come from here. */
} wanted;

static int compare(struct dl_phdr_info *info, size_t size, void *context)
{
    wanted *w = context;
    loaded here = describe(info);
    (void)size;
    if (here.begin >= here.end || !is_same(&here.identity, &w->there->identity))
        return 0;
    w->base = here.base;
    w->path = here.path;
    return 1;
}

/* Finds the module among what is loaded, and keeps it there, or a task that had loaded it could
   take it away again. */
static int find_and_keep(wanted *w, int *is_kept)
{
    if (!dl_iterate_phdr(compare, w))
        return 0;
    *is_kept = w->there->identity.is_program || dlopen(w->path, RTLD_NOW | RTLD_NOLOAD);
    return 1;
}

/* A path that was loaded before gives what was loaded then, whatever lies there by now: the same
   path with more slashes does not. */
enum { RELOADS = 8 };

static int load(wanted *w, int *is_kept)
{
    const char *name = w->there->name;
    char path[RELOADS + PATH_MAX];
    memset(path, '/', RELOADS);
    snprintf(path + RELOADS, sizeof path - RELOADS, "%s", name);
    for (int slashes = 0; slashes < (name[0] == '/' ? RELOADS : 1); slashes++) {
        *is_kept = dlopen(path + RELOADS - slashes, RTLD_NOW | RTLD_LOCAL) != NULL;
        if (!*is_kept) {
            const char *why = dlerror();
            dp__message(1, "%s cannot be loaded in a worker that was begun anew: %s", name,
                        why ? why : "no reason is told");
            return 0;
        }
        if (dl_iterate_phdr(compare, w))
            return 1;
    }
    dp__message(1, "%s is not the same in a worker that was begun anew", name);
    return 0;
}

/* Whether the module is here, or can be. It stays then, as what it has begun may. */
static int locate(const dp__module *there, uintptr_t *base)
{
    wanted w = {.there = there};
    int is_kept;
    for (size_t i = 0; i < foreign.count; i++)
        if (foreign.known[i].there == there) {
            *base = foreign.known[i].base;
            return 1;
        }
    if (!find_and_keep(&w, &is_kept) && (there->identity.is_program || !load(&w, &is_kept)))
        return 0;
    if (is_kept && foreign.count < KNOWN) {
        foreign.known[foreign.count].there = there;
        foreign.known[foreign.count++].base = w.base;
    }
    *base = w.base;
    return 1;
}

void *dp__module_here(const void *there)
{
    uintptr_t at = (uintptr_t)there, base;
    if (!foreign.list)
        return (void *)at;
    /* Acquire: pairs with the release of who tells. Newer ones first: an older one may have been
       unloaded from the same place. */
    const dp__module *first = (const dp__module *)dp__load_acquire(&foreign.list->newest);
    const char *name = NULL;
    for (const dp__module *m = first; m; m = m->older) {
        if (at < m->begin || at >= m->end)
            continue;
        if (!m->is_function && locate(m, &base))
            return (void *)(at - m->base + base);
        if (m->is_function && !name)
            name = m->name;
        else if (!m->is_function) /* What lay there before it is not what is meant. */
            break;
    }
    return name ? find_registered(name) : NULL;
}
