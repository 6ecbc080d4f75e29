/*
 * The seal of a tree: one SHA-256 over everything that a container could see of it: names in bytewise order, types, modes,
 * owners, times, link targets, extended attributes, and the digest of each file's content. What was unpacked is compared
 * with it later; a layer whose seal differs was damaged. Reads only: no link is followed, no device opened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../supervisor/fd.h"
#include "unpack.h"

#define STAGE "unpack.seal"
#define BLOCK 262144u
#define MAX_XATTRS 65536u

struct sealer {
  EVP_MD_CTX *all;
  EVP_MD_CTX *content;
  struct unpack_report *report;
  size_t length; /* of path */
  char path[UNPACK_MAX_PATH + 256];
  unsigned char block[BLOCK];
};

static int seal_directory(struct sealer *sealer, int dir, unsigned depth);

static int take(struct sealer *sealer, const void *bytes, size_t size)
{
  return EVP_DigestUpdate(sealer->all, bytes, size) == 1
           ? 0
           : unpack_bad(sealer->report, STAGE, sealer->path, "sha256");
}

/* Only what archives may set, and what makes a directory opaque; the rest belongs to the host. */
static bool is_sealed_xattr(const char *name)
{
  return (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0) ||
         strcmp(name, "trusted.overlay.opaque") == 0;
}

static int seal_xattrs(struct sealer *sealer, int file)
{
  static char list[MAX_XATTRS];
  static char value[MAX_XATTRS];
  char *names[1024];
  size_t count = 0;
  ssize_t size = flistxattr(file, list, sizeof list);
  if (size < 0)
    return errno == ENOTSUP ? 0 : unpack_sys(sealer->report, STAGE, sealer->path, "list extended attributes");
  for (char *name = list; name < list + size; name += strlen(name) + 1)
    if (is_sealed_xattr(name) && count < sizeof names / sizeof *names)
      names[count++] = name;
  names_sort(names, count);
  for (size_t i = 0; i < count; i++) {
    ssize_t got = fgetxattr(file, names[i], value, sizeof value);
    if (got < 0)
      return unpack_sys(sealer->report, STAGE, sealer->path, "extended attribute %.60s", names[i]);
    if (take(sealer, names[i], strlen(names[i]) + 1) < 0 || take(sealer, &got, sizeof got) < 0 ||
        take(sealer, value, (size_t)got) < 0)
      return -1;
  }
  return 0;
}

static int seal_content(struct sealer *sealer, int file, uint64_t size)
{
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  uint64_t done = 0;
  if (EVP_DigestInit_ex(sealer->content, EVP_sha256(), NULL) != 1)
    return unpack_bad(sealer->report, STAGE, sealer->path, "sha256");
  for (;;) {
    ssize_t got = RETRY_INTR(read(file, sealer->block, sizeof sealer->block));
    if (got < 0)
      return unpack_sys(sealer->report, STAGE, sealer->path, "read");
    if (got == 0)
      break;
    done += (uint64_t)got;
    if (EVP_DigestUpdate(sealer->content, sealer->block, (size_t)got) != 1)
      return unpack_bad(sealer->report, STAGE, sealer->path, "sha256");
  }
  if (done != size)
    return unpack_bad(sealer->report, STAGE, sealer->path, "its size changed while it was read");
  if (EVP_DigestFinal_ex(sealer->content, digest, &length) != 1)
    return unpack_bad(sealer->report, STAGE, sealer->path, "sha256");
  sealer->report->bytes += size;
  return take(sealer, digest, length);
}

static int seal_head(struct sealer *sealer, const struct stat *info)
{
  char head[192];
  /* Sizes of directories belong to the file system. */
  long long size = S_ISREG(info->st_mode) ? (long long)info->st_size : 0;
  int length = snprintf(head, sizeof head, "%o %u:%u %lld.%09ld %lld %u:%u", info->st_mode, info->st_uid, info->st_gid,
                        (long long)info->st_mtim.tv_sec, info->st_mtim.tv_nsec, size, major(info->st_rdev),
                        minor(info->st_rdev));
  sealer->report->entries++;
  if (take(sealer, sealer->path, strlen(sealer->path) + 1) < 0)
    return -1;
  return take(sealer, head, (size_t)length + 1);
}

static int seal_entry(struct sealer *sealer, int dir, const char *name, unsigned depth)
{
  struct stat info;
  if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
    return unpack_sys(sealer->report, STAGE, sealer->path, "look at it");
  if (S_ISDIR(info.st_mode)) {
    int self = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (self < 0)
      return unpack_sys(sealer->report, STAGE, sealer->path, "open it");
    return seal_directory(sealer, self, depth + 1);
  }
  if (seal_head(sealer, &info) < 0)
    return -1;
  if (S_ISLNK(info.st_mode)) {
    char target[UNPACK_MAX_PATH + 1];
    ssize_t length = readlinkat(dir, name, target, sizeof target);
    return length < 0 ? unpack_sys(sealer->report, STAGE, sealer->path, "read the link")
                      : take(sealer, target, (size_t)length);
  }
  if (!S_ISREG(info.st_mode))
    return 0;
  cleanup_close int file = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
  if (file < 0)
    return unpack_sys(sealer->report, STAGE, sealer->path, "open it");
  return seal_xattrs(sealer, file) < 0 ? -1 : seal_content(sealer, file, (uint64_t)info.st_size);
}

static int seal_directory(struct sealer *sealer, int dir, unsigned depth)
{
  struct stat info;
  char **names = NULL;
  size_t count = 0;
  int result = -1;
  size_t before = sealer->length;
  DIR *stream = fdopendir(dir);
  if (stream == NULL) {
    (void)close(dir);
    return unpack_sys(sealer->report, STAGE, sealer->path, "fdopendir");
  }
  if (depth > UNPACK_MAX_DEPTH) {
    (void)unpack_bad(sealer->report, STAGE, sealer->path, "more than %u directories deep", UNPACK_MAX_DEPTH);
    goto done;
  }
  if (fstat(dir, &info) < 0) {
    (void)unpack_sys(sealer->report, STAGE, sealer->path, "look at it");
    goto done;
  }
  if (seal_head(sealer, &info) < 0 || seal_xattrs(sealer, dir) < 0)
    goto done;
  if (names_read(stream, &names, &count) < 0) {
    (void)unpack_sys(sealer->report, STAGE, sealer->path, "read the directory");
    goto done;
  }
  for (size_t i = 0; i < count; i++) {
    size_t length = strlen(names[i]);
    if (before + length + 2 > sizeof sealer->path) {
      (void)unpack_bad(sealer->report, STAGE, sealer->path, "a path in it is too long");
      goto done;
    }
    sealer->path[before] = '/';
    memcpy(sealer->path + before + 1, names[i], length + 1);
    sealer->length = before + 1 + length;
    if (seal_entry(sealer, dir, names[i], depth) < 0)
      goto done;
    sealer->length = before;
    sealer->path[before] = '\0';
  }
  result = 0;
done:
  names_free(names, count);
  (void)closedir(stream);
  return result;
}

int tree_seal(int root, struct unpack_report *report, char seal[UNPACK_DIGEST_HEX + 1])
{
  static struct sealer sealer;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  int result = -1;
  sealer.report = report;
  sealer.all = EVP_MD_CTX_new();
  sealer.content = EVP_MD_CTX_new();
  int dir = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0)
    (void)unpack_sys(report, STAGE, "", "open the tree");
  else if (sealer.all == NULL || sealer.content == NULL || EVP_DigestInit_ex(sealer.all, EVP_sha256(), NULL) != 1) {
    (void)close(dir);
    (void)unpack_bad(report, STAGE, "", "out of memory");
  } else if (seal_directory(&sealer, dir, 0) == 0) {
    if (EVP_DigestFinal_ex(sealer.all, digest, &length) == 1) {
      unpack_hex(digest, length, seal);
      result = 0;
    } else
      (void)unpack_bad(report, STAGE, "", "sha256");
  }
  EVP_MD_CTX_free(sealer.all);
  EVP_MD_CTX_free(sealer.content);
  return result;
}
