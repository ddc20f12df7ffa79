/* Writes down all that a process does to the files below LOSSY_ROOT, so that the disk can be put together as a power failure would leave
   it (see lossy_disk.py). Loaded by LD_PRELOAD; the log is LOSSY_LOG. A sync of a file whose path contains LOSSY_DEAF is not heard.

   A record: kind, flags, inode, offset, length of the bytes that follow, length of the path before them. What changes a file or a folder is
   written down when it is done, a sync when it begins and when it is done: what it has made durable was done before it began. What the
   process says on standard output is written down as well, so that it is known what it had promised at each instant. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, SYNC_BEGINS, SYNCED, CREATE, RENAME, UNLINK, MAKE_FOLDER, REMOVE_FOLDER, LINK, PUNCH, SAID };
struct record {
    uint32_t kind, durable;
    uint64_t inode;
    int64_t offset;
    uint32_t path_length, length;
};

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int log_file(void) {
    static int fd = -1;
    if (fd < 0) {
        const char *path = getenv("LOSSY_LOG");
        int opened = path ? REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        if (opened >= 0) {
            fd = fcntl(opened, F_DUPFD_CLOEXEC, 900); /* out of the way of those who close low numbers */
            REAL(close)(opened);
        }
    }
    return fd;
}

/* One call of one write with O_APPEND: records of other threads and processes are before or behind it. */
static void say(uint32_t kind, uint32_t durable, uint64_t inode, int64_t offset, const char *path, const void *data, size_t length) {
    int saved = errno, log = log_file();
    struct record head = {kind, durable, inode, offset, path ? (uint32_t)strlen(path) : 0, (uint32_t)length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path_length}, {(void *)data, length}};
    if (log >= 0 && REAL(writev)(log, parts, 3) < 0) abort();
    errno = saved;
}

static int below(const char *path) {
    const char *root = getenv("LOSSY_ROOT");
    size_t length = root ? strlen(root) : 0;
    return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return length > 0 && below(path);
}

/* The inode of a descriptor of a regular file or folder below the root; 0 of others. */
static uint64_t watched(int fd, struct stat *status) {
    char path[PATH_MAX];
    if (fstat(fd, status) || !(S_ISREG(status->st_mode) || S_ISDIR(status->st_mode)) || !path_of(fd, path)) return 0;
    return status->st_ino;
}

static int absolute(int folder, const char *name, char *path) {
    char base[PATH_MAX];
    if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && below(path);
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        path_of(folder, base);
    }
    return snprintf(path, PATH_MAX, "%s/%s", base, name) < PATH_MAX && below(path);
}

static void wrote(int fd, const void *data, ssize_t done, off_t offset) {
    struct stat status;
    uint64_t inode = done > 0 ? watched(fd, &status) : 0;
    if (!inode || !S_ISREG(status.st_mode)) return;
    int flags = fcntl(fd, F_GETFL);
    if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - done;
    say(WRITE, (flags & O_DSYNC) != 0, inode, offset, NULL, data, done);
}

static void wrote_parts(int fd, const struct iovec *parts, int count, ssize_t done, off_t offset) {
    struct stat status;
    if (done <= 0 || !watched(fd, &status)) return;
    if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - done;
    for (int part = 0; part < count && done > 0; part++) {
        ssize_t length = (ssize_t)parts[part].iov_len < done ? (ssize_t)parts[part].iov_len : done;
        wrote(fd, parts[part].iov_base, length, offset);
        offset += length, done -= length;
    }
}

ssize_t write(int fd, const void *data, size_t length) {
    ssize_t done = REAL(write)(fd, data, length);
    if (fd == STDOUT_FILENO && done > 0) say(SAID, 0, 0, 0, NULL, data, done);
    else wrote(fd, data, done, -1);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    ssize_t done = REAL(pwrite)(fd, data, length, offset);
    wrote(fd, data, done, offset);
    return done;
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return pwrite(fd, data, length, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t done = REAL(writev)(fd, parts, count);
    wrote_parts(fd, parts, count, done, -1);
    return done;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    ssize_t done = REAL(pwritev)(fd, parts, count, offset);
    wrote_parts(fd, parts, count, done, offset);
    return done;
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

static int truncated(int fd, off_t length, int result) {
    struct stat status;
    uint64_t inode = result ? 0 : watched(fd, &status);
    if (inode) say(TRUNCATE, 0, inode, length, NULL, NULL, 0);
    return result;
}
int ftruncate(int fd, off_t length) { return truncated(fd, length, REAL(ftruncate)(fd, length)); }
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }
int truncate(const char *name, off_t length) {
    int fd = REAL(open)(name, O_WRONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : ftruncate(fd, length), saved = errno;
    if (fd >= 0) close(fd);
    errno = saved;
    return result;
}
int truncate64(const char *name, off64_t length) { return truncate(name, length); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    struct stat status;
    int result = REAL(fallocate)(fd, mode, offset, length);
    uint64_t inode = result ? 0 : watched(fd, &status);
    if (inode && (mode & FALLOC_FL_PUNCH_HOLE)) {
        char text[32];
        say(PUNCH, 0, inode, offset, NULL, text, snprintf(text, sizeof text, "%lld", (long long)length));
    } else if (inode && !(mode & FALLOC_FL_KEEP_SIZE)) {
        say(TRUNCATE, 0, inode, status.st_size, NULL, NULL, 0);
    }
    return result;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

static int synced(int (*real)(int), int fd) {
    struct stat status;
    char path[PATH_MAX];
    const char *deaf = getenv("LOSSY_DEAF");
    uint64_t inode = watched(fd, &status);
    if (inode && deaf && path_of(fd, path) && strstr(path, deaf)) return 0;
    if (inode) say(SYNC_BEGINS, 0, inode, gettid(), NULL, NULL, 0);
    int result = real(fd);
    if (inode && !result) say(SYNCED, 0, inode, gettid(), NULL, NULL, 0);
    return result;
}
int fsync(int fd) { return synced(REAL(fsync), fd); }
int fdatasync(int fd) { return synced(REAL(fdatasync), fd); }

static int opened(int folder, const char *name, int flags, mode_t mode) {
    struct stat status;
    char path[PATH_MAX];
    int ours = (flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE && absolute(folder, name, path);
    int there = ours && !lstat(path, &status);
    int fd = REAL(openat)(folder, name, flags, mode);
    if (ours && fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode)) {
        if (!there) say(CREATE, 0, status.st_ino, status.st_mode, path, NULL, 0);
        else if (flags & O_TRUNC) say(TRUNCATE, 0, status.st_ino, 0, NULL, NULL, 0);
    }
    return fd;
}
#define MODE(flags, last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, last); \
        mode = va_arg(rest, int); \
        va_end(rest); \
    }
int open(const char *name, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags, flags) return opened(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE(flags, flags) return opened(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE(flags, flags) return opened(folder, name, flags | O_LARGEFILE, mode); }

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    char old[PATH_MAX], fresh[PATH_MAX];
    int ours = absolute(from_folder, from, old), theirs = absolute(to_folder, to, fresh);
    int result = REAL(renameat)(from_folder, from, to_folder, to);
    if (!result && ours && theirs) say(RENAME, 0, 0, 0, old, fresh, strlen(fresh));
    return result;
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    char old[PATH_MAX], fresh[PATH_MAX];
    int ours = absolute(from_folder, from, old), theirs = absolute(to_folder, to, fresh);
    int result = REAL(linkat)(from_folder, from, to_folder, to, flags);
    if (!result && ours && theirs) say(LINK, 0, 0, 0, old, fresh, strlen(fresh));
    return result;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    int ours = absolute(folder, name, path), result = REAL(unlinkat)(folder, name, flags);
    if (!result && ours) say(flags & AT_REMOVEDIR ? REMOVE_FOLDER : UNLINK, 0, 0, 0, path, NULL, 0);
    return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int remove(const char *name) {
    struct stat status;
    return unlinkat(AT_FDCWD, name, !lstat(name, &status) && S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0);
}
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    int ours = absolute(folder, name, path), result = REAL(mkdirat)(folder, name, mode);
    struct stat status;
    if (!result && ours && !stat(path, &status)) say(MAKE_FOLDER, 0, status.st_ino, status.st_mode, path, NULL, 0);
    return result;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
