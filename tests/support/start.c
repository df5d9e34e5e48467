/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Criterion begins each test as a process of its own, and that begins with libgit2, which reads all
 * certificates of the machine: 6 ms of the 16 that a short test takes. It is there to show how two
 * texts differ, for assertions that we do not use. These come before those of the library.
 */
int git_libgit2_init(void);
int git_libgit2_shutdown(void);

int git_libgit2_init(void)
{
    return 1;
}

int git_libgit2_shutdown(void)
{
    return 0;
}
