/*
 * Walks a tree and writes what it finds, in the order of names, so that the same tree is the same archive. What a
 * container's kernel keeps there in its own way is told as the OCI image format tells it (image-spec, layer.md): deleted
 * names as `.wh.NAME`, a directory that hides what lies below it by `.wh..wh..opq`. Sockets mean nothing in an archive.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../supervisor/fd.h"
#include "pack.h"

#define STAGE "pack.entry"
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define MAX_XATTRS 65536u

struct packer {
  const struct pack_wish *wish;
  struct unpack_report *report;
  struct archive *out;
  struct archive_entry *entry;
  struct links *links;
  uint64_t written;
  bool too_much;
  size_t length; /* of path */
  char path[UNPACK_MAX_PATH + 256];
  unsigned char block[PACK_BLOCK];
};

static int pack_directory(struct packer *packer, int dir, unsigned depth);

static la_ssize_t write_frame(struct archive *out, void *context, const void *bytes, size_t length)
{
  struct packer *packer = context;
  if (length == 0)
    return 0;
  packer->written += length;
  if (packer->written > packer->wish->bytes) {
    packer->too_much = true;
    archive_set_error(out, EFBIG, "the archive grows beyond its limit");
    return -1;
  }
  const unsigned char head[4] = { (unsigned char)length, (unsigned char)(length >> 8), (unsigned char)(length >> 16),
                                  (unsigned char)(length >> 24) };
  if (fd_write_all(PACK_FD_OUT, head, sizeof head) < 0 || fd_write_all(PACK_FD_OUT, bytes, length) < 0) {
    archive_set_error(out, errno, "nobody takes the archive any more");
    return -1;
  }
  return (la_ssize_t)length;
}

static int refused(struct packer *packer)
{
  if (packer->too_much)
    return unpack_bad(packer->report, "pack.limit", packer->path, "the archive has more than %llu bytes",
                      (unsigned long long)packer->wish->bytes);
  const char *text = archive_error_string(packer->out);
  return unpack_bad(packer->report, STAGE, packer->path, "%.200s", text == NULL ? "cannot be written" : text);
}

/* Ids of the container's range are told as it sees them; what it did not write has those of its image already. */
static uid_t own_id(const struct packer *packer, uid_t id)
{
  uid_t base = packer->wish->id_base;
  return id >= base && id - base < PACK_IDS ? id - base : id;
}

/* A warning is a name that is no text: it is told as the bytes that it is. */
static int put_header(struct packer *packer)
{
  int state = archive_write_header(packer->out, packer->entry);
  if (state != ARCHIVE_OK && state != ARCHIVE_WARN)
    return refused(packer);
  packer->report->entries++;
  return 0;
}

static void describe(struct packer *packer, const struct stat *info, const char *path)
{
  struct archive_entry *entry = packer->entry;
  archive_entry_clear(entry);
  archive_entry_copy_pathname(entry, path);
  archive_entry_set_mode(entry, info->st_mode);
  archive_entry_set_uid(entry, own_id(packer, info->st_uid));
  archive_entry_set_gid(entry, own_id(packer, info->st_gid));
  archive_entry_set_mtime(entry, info->st_mtim.tv_sec, info->st_mtim.tv_nsec);
  archive_entry_set_size(entry, S_ISREG(info->st_mode) ? info->st_size : 0);
}

/* A capability of the container's own root is told without saying whose root that was (capabilities(7), version 3). */
static ssize_t plain_capability(const struct packer *packer, char *value, ssize_t size)
{
  struct vfs_ns_cap_data *caps = (struct vfs_ns_cap_data *)(void *)value;
  if (size != (ssize_t)sizeof *caps || (caps->magic_etc & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3)
    return size;
  if (own_id(packer, caps->rootid) != 0)
    return -1;
  caps->magic_etc = (caps->magic_etc & ~(uint32_t)VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_2;
  return (ssize_t)sizeof(struct vfs_cap_data);
}

static int describe_xattrs(struct packer *packer, int file)
{
  static char list[MAX_XATTRS];
  static _Alignas(8) char value[MAX_XATTRS];
  char *names[1024];
  size_t count = 0;
  ssize_t size = flistxattr(file, list, sizeof list);
  if (size < 0)
    return errno == ENOTSUP ? 0 : unpack_sys(packer->report, STAGE, packer->path, "list extended attributes");
  for (char *name = list; name < list + size; name += strlen(name) + 1) {
    bool user = strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0;
    if ((user || strcmp(name, "security.capability") == 0) && count < sizeof names / sizeof *names)
      names[count++] = name;
    else if (strncmp(name, "trusted.overlay.", 16) != 0)
      packer->report->xattrs_skipped++;
  }
  names_sort(names, count);
  for (size_t i = 0; i < count; i++) {
    ssize_t got = fgetxattr(file, names[i], value, sizeof value);
    if (got < 0 && errno == ENODATA)
      continue;
    if (got < 0)
      return unpack_sys(packer->report, STAGE, packer->path, "extended attribute %.60s", names[i]);
    if (names[i][0] == 's')
      got = plain_capability(packer, value, got);
    if (got >= 0)
      archive_entry_xattr_add_entry(packer->entry, names[i], value, (size_t)got);
  }
  return 0;
}

/* An empty file with this name beside the present path: what OCI has instead of a mark. */
static int put_mark(struct packer *packer, const struct stat *info, size_t above, const char *prefix, const char *name)
{
  char path[sizeof packer->path + sizeof WHITEOUT];
  struct stat mark = { .st_mode = S_IFREG | 0600, .st_uid = packer->wish->id_base, .st_gid = packer->wish->id_base };
  mark.st_mtim = info->st_mtim;
  (void)snprintf(path, sizeof path, "%.*s%s%s%s", (int)above, packer->path, above == 0 ? "" : "/", prefix, name);
  describe(packer, &mark, path);
  return put_header(packer);
}

/* As many bytes as were announced: what is missing of a file that shrinks meanwhile is zeros, what is more is left. */
static int put_content(struct packer *packer, int file, uint64_t size)
{
  for (uint64_t left = size; left > 0;) {
    size_t want = left < sizeof packer->block ? (size_t)left : sizeof packer->block;
    ssize_t got = RETRY_INTR(read(file, packer->block, want));
    if (got < 0)
      return unpack_sys(packer->report, STAGE, packer->path, "read");
    if (got == 0)
      break;
    if (archive_write_data(packer->out, packer->block, (size_t)got) != got)
      return refused(packer);
    left -= (uint64_t)got;
  }
  if (archive_write_finish_entry(packer->out) != ARCHIVE_OK)
    return refused(packer);
  packer->report->bytes += size;
  return 0;
}

/* Whether it is told as another name of one that was told before; fills the entry. -1 with the report. */
static int is_told(struct packer *packer, const struct stat *info)
{
  int failed = 0;
  if (info->st_nlink < 2)
    return 0;
  const char *first = links_find(packer->links, info->st_dev, info->st_ino, packer->path, &failed);
  if (failed < 0)
    return unpack_bad(packer->report, STAGE, packer->path, "out of memory");
  if (first == NULL)
    return 0;
  archive_entry_set_size(packer->entry, 0);
  archive_entry_copy_hardlink(packer->entry, first);
  return 1;
}

/* Gone, or something else by now: it is told with what it has become, or not at all. */
static bool is_gone(void)
{
  return errno == ENOENT || errno == ELOOP || errno == ENOTDIR;
}

static int pack_file(struct packer *packer, int dir, const char *name)
{
  struct stat info;
  cleanup_close int file = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
  if (file < 0)
    return is_gone() ? 0 : unpack_sys(packer->report, STAGE, packer->path, "open it");
  if (fstat(file, &info) < 0)
    return unpack_sys(packer->report, STAGE, packer->path, "look at it");
  if (!S_ISREG(info.st_mode))
    return 0;
  describe(packer, &info, packer->path);
  int told = is_told(packer, &info);
  if (told != 0)
    return told < 0 ? -1 : put_header(packer);
  if (describe_xattrs(packer, file) < 0 || put_header(packer) < 0)
    return -1;
  return put_content(packer, file, (uint64_t)info.st_size);
}

static int pack_link(struct packer *packer, int dir, const char *name, const struct stat *info)
{
  char target[UNPACK_MAX_PATH + 1];
  ssize_t length = readlinkat(dir, name, target, sizeof target - 1);
  if (length < 0)
    return is_gone() || errno == EINVAL ? 0 : unpack_sys(packer->report, STAGE, packer->path, "read the link");
  target[length] = '\0';
  describe(packer, info, packer->path);
  int told = is_told(packer, info);
  if (told == 0)
    archive_entry_copy_symlink(packer->entry, target);
  return told < 0 ? -1 : put_header(packer);
}

static int pack_subdirectory(struct packer *packer, int dir, const char *name, unsigned depth)
{
  struct stat info;
  char opaque[2] = "";
  int self = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
  if (self < 0)
    return is_gone() ? 0 : unpack_sys(packer->report, STAGE, packer->path, "open it");
  if (fstat(self, &info) < 0) {
    (void)unpack_sys(packer->report, STAGE, packer->path, "look at it");
    (void)close(self);
    return -1;
  }
  describe(packer, &info, packer->path);
  bool hides = packer->wish->layer && fgetxattr(self, "trusted.overlay.opaque", opaque, sizeof opaque) == 1 &&
               opaque[0] == 'y';
  if (describe_xattrs(packer, self) < 0 || put_header(packer) < 0 ||
      (hides && put_mark(packer, &info, packer->length, "", OPAQUE) < 0)) {
    (void)close(self);
    return -1;
  }
  return pack_directory(packer, self, depth + 1);
}

static int pack_entry(struct packer *packer, int dir, const char *name, size_t above, unsigned depth)
{
  struct stat info;
  if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
    return is_gone() ? 0 : unpack_sys(packer->report, STAGE, packer->path, "look at it");
  if (packer->wish->layer && S_ISCHR(info.st_mode) && info.st_rdev == 0)
    return put_mark(packer, &info, above, WHITEOUT, name);
  if (packer->wish->layer && strncmp(name, WHITEOUT, sizeof WHITEOUT - 1) == 0)
    return unpack_bad(packer->report, STAGE, packer->path, "in a layer, a name that begins with " WHITEOUT " deletes");
  switch (info.st_mode & S_IFMT) {
  case S_IFDIR:
    return pack_subdirectory(packer, dir, name, depth);
  case S_IFREG:
    return pack_file(packer, dir, name);
  case S_IFLNK:
    return pack_link(packer, dir, name, &info);
  case S_IFIFO: {
    describe(packer, &info, packer->path);
    return is_told(packer, &info) < 0 ? -1 : put_header(packer);
  }
  default:
    packer->report->devices_skipped++;
    return 0;
  }
}

/* Owns `dir` afterwards. */
static int pack_directory(struct packer *packer, int dir, unsigned depth)
{
  char **names = NULL;
  size_t count = 0;
  int result = -1;
  size_t before = packer->length;
  DIR *stream = fdopendir(dir);
  if (stream == NULL) {
    (void)unpack_sys(packer->report, STAGE, packer->path, "fdopendir");
    (void)close(dir);
    return -1;
  }
  if (depth > UNPACK_MAX_DEPTH) {
    (void)unpack_bad(packer->report, STAGE, packer->path, "more than %u directories deep", UNPACK_MAX_DEPTH);
    goto done;
  }
  if (names_read(stream, &names, &count) < 0) {
    (void)unpack_sys(packer->report, STAGE, packer->path, "read the directory");
    goto done;
  }
  for (size_t i = 0; i < count; i++) {
    size_t length = strlen(names[i]);
    size_t start = before == 0 ? 0 : before + 1;
    if (start + length > UNPACK_MAX_PATH) {
      (void)unpack_bad(packer->report, STAGE, packer->path, "a path in it is too long");
      goto done;
    }
    if (before > 0)
      packer->path[before] = '/';
    memcpy(packer->path + start, names[i], length + 1);
    packer->length = start + length;
    if (pack_entry(packer, dir, names[i], before, depth) < 0)
      goto done;
    packer->length = before;
    packer->path[before] = '\0';
  }
  result = 0;
done:
  names_free(names, count);
  (void)closedir(stream);
  return result;
}

static int packer_open(struct packer *packer)
{
  packer->out = archive_write_new();
  packer->entry = archive_entry_new();
  packer->links = links_new();
  if (packer->out == NULL || packer->entry == NULL || packer->links == NULL)
    return unpack_bad(packer->report, STAGE, "", "out of memory");
  /* Plain tar wherever that says all there is to say; the last block is not filled up. */
  if (archive_write_set_format_pax_restricted(packer->out) != ARCHIVE_OK ||
      archive_write_set_options(packer->out, "xattrheader=SCHILY") != ARCHIVE_OK ||
      archive_write_set_bytes_per_block(packer->out, PACK_BLOCK) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(packer->out, 1) != ARCHIVE_OK ||
      archive_write_open(packer->out, packer, NULL, write_frame, NULL) != ARCHIVE_OK)
    return refused(packer);
  return 0;
}

/* Whose it is matters to whoever is to write in it elsewhere. */
static int pack_top(struct packer *packer, int dir)
{
  struct stat info;
  if (fstat(dir, &info) < 0)
    return unpack_sys(packer->report, STAGE, "", "look at it");
  describe(packer, &info, ".");
  return describe_xattrs(packer, dir) < 0 ? -1 : put_header(packer);
}

int tree_pack(int root, const struct pack_wish *wish, struct unpack_report *report)
{
  static struct packer packer;
  packer.wish = wish;
  packer.report = report;
  int result = packer_open(&packer);
  if (result == 0) {
    int dir = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
      result = unpack_sys(report, STAGE, "", "open the tree");
    else if (wish->top && pack_top(&packer, dir) < 0) {
      (void)close(dir);
      result = -1;
    } else
      result = pack_directory(&packer, dir, 0);
  }
  if (result == 0 && archive_write_close(packer.out) != ARCHIVE_OK)
    result = refused(&packer);
  if (packer.out != NULL) {
    /* What was not written is not to be written now. */
    if (result < 0)
      (void)archive_write_fail(packer.out);
    (void)archive_write_free(packer.out);
  }
  archive_entry_free(packer.entry);
  links_free(packer.links);
  return result;
}
