/* Small file helpers: descriptors that close themselves, calls that survive EINTR. */
#ifndef BERTH_FD_H
#define BERTH_FD_H

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

static inline void cleanup_close_fd(int *fd)
{
  if (*fd >= 0) {
    int saved = errno;
    (void)close(*fd);
    errno = saved;
  }
}
#define cleanup_close __attribute__((cleanup(cleanup_close_fd)))

/* Closes what is open and forgets it. */
static inline void fd_close(int *fd)
{
  cleanup_close_fd(fd);
  *fd = -1;
}

/* Hands the descriptor to the caller: the cleanup attribute will not close it. */
static inline int fd_take(int *fd)
{
  int taken = *fd;
  *fd = -1;
  return taken;
}

#define RETRY_INTR(call)                     \
  ({                                         \
    __typeof__(call) result_;                \
    do                                       \
      result_ = (call);                      \
    while (result_ == -1 && errno == EINTR); \
    result_;                                 \
  })

/* Gives back what deeper calls have made of the stack: a start needs much more of it than what comes after. */
void stack_trim(void);
/* Writes all of it to a file of cgroupfs or procfs in one call. -1 with errno. */
int fd_write_at(int dir, const char *name, const char *text);
int fd_write_all(int fd, const void *data, size_t size);
/* Reads a small file into `buffer` and ends it with NUL; its length, or -1 with errno. */
ssize_t fd_read_at(int dir, const char *name, char *buffer, size_t size);
/* What is in a directory, read into this: readdir(3) would allocate. One that cannot be read has nothing in it; who must
   know looks at `failure`. */
struct fd_entries {
  int fd;
  int failure; /* an errno, or 0 */
  unsigned at;
  unsigned size;
  _Alignas(struct dirent) char bytes[1024];
};
/* `dir` stays open. */
void fd_entries_open(struct fd_entries *entries, int dir);
/* The next one that is neither "." nor "..", until the next call; NULL at the end, when it is closed. */
const struct dirent *fd_entries_next(struct fd_entries *entries);
/* openat2(2) below `root` as if it were "/", never through magic links. -1 with errno. */
int fd_open_in_root(int root, const char *path, unsigned long long flags);
/* The same, and no component may be a symbolic link. */
int fd_open_plain(int root, const char *path, unsigned long long flags);
/* An absolute path of the host of which no component is a symbolic link (ELOOP). -1 with errno. */
int fd_open_no_links(const char *path, unsigned long long flags);
/* mkdir -p of `path` inside `root`; returns an O_PATH descriptor of the last directory, or -1 with errno. */
int fd_make_dirs(int root, const char *path);

#endif
