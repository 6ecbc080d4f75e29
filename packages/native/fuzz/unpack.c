/*
 * Any archive: whatever it holds, nothing appears or changes outside of its tree, and what is in it is what a layer may
 * have. Few inputs would get past the checksums of tar, so most are a script: a few bytes an entry, with names that meet
 * each other, links that lead out, and whiteouts. One input in eight is taken for an archive as it is.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_IN "/dev/shm"
#include "../src/unpack/unpack.h"
#include "fuzz.h"
#include "scratch.h"

#define BLOCK 512u
#define ENTRIES 24u

static const struct unpack_limits limits = { .bytes = 1 << 20, .entries = 64, .depth = 8, .ratio = 200 };
static int outside = -1;
static char inside[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  outside = scratch_directory();
  int canary = openat(outside, "canary", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  must(canary >= 0 && write(canary, "sings", 5) == 5 && close(canary) == 0);
  (void)snprintf(inside, sizeof inside, "%s/in", scratch);
  return 0;
}

/* Short names of few letters, the ones that matter, and now and then a byte that is no UTF-8. */
static void name_of(uint8_t byte, char *name)
{
  static const char *const parts[] = { "a",       "b",            "c",  "a/b", "a/b/c", "..",     ".wh.a", "a/.wh..wh..opq",
                                       "a/.wh.b", ".wh..wh..opq", "/a", ".",   "",      "a/../b", "./a",   ".wh." };
  static const char *const links[] = { "../canary", "..", "/", "a", "b", "a/b", "l", "../../../.." };
  const char *text = byte < 128 ? parts[byte % 16] : links[byte % 8];
  size_t length = strlen(text);
  memcpy(name, text, length);
  if ((byte & 0x60) == 0x60)
    name[length] = (char)byte;
}

/* Four bytes become one entry: type, name, link or size, owner and mode. */
static void add_entry(FILE *archive, const uint8_t *script)
{
  static const char types[] = "0000012253465755";
  char header[BLOCK] = { 0 };
  char content[BLOCK];
  unsigned sum = 0;
  char type = types[script[0] % 16];
  size_t size = type == '0' ? script[2] * 5u : 0;
  name_of(script[1], header);
  (void)snprintf(header + 100, 8, "%07o", (script[3] & 7u) * 01111u);
  (void)snprintf(header + 108, 8, "%07o", (script[3] & 8u) != 0 ? 0277777u : script[3]);
  (void)snprintf(header + 116, 8, "%07o", 0u);
  (void)snprintf(header + 124, 12, "%011o", (script[0] & 0xf0) == 0xf0 ? 07777777777u : (unsigned)size);
  (void)snprintf(header + 136, 12, "%011o", 1u);
  header[156] = type;
  if (type == '1' || type == '2')
    name_of(script[2], header + 157);
  memcpy(header + 257, "ustar\0" "00", 8);
  memset(header + 148, ' ', 8);
  for (size_t i = 0; i < sizeof header; i++)
    sum += (unsigned char)header[i];
  (void)snprintf(header + 148, 8, "%06o", sum);
  must(fwrite(header, sizeof header, 1, archive) == 1);
  memset(content, script[2], sizeof content);
  for (size_t done = 0; done < size; done += BLOCK)
    must(fwrite(content, sizeof content, 1, archive) == 1);
}

static int archive_of(const uint8_t *data, size_t size)
{
  int blob = memfd_create("archive", MFD_CLOEXEC);
  must(blob >= 0);
  FILE *archive = fdopen(dup(blob), "w");
  must(archive != NULL);
  if (data[0] % 8 == 0)
    must(size == 1 || fwrite(data + 1, size - 1, 1, archive) == 1);
  else
    for (size_t at = 1, count = 0; at + 4 <= size && count < ENTRIES; at += 4, count++)
      add_entry(archive, data + at);
  must(fclose(archive) == 0 && lseek(blob, 0, SEEK_SET) == 0);
  return blob;
}

static int look(const char *path, const struct stat *info, int kind, struct FTW *where)
{
  (void)path;
  (void)kind;
  (void)where;
  must(S_ISREG(info->st_mode) || S_ISDIR(info->st_mode) || S_ISLNK(info->st_mode) || S_ISFIFO(info->st_mode) ||
       (S_ISCHR(info->st_mode) && info->st_rdev == 0));
  must(info->st_uid <= 65535 && info->st_gid <= 65535);
  must(!S_ISREG(info->st_mode) || (uint64_t)info->st_size <= limits.bytes);
  return 0;
}

static int take_away(const char *path, const struct stat *info, int kind, struct FTW *where)
{
  (void)info;
  (void)kind;
  (void)where;
  must(remove(path) == 0);
  return 0;
}

static void check_outside(void)
{
  struct stat info;
  char song[8];
  must(fstat(outside, &info) == 0 && info.st_nlink == 3);
  int canary = openat(outside, "canary", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  must(canary >= 0 && fstat(canary, &info) == 0 && info.st_nlink == 1 && info.st_mode == (S_IFREG | 0600));
  must(read(canary, song, sizeof song) == 5 && memcmp(song, "sings", 5) == 0 && close(canary) == 0);
}

static void free_paths(struct unpack_paths *paths)
{
  for (size_t i = 0; i < paths->count; i++)
    free(paths->items[i]);
  free(paths->items);
  free(paths->times);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct unpack_report report = { 0 };
  struct stat info;
  if (size == 0)
    return 0;
  must(mkdir(inside, 0700) == 0);
  int root = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int blob = archive_of(data, size);
  must(root >= 0 && fstat(blob, &info) == 0);
  struct unpack_tree tree = { .root = root, .report = &report };
  if (archive_unpack(blob, (uint64_t)info.st_size, &limits, &tree) == 0) {
    struct unpack_report ignored = { 0 };
    char once[UNPACK_DIGEST_HEX + 1], twice[UNPACK_DIGEST_HEX + 1];
    must(strlen(report.digest) == UNPACK_DIGEST_HEX && report.entries <= limits.entries);
    must(tree_seal(root, &ignored, once) == 0 && tree_seal(root, &ignored, twice) == 0 && strcmp(once, twice) == 0);
  } else {
    must(report.stage[0] != '\0' && report.detail[0] != '\0');
  }
  check_outside();
  must(nftw(inside, look, 16, FTW_PHYS) == 0 && nftw(inside, take_away, 16, FTW_PHYS | FTW_DEPTH) == 0);
  free_paths(&tree.opaque);
  free_paths(&tree.directories);
  must(close(root) == 0 && close(blob) == 0);
  return 0;
}
