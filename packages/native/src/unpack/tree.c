/*
 * Makes entries below one directory. Every parent is resolved by openat2(2) inside of it; the last component is only
 * ever given to calls that do not follow a symbolic link. What comes later in the archive replaces what came earlier.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../supervisor/fd.h"
#include "unpack.h"

#define STAGE "unpack.entry"
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

static const char *base_name(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static bool is_whiteout(const struct stat *info)
{
  return S_ISCHR(info->st_mode) && info->st_rdev == 0;
}

/* A whiteout in the way of a directory that no entry of its own announces: the directory takes its place, opaque. */
static bool lift_whiteout(struct unpack_tree *tree, char *parent)
{
  for (char *end = parent; end != NULL;) {
    struct stat info;
    end = strchr(end + 1, '/');
    if (end != NULL)
      *end = '\0';
    cleanup_close int at = fd_open_in_root(tree->root, parent, O_PATH | O_NOFOLLOW);
    bool found = at >= 0 && fstat(at, &info) == 0 && is_whiteout(&info);
    if (found) {
      const char *name = base_name(parent);
      char above[UNPACK_MAX_PATH + 1];
      (void)snprintf(above, sizeof above, "%.*s", (int)(name - parent), parent);
      cleanup_close int dir = fd_open_in_root(tree->root, above[0] == '\0' ? "/" : above, O_PATH | O_DIRECTORY);
      return dir >= 0 && unlinkat(dir, name, 0) == 0 && unpack_paths_add(&tree->opaque, parent, NULL) == 0;
    }
    if (end != NULL)
      *end = '/';
  }
  return false;
}

/* The directory above the last component, made when the archive did not. */
static int open_parent(struct unpack_tree *tree, const char *path)
{
  char parent[UNPACK_MAX_PATH + 1];
  const char *name = base_name(path);
  size_t length = name == path ? 0 : (size_t)(name - path) - 1;
  memcpy(parent, path, length);
  parent[length] = '\0';
  int dir = fd_make_dirs(tree->root, length == 0 ? "/" : parent);
  int failed = errno;
  if (dir < 0 && failed == ENOTDIR && lift_whiteout(tree, parent)) {
    memcpy(parent, path, length);
    parent[length] = '\0';
    dir = fd_make_dirs(tree->root, parent);
    failed = errno;
  }
  errno = failed;
  if (dir < 0)
    return unpack_sys(tree->report, STAGE, path, "the directory it is in");
  return dir;
}

/* Makes room for another entry of this name. 0: nothing is there now; 1: it is a directory, and it may stay. */
static int clear_place(struct unpack_tree *tree, int dir, const char *path, bool want_directory, bool *was_whiteout)
{
  struct stat info;
  *was_whiteout = false;
  if (fstatat(dir, base_name(path), &info, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : unpack_sys(tree->report, STAGE, path, "look at its place");
  if (S_ISDIR(info.st_mode)) {
    if (want_directory)
      return 1;
    if (unlinkat(dir, base_name(path), AT_REMOVEDIR) < 0)
      return unpack_sys(tree->report, STAGE, path, "replaces a directory that is not empty");
    return 0;
  }
  *was_whiteout = is_whiteout(&info);
  if (unlinkat(dir, base_name(path), 0) < 0)
    return unpack_sys(tree->report, STAGE, path, "replace an earlier entry");
  return 0;
}

static int make_opaque(struct unpack_tree *tree, const char *path)
{
  if (unpack_paths_add(&tree->opaque, path, NULL) < 0)
    return unpack_sys(tree->report, STAGE, path, "remember an opaque directory");
  return 0;
}

int tree_directory(struct unpack_tree *tree, const struct unpack_entry *entry)
{
  bool whiteout = false;
  cleanup_close int self = -1;
  if (entry->path[0] == '\0') {
    self = fd_open_plain(tree->root, "/", O_RDONLY | O_DIRECTORY);
  } else {
    cleanup_close int dir = open_parent(tree, entry->path);
    if (dir < 0)
      return -1;
    int there = clear_place(tree, dir, entry->path, true, &whiteout);
    if (there < 0)
      return -1;
    if (there == 0 && mkdirat(dir, base_name(entry->path), 0700) < 0)
      return unpack_sys(tree->report, STAGE, entry->path, "make the directory");
    self = openat(dir, base_name(entry->path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  }
  if (self < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "open the directory");
  /* chown(2) clears the set-id bits, so the mode comes after it. */
  if (fchown(self, entry->uid, entry->gid) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "owner %u:%u", entry->uid, entry->gid);
  if (fchmod(self, entry->mode) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "mode %o", entry->mode);
  if (whiteout && make_opaque(tree, entry->path) < 0)
    return -1;
  if (unpack_paths_add(&tree->directories, entry->path, &entry->mtime) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "remember the directory");
  return 0;
}

int tree_file(struct unpack_tree *tree, const struct unpack_entry *entry, int *file)
{
  bool whiteout;
  cleanup_close int dir = open_parent(tree, entry->path);
  if (dir < 0 || clear_place(tree, dir, entry->path, false, &whiteout) < 0)
    return -1;
  *file = openat(dir, base_name(entry->path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (*file < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "make the file");
  return 0;
}

int tree_finish_file(struct unpack_tree *tree, const struct unpack_entry *entry, int file)
{
  const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, entry->mtime };
  if (fchown(file, entry->uid, entry->gid) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "owner %u:%u", entry->uid, entry->gid);
  if (fchmod(file, entry->mode) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "mode %o", entry->mode);
  if (futimens(file, times) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "time");
  return 0;
}

/* Owner and time of what cannot be opened: links and pipes. */
static int finish_at(struct unpack_tree *tree, int dir, const struct unpack_entry *entry)
{
  const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, entry->mtime };
  const char *name = base_name(entry->path);
  if (fchownat(dir, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "owner %u:%u", entry->uid, entry->gid);
  if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "time");
  return 0;
}

int tree_symlink(struct unpack_tree *tree, const struct unpack_entry *entry)
{
  bool whiteout;
  cleanup_close int dir = open_parent(tree, entry->path);
  if (dir < 0 || clear_place(tree, dir, entry->path, false, &whiteout) < 0)
    return -1;
  if (symlinkat(entry->target, dir, base_name(entry->path)) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "make the symbolic link");
  return finish_at(tree, dir, entry);
}

int tree_fifo(struct unpack_tree *tree, const struct unpack_entry *entry)
{
  bool whiteout;
  cleanup_close int dir = open_parent(tree, entry->path);
  if (dir < 0 || clear_place(tree, dir, entry->path, false, &whiteout) < 0)
    return -1;
  if (mkfifoat(dir, base_name(entry->path), entry->mode & 0777) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "make the pipe");
  return finish_at(tree, dir, entry);
}

int tree_hardlink(struct unpack_tree *tree, const struct unpack_entry *entry)
{
  bool whiteout;
  struct stat info;
  if (strcmp(entry->path, entry->target) == 0)
    return 0;
  cleanup_close int from = open_parent(tree, entry->target);
  if (from < 0)
    return -1;
  /* The tree began empty: whatever is there came from this archive. */
  if (fstatat(from, base_name(entry->target), &info, AT_SYMLINK_NOFOLLOW) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "hard link to %.150s", entry->target);
  if (S_ISDIR(info.st_mode) || is_whiteout(&info))
    return unpack_bad(tree->report, STAGE, entry->path, "hard link to %.150s, which is no file", entry->target);
  cleanup_close int dir = open_parent(tree, entry->path);
  if (dir < 0 || clear_place(tree, dir, entry->path, false, &whiteout) < 0)
    return -1;
  if (linkat(from, base_name(entry->target), dir, base_name(entry->path), 0) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "hard link to %.150s", entry->target);
  return 0;
}

bool tree_is_whiteout(const char *path)
{
  return strncmp(base_name(path), WHITEOUT, strlen(WHITEOUT)) == 0;
}

int tree_whiteout(struct unpack_tree *tree, const struct unpack_entry *entry)
{
  const char *name = base_name(entry->path);
  struct stat info;
  cleanup_close int dir = open_parent(tree, entry->path);
  if (dir < 0)
    return -1;
  if (strcmp(name, OPAQUE) == 0) {
    char parent[UNPACK_MAX_PATH + 1];
    size_t length = name == entry->path ? 0 : (size_t)(name - entry->path) - 1;
    memcpy(parent, entry->path, length);
    parent[length] = '\0';
    return make_opaque(tree, parent);
  }
  const char *hidden = name + strlen(WHITEOUT);
  if (hidden[0] == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0 ||
      strncmp(hidden, WHITEOUT, strlen(WHITEOUT)) == 0)
    return unpack_bad(tree->report, STAGE, entry->path, "a whiteout of nothing");
  if (fstatat(dir, hidden, &info, AT_SYMLINK_NOFOLLOW) == 0) {
    /* Whiteouts hide what is below; what this very layer brings stays (OCI image-spec, layer.md). */
    if (!S_ISDIR(info.st_mode))
      return 0;
    char path[UNPACK_MAX_PATH + 1];
    int length = snprintf(path, sizeof path, "%.*s%s", (int)(name - entry->path), entry->path, hidden);
    if (length < 0 || (size_t)length >= sizeof path)
      return unpack_bad(tree->report, STAGE, entry->path, "its name is too long");
    return make_opaque(tree, path);
  }
  /* What overlayfs takes for a whiteout; no privilege is needed for this one node (Linux 5.8). */
  if (mknodat(dir, hidden, S_IFCHR, 0) < 0)
    return unpack_sys(tree->report, STAGE, entry->path, "make the whiteout");
  return 0;
}

int tree_finish(struct unpack_tree *tree)
{
  for (size_t i = tree->directories.count; i-- > 0;) {
    const char *path = tree->directories.items[i];
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, tree->directories.times[i] };
    cleanup_close int dir = fd_open_plain(tree->root, path[0] == '\0' ? "/" : path, O_RDONLY | O_DIRECTORY);
    /* A later entry may have taken its place. */
    if (dir < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
      continue;
    if (dir < 0 || futimens(dir, times) < 0)
      return unpack_sys(tree->report, STAGE, path, "time of the directory");
  }
  return 0;
}
