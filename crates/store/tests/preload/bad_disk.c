/* A disk that fails on command, for the tests of faults in crates/store and crates/app.
 *
 * Preloaded into the process under test. While the file $HUFU_DISK_FAULT holds a word, files in $HUFU_DISK_LIVE behave so:
 *   fsync     fsync and fdatasync fail with EIO and sync nothing
 *   full      nothing can be written (ENOSPC)
 *   readonly  nothing can be written or cut (EROFS)
 * A second word narrows it to files whose path holds that word.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum fault { NONE, FSYNC, FULL, READONLY };

static enum fault fault_of(int fd) {
    const char *live = getenv("HUFU_DISK_LIVE"), *told = getenv("HUFU_DISK_FAULT");
    char link[64], path[PATH_MAX], text[128] = "", word[16] = "", part[96] = "";
    if (!live || !told) return NONE;
    int in = open(told, O_RDONLY | O_CLOEXEC);
    if (in < 0) return NONE;
    ssize_t n = read(in, text, sizeof text - 1);
    close(in);
    if (n <= 0 || sscanf(text, "%15s %95s", word, part) < 1) return NONE;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return NONE;
    path[n] = 0;
    if (strncmp(path, live, strlen(live)) != 0 || path[strlen(live)] != '/') return NONE;
    if (!strstr(path, part)) return NONE;
    if (strcmp(word, "fsync") == 0) return FSYNC;
    if (strcmp(word, "full") == 0) return FULL;
    if (strcmp(word, "readonly") == 0) return READONLY;
    return NONE;
}

/* Whether a write fails, with errno set. */
static int refused(int fd) {
    int before = errno;
    enum fault fault = fault_of(fd);
    errno = fault == FULL ? ENOSPC : fault == READONLY ? EROFS : before;
    return fault == FULL || fault == READONLY;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *bytes, size_t length) {
    return refused(fd) ? -1 : NEXT(ssize_t (*)(int, const void *, size_t), "write")(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return refused(fd) ? -1 : NEXT(ssize_t (*)(int, const void *, size_t, off_t), "pwrite")(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return refused(fd) ? -1 : NEXT(ssize_t (*)(int, const void *, size_t, off64_t), "pwrite64")(fd, bytes, length, at);
}

int ftruncate(int fd, off_t length) {
    return refused(fd) ? -1 : NEXT(int (*)(int, off_t), "ftruncate")(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    return refused(fd) ? -1 : NEXT(int (*)(int, off64_t), "ftruncate64")(fd, length);
}

static int sync_with(int fd, const char *name) {
    if (fault_of(fd) == FSYNC) {
        errno = EIO;
        return -1;
    }
    return NEXT(int (*)(int), name)(fd);
}

int fsync(int fd) { return sync_with(fd, "fsync"); }

int fdatasync(int fd) { return sync_with(fd, "fdatasync"); }
