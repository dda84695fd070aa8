/* A disk that keeps only what was synced, for the power-cut test of crates/store.
 *
 * Preloaded into the process under test. Every fsync or fdatasync of a file in $HUFU_DISK_LIVE copies the file as it is
 * then to $HUFU_DISK_SYNCED. A new file's image waits under "pending-" until its directory is synced; a removed or renamed
 * file keeps its old name in the image until then too (POSIX promises no more). When the process is killed, the synced
 * directory is what a power cut would have left at the least; what was written and not synced is in the live one.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PENDING "pending-"

static char synced[PATH_MAX], live[PATH_MAX];

__attribute__((constructor)) static void start(void) {
    const char *l = getenv("HUFU_DISK_LIVE"), *s = getenv("HUFU_DISK_SYNCED");
    if (l && s) {
        snprintf(live, sizeof live, "%s", l);
        snprintf(synced, sizeof synced, "%s", s);
    }
}

static void die(const char *what) {
    perror(what);
    _exit(86); /* the test looks for acknowledgements that a broken shim would let through */
}

/* Copies in place: what was synced before stays while we are killed half-way. */
static void copy(const char *from, const char *to) {
    char block[65536];
    ssize_t n;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0600);
    if (in < 0 || out < 0) die("power_cut: open");
    off_t at = 0;
    while ((n = pread(in, block, sizeof block, at)) > 0) {
        if (pwrite(out, block, (size_t)n, at) != n) die("power_cut: write");
        at += n;
    }
    if (n < 0 || ftruncate(out, at) != 0) die("power_cut: copy");
    close(in);
    close(out);
}

static void sync_file(const char *path, const char *name) {
    char to[2 * PATH_MAX];
    struct stat st;
    snprintf(to, sizeof to, "%s/%s", synced, name);
    if (stat(to, &st) != 0) snprintf(to, sizeof to, "%s/" PENDING "%s", synced, name);
    copy(path, to);
}

static void sync_directory(void) {
    char from[2 * PATH_MAX], to[2 * PATH_MAX];
    struct dirent *entry;
    struct stat st;
    DIR *dir = opendir(synced);
    if (!dir) die("power_cut: opendir");
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (name[0] == '.') continue;
        snprintf(from, sizeof from, "%s/%s", synced, name);
        if (strncmp(name, PENDING, strlen(PENDING)) == 0) {
            name += strlen(PENDING);
            snprintf(to, sizeof to, "%s/%s", synced, name);
            if (rename(from, to) != 0) die("power_cut: rename");
            snprintf(from, sizeof from, "%s", to);
        }
        snprintf(to, sizeof to, "%s/%s", live, name);
        if (stat(to, &st) != 0) unlink(from);
    }
    closedir(dir);
}

static void synced_now(int fd) {
    char link[64], path[PATH_MAX];
    if (!live[0]) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return;
    path[n] = 0;
    size_t len = strlen(live);
    if (strncmp(path, live, len) != 0) return;
    if (path[len] == 0) sync_directory();
    else if (path[len] == '/' && !strchr(path + len + 1, '/')) sync_file(path, path + len + 1);
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int result = real(fd);
    if (result == 0) synced_now(fd);
    return result;
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = real(fd);
    if (result == 0) synced_now(fd);
    return result;
}
