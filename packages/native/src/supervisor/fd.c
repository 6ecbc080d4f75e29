#include "fd.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

__attribute__((noinline)) void stack_trim(void)
{
  const uintptr_t page = 4096;
  const uintptr_t depth = 32 * page;
  /* One page below stays for this call's own callees; what is not mapped is no matter. */
  uintptr_t top = ((uintptr_t)__builtin_frame_address(0) & ~(page - 1)) - page;
  (void)madvise((void *)(top - depth), depth, MADV_DONTNEED);
}

int fd_write_all(int fd, const void *data, size_t size)
{
  const char *at = data;
  while (size > 0) {
    ssize_t written = RETRY_INTR(write(fd, at, size));
    if (written < 0)
      return -1;
    at += written;
    size -= (size_t)written;
  }
  return 0;
}

int fd_write_at(int dir, const char *name, const char *text)
{
  cleanup_close int fd = RETRY_INTR(openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd < 0)
    return -1;
  return RETRY_INTR(write(fd, text, strlen(text))) < 0 ? -1 : 0;
}

ssize_t fd_read_at(int dir, const char *name, char *buffer, size_t size)
{
  cleanup_close int fd = RETRY_INTR(openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd < 0)
    return -1;
  ssize_t length = RETRY_INTR(read(fd, buffer, size - 1));
  if (length >= 0)
    buffer[length] = '\0';
  return length;
}

static int open2(int root, const char *path, unsigned long long flags, unsigned long long resolve)
{
  struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS };
  long fd;
  /* EAGAIN: a rename raced with the walk and the kernel could not prove that it stayed inside (openat2(2)). */
  int attempts = 64;
  do
    fd = syscall(SYS_openat2, root, path, &how, sizeof how);
  while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --attempts > 0)));
  return (int)fd;
}

void fd_entries_open(struct fd_entries *entries, int dir)
{
  entries->fd = RETRY_INTR(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  entries->failure = entries->fd < 0 ? errno : 0;
  entries->at = entries->size = 0;
}

const struct dirent *fd_entries_next(struct fd_entries *entries)
{
  while (entries->fd >= 0) {
    if (entries->at == entries->size) {
      long size = RETRY_INTR(syscall(SYS_getdents64, entries->fd, entries->bytes, sizeof entries->bytes));
      if (size <= 0) {
        entries->failure = size < 0 ? errno : 0;
        fd_close(&entries->fd);
        break;
      }
      entries->size = (unsigned)size;
      entries->at = 0;
    }
    /* The layout of getdents64(2) is that of struct dirent wherever inode numbers have 64 bits. */
    const struct dirent *entry = (const void *)(entries->bytes + entries->at);
    entries->at += entry->d_reclen;
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      return entry;
  }
  return NULL;
}

int fd_open_in_root(int root, const char *path, unsigned long long flags)
{
  return open2(root, path, flags, RESOLVE_IN_ROOT);
}

int fd_open_plain(int root, const char *path, unsigned long long flags)
{
  return open2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
}

int fd_open_no_links(const char *path, unsigned long long flags)
{
  return open2(AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS);
}

int fd_make_dirs(int root, const char *path)
{
  int existing = fd_open_in_root(root, path, O_PATH | O_DIRECTORY);
  if (existing >= 0 || errno != ENOENT)
    return existing;

  /* Each prefix is resolved again from the root, so that a symbolic link on the way leads inside and nowhere else. */
  char prefix[4096];
  size_t length = strlen(path);
  if (length >= sizeof prefix) {
    errno = ENAMETOOLONG;
    return -1;
  }
  cleanup_close int parent = fd_open_in_root(root, "/", O_PATH | O_DIRECTORY);
  if (parent < 0)
    return -1;
  size_t at = 0;
  while (at < length) {
    while (path[at] == '/')
      at++;
    size_t end = at;
    while (end < length && path[end] != '/')
      end++;
    if (end == at)
      break;
    memcpy(prefix, path, end);
    prefix[end] = '\0';
    int next = fd_open_in_root(root, prefix, O_PATH | O_DIRECTORY);
    if (next < 0 && errno == ENOENT) {
      if (mkdirat(parent, prefix + at, 0755) < 0 && errno != EEXIST)
        return -1;
      next = fd_open_in_root(root, prefix, O_PATH | O_DIRECTORY);
    }
    if (next < 0)
      return -1;
    (void)close(parent);
    parent = next;
    at = end;
  }
  return fd_take(&parent);
}
