/*
 * A directory tree becomes an archive, as a stream: what a container wrote over its image (a layer of the OCI image
 * format), or all that it saw (its root). The tree is hostile and may change meanwhile: directories are opened one below
 * the other by descriptor, never through a link, and by a process that sees nothing else (../unpack/jail.c).
 */
#ifndef BERTH_PACK_H
#define BERTH_PACK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "../unpack/unpack.h"

/* File descriptors that the program is born with. */
enum pack_fd {
  PACK_FD_OUT = 1,  /* frames: four bytes of length, lowest first, and so many; a length of 0, and one line of JSON */
  PACK_FD_TREE = 3, /* what the container wrote */
};

#define PACK_MAX_LAYERS 64u
#define PACK_BLOCK 262144u
#define PACK_IDS 65536u

struct pack_wish {
  bool layer;       /* with what was deleted, as OCI says it; else as it is seen */
  bool top;         /* the directory itself as well */
  uid_t id_base;    /* of the container: its ids are told as it sees them */
  uint64_t bytes;   /* that the archive may have */
};

/* A detached read-only mount of the tree over these layers, topmost first, as the container saw them. -1 with the report. */
int view_open(int tree, char *const *layers, unsigned count, struct unpack_report *report);

/* Files with more than one name: the name that each of them was told under first. */
struct links;
struct links *links_new(void);
void links_free(struct links *links);
/* NULL when it is told for the first time, and remembered as `path` now. -1 in `failed` when there is no memory. */
const char *links_find(struct links *links, dev_t dev, ino_t ino, const char *path, int *failed);

/* The archive of everything below `root` to PACK_FD_OUT, without its end frame. Counts entries and bytes in the report. */
int tree_pack(int root, const struct pack_wish *wish, struct unpack_report *report);

#endif
