/*
 * One layer archive becomes one directory tree. The archive is hostile: it is read by a process that owns nothing but
 * that directory (jail.c), every path is resolved by openat2(2) inside of it (tree.c), and everything is bounded.
 */
#ifndef BERTH_UNPACK_H
#define BERTH_UNPACK_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

/* File descriptors that the program is born with. */
enum unpack_fd {
  UNPACK_FD_BLOB = 0,   /* the archive, compressed or not */
  UNPACK_FD_RESULT = 1, /* one line of JSON */
  UNPACK_FD_TREE = 3,   /* an empty directory */
};

struct unpack_limits {
  uint64_t bytes;   /* of all files together; holes count */
  uint64_t entries; /* of the archive */
  uint64_t depth;   /* components of a path */
  uint64_t ratio;   /* unpacked bytes per byte of the blob, once UNPACK_RATIO_FREE is exceeded */
  uint64_t id_base; /* on disk, of what the archive calls 0 */
  bool plain;       /* no layer: `.wh.` is how a name may begin, and nobody asks for a seal */
};

#define UNPACK_RATIO_FREE (UINT64_C(64) << 20)
#define UNPACK_IDS 65536u
#define UNPACK_MAX_PATH 4095u
#define UNPACK_DIGEST_HEX 64u
/* Whatever the limits say: descriptors of a walk. */
#define UNPACK_MAX_DEPTH 1000u

/* What the inner process tells the outer one, as plain bytes through a pipe. */
struct unpack_report {
  bool ok;
  int number; /* errno, 0 when the kernel was not involved */
  char stage[32];
  char entry[512]; /* the start of the name of the entry it was about */
  char detail[220];
  char digest[UNPACK_DIGEST_HEX + 1]; /* sha256 of the archive without its compression */
  char seal[UNPACK_DIGEST_HEX + 1];   /* of the tree, see seal.c */
  uint64_t entries;
  uint64_t bytes;
  uint64_t devices_skipped;
  uint64_t xattrs_skipped;
  uint64_t opaque; /* directories: so many NUL-terminated paths follow the report */
};

/* Fill the report and return -1. unpack_sys takes errno as it is now. */
int unpack_sys(struct unpack_report *report, const char *stage, const char *entry, const char *format, ...)
  __attribute__((format(printf, 4, 5)));
int unpack_bad(struct unpack_report *report, const char *stage, const char *entry, const char *format, ...)
  __attribute__((format(printf, 4, 5)));

/* Two digits a byte, at most UNPACK_DIGEST_HEX of them. */
void unpack_hex(const unsigned char *bytes, unsigned length, char hex[UNPACK_DIGEST_HEX + 1]);

/* One line of JSON. -1 when it cannot be written. */
int unpack_print(FILE *out, const struct unpack_report *report);

/* The names in a directory, sorted by their bytes. -1 with errno; what was read so far is to be freed all the same. */
int names_read(DIR *stream, char ***names, size_t *count);
void names_sort(char **names, size_t count);
void names_free(char **names, size_t count);

/* Paths that are needed once everything is there. */
struct unpack_paths {
  char **items;
  struct timespec *times; /* only of directories whose times are to be set */
  size_t count;
  size_t room;
};

int unpack_paths_add(struct unpack_paths *paths, const char *path, const struct timespec *time);

/* The tree that is being made. `root` is its top directory. */
struct unpack_tree {
  int root;
  struct unpack_paths opaque;
  struct unpack_paths directories;
  struct unpack_report *report;
};

struct unpack_entry {
  const char *path;   /* checked: relative, no "..", no empty component; "" is the top */
  const char *target; /* of a link */
  mode_t type;        /* S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO */
  mode_t mode;
  uid_t uid;
  gid_t gid;
  struct timespec mtime;
  uint64_t size;
};

/* -1 with the report filled. `file` of a regular file is a descriptor to write to, the caller closes it. */
int tree_directory(struct unpack_tree *tree, const struct unpack_entry *entry);
int tree_file(struct unpack_tree *tree, const struct unpack_entry *entry, int *file);
/* After the content was written. */
int tree_finish_file(struct unpack_tree *tree, const struct unpack_entry *entry, int file);
int tree_symlink(struct unpack_tree *tree, const struct unpack_entry *entry);
int tree_hardlink(struct unpack_tree *tree, const struct unpack_entry *entry);
int tree_fifo(struct unpack_tree *tree, const struct unpack_entry *entry);
/* `.wh.NAME` and `.wh..wh..opq` of the OCI image format become what overlayfs understands. */
int tree_whiteout(struct unpack_tree *tree, const struct unpack_entry *entry);
bool tree_is_whiteout(const char *path);
/* Times of directories, which making their content has changed. */
int tree_finish(struct unpack_tree *tree);

/* Reads the whole archive from `blob` into `tree`. */
int archive_unpack(int blob, uint64_t blob_size, const struct unpack_limits *limits, struct unpack_tree *tree);

/* The seal of a finished tree; counts entries and bytes in the report. */
int tree_seal(int root, struct unpack_report *report, char seal[UNPACK_DIGEST_HEX + 1]);

/* Sees nothing but `tree` from now on, with these capabilities and under the containers' system call filter. */
int jail_confine(int tree, uint32_t capabilities, struct unpack_report *report);
/* Gives up everything but the directory `tree` and the descriptors 0 and `report_fd`; needs a written user map. */
int jail_enter(int tree, const struct unpack_limits *limits, struct unpack_report *report);

#endif
