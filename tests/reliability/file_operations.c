/* Asks another process before each file operation of this one that changes something below a folder.

   Loaded by LD_PRELOAD, silent until `watch_files` is called. Each question is a line on a socket:
   the operation and the path. The answer is a number: 0 goes on, a positive one is the errno that
   the operation fails with, -1 ends the process by SIGKILL. Operations of other threads wait
   meanwhile, so the folder does not change while the other side looks at it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#undef fwrite_unlocked

static int channel = -1;
static char *folders[8];
static pthread_mutex_t turn = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static __thread int inside; /* glibc's fopen and the like call each other */

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

int watch_files(const char *socket_path, const char *below) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *list = strdup(below), *part;
    int count = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, socket_path, sizeof(address.sun_path) - 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address))) return -1;
    while ((part = strsep(&list, ":")) && count < 7) folders[count++] = part;
    channel = fd;
    return 0;
}

static void absolute(int at, const char *path, char *out) {
    char link[64], base[PATH_MAX] = "";
    if (path[0] != '/') {
        if (at == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
        ssize_t size = readlink(link, base, sizeof(base) - 1);
        base[size > 0 ? size : 0] = 0;
    }
    snprintf(out, PATH_MAX, "%s%s%s", base, *base ? "/" : "", path);
}

static int below(const char *path) {
    for (char **each = folders; *each; each++) {
        size_t size = strlen(*each);
        if (!strncmp(path, *each, size) && (path[size] == '/' || !path[size])) return 1;
    }
    return 0;
}

/* Returns 0 to go on, -1 with errno set to fail. */
static int ask_path(const char *operation, int at, const char *path) {
    char full[PATH_MAX], line[PATH_MAX + 64], answer[32];
    int kept = errno, result;
    if (channel < 0 || inside || !path) return 0;
    absolute(at, path, full);
    if (!below(full)) { errno = kept; return 0; }
    pthread_mutex_lock(&turn);
    int size = snprintf(line, sizeof(line), "%s %s\n", operation, full);
    if (send(channel, line, size, MSG_NOSIGNAL) != size) _exit(99);
    size = recv(channel, answer, sizeof(answer) - 1, 0);
    if (size <= 0) _exit(99);
    answer[size] = 0;
    result = atoi(answer);
    if (result < 0) { kill(getpid(), SIGKILL); pause(); }
    pthread_mutex_unlock(&turn);
    errno = result > 0 ? result : kept;
    return result > 0 ? -1 : 0;
}

static int ask_fd(const char *operation, int fd) {
    char link[64], path[PATH_MAX];
    int kept = errno;
    if (channel < 0 || inside || fd < 0) return 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof(path) - 1);
    errno = kept;
    if (size <= 0) return 0;
    path[size] = 0;
    return ask_path(operation, AT_FDCWD, path);
}

#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define MODE() mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) {
    REAL(open); MODE();
    if (WRITES(flags) && ask_path("open", AT_FDCWD, path)) return -1;
    return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    REAL(open64); MODE();
    if (WRITES(flags) && ask_path("open", AT_FDCWD, path)) return -1;
    return real(path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
    REAL(openat); MODE();
    if (WRITES(flags) && ask_path("open", at, path)) return -1;
    return real(at, path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
    REAL(openat64); MODE();
    if (WRITES(flags) && ask_path("open", at, path)) return -1;
    return real(at, path, flags, mode);
}
int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open64(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

#define NESTED(call) inside++; __typeof__(call) result = call; inside--; return result
FILE *fopen(const char *path, const char *how) {
    REAL(fopen);
    if (strpbrk(how, "wa+") && ask_path("open", AT_FDCWD, path)) return NULL;
    NESTED(real(path, how));
}
FILE *fopen64(const char *path, const char *how) {
    REAL(fopen64);
    if (strpbrk(how, "wa+") && ask_path("open", AT_FDCWD, path)) return NULL;
    NESTED(real(path, how));
}
size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    REAL(fwrite);
    if (ask_fd("write", fileno(file))) return 0;
    NESTED(real(data, size, count, file));
}
size_t fwrite_unlocked(const void *data, size_t size, size_t count, FILE *file) {
    REAL(fwrite_unlocked);
    if (ask_fd("write", fileno(file))) return 0;
    NESTED(real(data, size, count, file));
}
int fflush(FILE *file) {
    REAL(fflush);
    if (file && ask_fd("flush", fileno(file))) return EOF;
    NESTED(real(file));
}
int fclose(FILE *file) {
    REAL(fclose);
    int flags = fcntl(fileno(file), F_GETFL), failed = 0, code = 0;
    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) failed = ask_fd("close", fileno(file)), code = errno;
    inside++; int result = real(file); inside--;
    if (failed) errno = code;
    return failed ? EOF : result;
}

#define ON_FD(type, name, operation, parameters, arguments) \
    type name parameters { REAL(name); if (ask_fd(operation, fd)) return -1; return real arguments; }
#define ON_PATH(name, operation, parameters, arguments) \
    int name parameters { REAL(name); if (ask_path(operation, AT_FDCWD, path)) return -1; return real arguments; }
#define ON_PATH_AT(name, operation, parameters, arguments) \
    int name parameters { REAL(name); if (ask_path(operation, at, path)) return -1; return real arguments; }

ON_FD(ssize_t, write, "write", (int fd, const void *data, size_t size), (fd, data, size))
ON_FD(ssize_t, pwrite, "write", (int fd, const void *data, size_t size, off_t place), (fd, data, size, place))
ON_FD(ssize_t, pwrite64, "write", (int fd, const void *data, size_t size, off64_t place), (fd, data, size, place))
ON_FD(ssize_t, writev, "write", (int fd, const struct iovec *parts, int count), (fd, parts, count))
ON_FD(ssize_t, pwritev, "write", (int fd, const struct iovec *parts, int count, off_t place), (fd, parts, count, place))
ON_FD(ssize_t, copy_file_range, "write", (int from, off64_t *a, int fd, off64_t *b, size_t size, unsigned flags), (from, a, fd, b, size, flags))
ssize_t sendfile(int fd, int from, off_t *place, size_t size) { REAL(sendfile); if (ask_fd("write", fd)) return -1; return real(fd, from, place, size); }
ssize_t sendfile64(int fd, int from, off64_t *place, size_t size) { REAL(sendfile64); if (ask_fd("write", fd)) return -1; return real(fd, from, place, size); }
ON_FD(int, fsync, "fsync", (int fd), (fd))
ON_FD(int, fdatasync, "fsync", (int fd), (fd))
ON_FD(int, ftruncate, "truncate", (int fd, off_t size), (fd, size))
ON_FD(int, ftruncate64, "truncate", (int fd, off64_t size), (fd, size))
ON_FD(int, fchmod, "chmod", (int fd, mode_t mode), (fd, mode))
ON_FD(int, fchown, "chown", (int fd, uid_t user, gid_t group), (fd, user, group))
int posix_fallocate(int fd, off_t a, off_t b) { REAL(posix_fallocate); return ask_fd("allocate", fd) ? errno : real(fd, a, b); }
int posix_fallocate64(int fd, off64_t a, off64_t b) { REAL(posix_fallocate64); return ask_fd("allocate", fd) ? errno : real(fd, a, b); }

ON_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode))
ON_PATH_AT(mkdirat, "mkdir", (int at, const char *path, mode_t mode), (at, path, mode))
ON_PATH(rmdir, "rmdir", (const char *path), (path))
ON_PATH(unlink, "unlink", (const char *path), (path))
ON_PATH_AT(unlinkat, "unlink", (int at, const char *path, int flags), (at, path, flags))
ON_PATH(rename, "rename", (const char *path, const char *to), (path, to))
ON_PATH_AT(renameat, "rename", (int at, const char *path, int to_at, const char *to), (at, path, to_at, to))
ON_PATH_AT(renameat2, "rename", (int at, const char *path, int to_at, const char *to, unsigned flags), (at, path, to_at, to, flags))
ON_PATH(truncate, "truncate", (const char *path, off_t size), (path, size))
ON_PATH(truncate64, "truncate", (const char *path, off64_t size), (path, size))
ON_PATH(chmod, "chmod", (const char *path, mode_t mode), (path, mode))
ON_PATH_AT(fchmodat, "chmod", (int at, const char *path, mode_t mode, int flags), (at, path, mode, flags))
ON_PATH(chown, "chown", (const char *path, uid_t user, gid_t group), (path, user, group))
ON_PATH(lchown, "chown", (const char *path, uid_t user, gid_t group), (path, user, group))
ON_PATH_AT(fchownat, "chown", (int at, const char *path, uid_t user, gid_t group, int flags), (at, path, user, group, flags))
int link(const char *old, const char *path) { REAL(link); if (ask_path("link", AT_FDCWD, path)) return -1; return real(old, path); }
int symlink(const char *old, const char *path) { REAL(symlink); if (ask_path("link", AT_FDCWD, path)) return -1; return real(old, path); }
int utimensat(int at, const char *path, const struct timespec times[2], int flags) {
    REAL(utimensat);
    if (ask_path("utime", at, path)) return -1;
    return real(at, path, times, flags);
}
ON_FD(int, futimens, "utime", (int fd, const struct timespec times[2]), (fd, times))
