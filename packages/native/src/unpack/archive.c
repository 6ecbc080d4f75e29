/*
 * The archive as a stream: libarchive undoes the compression, the plain bytes go through SHA-256 (their digest is the
 * `diff_id` of the OCI image format), and libarchive again takes them apart as tar. What an entry wants is checked here,
 * before tree.c does it.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../supervisor/fd.h"
#include "unpack.h"

#define STAGE_READ "unpack.read"
#define STAGE_ENTRY "unpack.entry"
#define MAX_ID 65535
#define MAX_XATTR_BYTES 4096u
#define BLOCK 131072u

struct reader {
  struct archive *plain; /* decompression only */
  struct archive *tar;
  EVP_MD_CTX *hash;
  uint64_t read; /* bytes after decompression */
  uint64_t most; /* that may come */
  bool too_much;
  unsigned char block[BLOCK];
};

/* For a ratio of sizes: headers and padding come on top of the content. */
static uint64_t most_plain(const struct unpack_limits *limits, uint64_t blob_size)
{
  uint64_t most = limits->bytes + limits->entries * 4096;
  uint64_t by_ratio = blob_size > UINT64_MAX / limits->ratio ? UINT64_MAX : blob_size * limits->ratio;
  if (by_ratio < UNPACK_RATIO_FREE)
    by_ratio = UNPACK_RATIO_FREE;
  return by_ratio < most ? by_ratio : most;
}

static la_ssize_t next_block(struct archive *tar, void *context, const void **buffer)
{
  struct reader *reader = context;
  la_ssize_t got = archive_read_data(reader->plain, reader->block, sizeof reader->block);
  if (got < 0) {
    archive_set_error(tar, archive_errno(reader->plain), "%s", archive_error_string(reader->plain));
    return -1;
  }
  reader->read += (uint64_t)got;
  if (reader->read > reader->most) {
    reader->too_much = true;
    archive_set_error(tar, EFBIG, "it grows beyond its limit");
    return -1;
  }
  if (got > 0 && EVP_DigestUpdate(reader->hash, reader->block, (size_t)got) != 1)
    return -1;
  *buffer = reader->block;
  return got;
}

static int archive_bad(struct reader *reader, struct unpack_report *report, struct archive *which, const char *entry)
{
  if (reader->too_much)
    return unpack_bad(report, "unpack.limit", entry, "the archive unpacks to more than %llu bytes",
                      (unsigned long long)reader->most);
  const char *text = archive_error_string(which);
  return unpack_bad(report, STAGE_READ, entry, "%.200s", text == NULL ? "the archive is damaged" : text);
}

static int reader_open(struct reader *reader, int blob, uint64_t blob_size, const struct unpack_limits *limits,
                       struct unpack_report *report)
{
  struct archive_entry *whole;
  reader->plain = archive_read_new();
  reader->tar = archive_read_new();
  reader->hash = EVP_MD_CTX_new();
  reader->read = 0;
  reader->too_much = false;
  reader->most = most_plain(limits, blob_size);
  if (reader->plain == NULL || reader->tar == NULL || reader->hash == NULL ||
      EVP_DigestInit_ex(reader->hash, EVP_sha256(), NULL) != 1)
    return unpack_bad(report, STAGE_READ, "", "out of memory");
  (void)archive_read_support_filter_gzip(reader->plain);
  (void)archive_read_support_filter_zstd(reader->plain);
  (void)archive_read_support_filter_xz(reader->plain);
  (void)archive_read_support_format_raw(reader->plain);
  /* An empty file is no archive at all for libarchive's raw format. */
  if (archive_read_open_fd(reader->plain, blob, BLOCK) != ARCHIVE_OK ||
      archive_read_next_header(reader->plain, &whole) != ARCHIVE_OK)
    return archive_bad(reader, report, reader->plain, "");
  (void)archive_read_support_format_tar(reader->tar);
  if (archive_read_open(reader->tar, reader, NULL, next_block, NULL) != ARCHIVE_OK)
    return archive_bad(reader, report, reader->tar, "");
  return 0;
}

static void reader_close(struct reader *reader)
{
  if (reader->tar != NULL)
    (void)archive_read_free(reader->tar);
  if (reader->plain != NULL)
    (void)archive_read_free(reader->plain);
  EVP_MD_CTX_free(reader->hash);
}

/* What follows the end-of-archive marker belongs to the digest as well. */
static int reader_digest(struct reader *reader, struct unpack_report *report)
{
  const void *ignored;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  la_ssize_t got;
  while ((got = next_block(reader->tar, reader, &ignored)) > 0) {
  }
  if (got < 0)
    return archive_bad(reader, report, reader->tar, "");
  if (EVP_DigestFinal_ex(reader->hash, digest, &length) != 1)
    return unpack_bad(report, STAGE_READ, "", "sha256");
  unpack_hex(digest, length, report->digest);
  return 0;
}

/* "./a//b/" → "a/b". Absolute names, ".." and names that are too long or too deep are refused, not bent. */
static int clean_path(const char *raw, const char *what, const struct unpack_limits *limits, char *path,
                      struct unpack_report *report)
{
  size_t length = 0;
  uint64_t depth = 0;
  if (raw == NULL)
    return unpack_bad(report, STAGE_ENTRY, "", "%s cannot be read", what);
  if (raw[0] == '/')
    return unpack_bad(report, STAGE_ENTRY, raw, "%s is absolute", what);
  for (const char *at = raw; *at != '\0';) {
    size_t part = strcspn(at, "/");
    if (part == 2 && at[0] == '.' && at[1] == '.')
      return unpack_bad(report, STAGE_ENTRY, raw, "%s leads upwards", what);
    if (part > 255 || length + part + 1 > UNPACK_MAX_PATH)
      return unpack_bad(report, STAGE_ENTRY, raw, "%s is too long", what);
    if (part > 0 && !(part == 1 && at[0] == '.')) {
      if (++depth > limits->depth)
        return unpack_bad(report, STAGE_ENTRY, raw, "%s is more than %llu directories deep", what,
                          (unsigned long long)limits->depth);
      if (length > 0)
        path[length++] = '/';
      memcpy(path + length, at, part);
      length += part;
    }
    at += part;
    while (*at == '/')
      at++;
  }
  path[length] = '\0';
  return 0;
}

/* Of a file or a directory. Everything but user.* would mean something to the host's kernel: trusted.* and security.* */
static int set_xattrs(struct archive_entry *from, int file, const char *path, struct unpack_report *report)
{
  const char *name;
  const void *value;
  size_t size;
  (void)archive_entry_xattr_reset(from);
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    if (name == NULL || strncmp(name, "user.", 5) != 0 || strncmp(name, "user.overlay.", 13) == 0) {
      report->xattrs_skipped++;
      continue;
    }
    if (size > MAX_XATTR_BYTES)
      return unpack_bad(report, STAGE_ENTRY, path, "extended attribute %.60s is too long", name);
    if (fsetxattr(file, name, value, size, 0) < 0 && errno != ENOTSUP)
      return unpack_sys(report, STAGE_ENTRY, path, "extended attribute %.60s", name);
  }
  return 0;
}

static int write_content(struct reader *reader, const struct unpack_entry *entry, int file,
                         struct unpack_report *report)
{
  const void *data;
  size_t size;
  la_int64_t offset;
  int state;
  while ((state = archive_read_data_block(reader->tar, &data, &size, &offset)) == ARCHIVE_OK) {
    if (offset < 0 || (uint64_t)offset > entry->size || size > entry->size - (uint64_t)offset)
      return unpack_bad(report, STAGE_ENTRY, entry->path, "more content than its size");
    for (size_t done = 0; done < size;) {
      ssize_t written = RETRY_INTR(pwrite(file, (const char *)data + done, size - done, offset + (la_int64_t)done));
      if (written < 0)
        return unpack_sys(report, STAGE_ENTRY, entry->path, "write");
      done += (size_t)written;
    }
  }
  if (state != ARCHIVE_EOF)
    return archive_bad(reader, report, reader->tar, entry->path);
  /* Holes at the end. */
  if (ftruncate(file, (off_t)entry->size) < 0)
    return unpack_sys(report, STAGE_ENTRY, entry->path, "size");
  return 0;
}

static int add_file(struct reader *reader, struct archive_entry *from, const struct unpack_entry *entry,
                    const struct unpack_limits *limits, struct unpack_tree *tree)
{
  cleanup_close int file = -1;
  if (entry->size > limits->bytes - tree->report->bytes)
    return unpack_bad(tree->report, "unpack.limit", entry->path, "all files together have more than %llu bytes",
                      (unsigned long long)limits->bytes);
  tree->report->bytes += entry->size;
  if (tree_file(tree, entry, &file) < 0 || write_content(reader, entry, file, tree->report) < 0 ||
      set_xattrs(from, file, entry->path, tree->report) < 0)
    return -1;
  return tree_finish_file(tree, entry, file);
}

static int add_entry(struct reader *reader, struct archive_entry *from, const struct unpack_limits *limits,
                     struct unpack_tree *tree)
{
  char path[UNPACK_MAX_PATH + 1] = "", target[UNPACK_MAX_PATH + 1] = "";
  struct unpack_report *report = tree->report;
  if (clean_path(archive_entry_pathname(from), "its name", limits, path, report) < 0)
    return -1;
  la_int64_t uid = archive_entry_uid(from), gid = archive_entry_gid(from), size = archive_entry_size(from);
  struct unpack_entry entry = { .path = path,
                                .type = archive_entry_filetype(from),
                                .mode = archive_entry_perm(from) & 07777,
                                .uid = (uid_t)uid,
                                .gid = (gid_t)gid,
                                .mtime = { .tv_sec = archive_entry_mtime(from),
                                           .tv_nsec = archive_entry_mtime_nsec(from) },
                                .size = size < 0 ? 0 : (uint64_t)size };
  if (uid < 0 || uid > MAX_ID || gid < 0 || gid > MAX_ID)
    return unpack_bad(report, STAGE_ENTRY, path, "owner %lld:%lld is not in 0..%d", (long long)uid, (long long)gid,
                      MAX_ID);
  if (size < 0)
    return unpack_bad(report, STAGE_ENTRY, path, "its size is negative");
  if (path[0] == '\0' && entry.type != S_IFDIR)
    return unpack_bad(report, STAGE_ENTRY, path, "it has no name");
  if (!limits->plain && tree_is_whiteout(path))
    return tree_whiteout(tree, &entry);
  const char *hardlink = archive_entry_hardlink(from);
  if (hardlink != NULL) {
    entry.target = target;
    if (clean_path(hardlink, "the target of its hard link", limits, target, report) < 0)
      return -1;
    return target[0] == '\0' ? unpack_bad(report, STAGE_ENTRY, path, "hard link to nothing")
                             : tree_hardlink(tree, &entry);
  }
  switch (entry.type) {
  case S_IFDIR:
    return tree_directory(tree, &entry);
  case S_IFREG:
    return add_file(reader, from, &entry, limits, tree);
  case S_IFLNK:
    entry.target = archive_entry_symlink(from);
    if (entry.target == NULL || entry.target[0] == '\0' || strlen(entry.target) > UNPACK_MAX_PATH)
      return unpack_bad(report, STAGE_ENTRY, path, "its symbolic link cannot be read");
    return tree_symlink(tree, &entry);
  case S_IFIFO:
    return tree_fifo(tree, &entry);
  case S_IFCHR:
  case S_IFBLK:
    /* Containers get their devices from the runtime; whole distributions carry some that nobody needs. */
    report->devices_skipped++;
    return 0;
  default:
    return unpack_bad(report, STAGE_ENTRY, path, "is of an unknown type");
  }
}

int archive_unpack(int blob, uint64_t blob_size, const struct unpack_limits *limits, struct unpack_tree *tree)
{
  static struct reader reader;
  struct unpack_report *report = tree->report;
  struct archive_entry *entry;
  int result = -1;
  int state = ARCHIVE_EOF;
  if (reader_open(&reader, blob, blob_size, limits, report) < 0)
    goto done;
  while ((state = archive_read_next_header(reader.tar, &entry)) == ARCHIVE_OK || state == ARCHIVE_WARN) {
    if (++report->entries > limits->entries) {
      (void)unpack_bad(report, "unpack.limit", archive_entry_pathname(entry), "more than %llu entries",
                       (unsigned long long)limits->entries);
      goto done;
    }
    if (add_entry(&reader, entry, limits, tree) < 0)
      goto done;
  }
  if (state != ARCHIVE_EOF) {
    (void)archive_bad(&reader, report, reader.tar, "");
    goto done;
  }
  if (reader_digest(&reader, report) == 0 && tree_finish(tree) == 0)
    result = 0;
done:
  reader_close(&reader);
  return result;
}
