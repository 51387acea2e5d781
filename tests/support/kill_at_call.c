/* A library for LD_PRELOAD that kills its process at the n-th call that changes a file below a folder.
 *
 *   KILL_FOLDER  the folder; logs are left out, as nobody reads them after a crash
 *   KILL_AT      which call, from 1; 0 for none
 *   KILL_MOMENT  before | torn (half of the bytes are written) | after
 *   KILL_TRACE   a file for one line a call: what, and where
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

static int below(const char *path) {
    const char *folder = getenv("KILL_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0 && !strstr(path, "/logs/");
}

static int place_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return below(path);
}

/* 0: go on; 1: after this call; 2: after half of it. */
static int step(const char *what, const char *path) {
    long number = atomic_fetch_add(&calls, 1) + 1;
    const char *trace = getenv("KILL_TRACE"), *at = getenv("KILL_AT"), *moment = getenv("KILL_MOMENT");
    if (trace) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%s %s\n", what, path);
        int fd = open(trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        syscall(SYS_write, fd, line, (size_t)length);
        close(fd);
    }
    if (!at || atol(at) != number)
        return 0;
    if (!moment || strcmp(moment, "before") == 0)
        kill(getpid(), SIGKILL);
    return moment && strcmp(moment, "torn") == 0 ? 2 : 1;
}

#define AROUND(result, name, declared, given, is_ours, place, half)                                          \
    result name declared {                                                                                   \
        static result(*real) declared;                                                                       \
        if (!real)                                                                                           \
            real = dlsym(RTLD_NEXT, #name);                                                                  \
        char path[PATH_MAX] = "";                                                                            \
        (void)path;                                                                                          \
        int then = (is_ours) ? step(#name, place) : 0;                                                       \
        if (then == 2)                                                                                       \
            half;                                                                                            \
        result told = real given;                                                                            \
        if (then)                                                                                            \
            kill(getpid(), SIGKILL);                                                                         \
        return told;                                                                                         \
    }

AROUND(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), place_of(fd, path), path, size /= 2)
AROUND(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), place_of(fd, path),
       path, size /= 2)
AROUND(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at),
       place_of(fd, path), path, size /= 2)
AROUND(int, fsync, (int fd), (fd), place_of(fd, path), path, (void)0)
AROUND(int, fdatasync, (int fd), (fd), place_of(fd, path), path, (void)0)
AROUND(int, ftruncate, (int fd, off_t size), (fd, size), place_of(fd, path), path, (void)0)
AROUND(int, ftruncate64, (int fd, off64_t size), (fd, size), place_of(fd, path), path, (void)0)
AROUND(int, rename, (const char *from, const char *to), (from, to), below(to), to, (void)0)
AROUND(int, unlink, (const char *name), (name), below(name), name, (void)0)
AROUND(int, symlink, (const char *to, const char *name), (to, name), below(name), name, (void)0)
