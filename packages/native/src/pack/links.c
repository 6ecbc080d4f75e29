/* Which file was told under which name: a table by device and inode, open addressing, half full at most. */
#include <stdlib.h>
#include <string.h>

#include "pack.h"

#define FIRST_ROOM 256u

struct link {
  dev_t dev;
  ino_t ino;
  char *path; /* NULL: free */
};

struct links {
  struct link *table;
  size_t room; /* a power of two */
  size_t count;
};

static size_t place_of(dev_t dev, ino_t ino, size_t room)
{
  uint64_t mixed = ((uint64_t)ino ^ ((uint64_t)dev << 32)) * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t)(mixed >> 20) & (room - 1);
}

static struct link *slot_of(struct link *table, size_t room, dev_t dev, ino_t ino)
{
  size_t at = place_of(dev, ino, room);
  while (table[at].path != NULL && (table[at].dev != dev || table[at].ino != ino))
    at = (at + 1) & (room - 1);
  return &table[at];
}

struct links *links_new(void)
{
  struct links *links = calloc(1, sizeof *links);
  if (links == NULL)
    return NULL;
  links->room = FIRST_ROOM;
  links->table = calloc(links->room, sizeof *links->table);
  if (links->table == NULL) {
    free(links);
    return NULL;
  }
  return links;
}

void links_free(struct links *links)
{
  if (links == NULL)
    return;
  for (size_t i = 0; i < links->room; i++)
    free(links->table[i].path);
  free(links->table);
  free(links);
}

static int grow(struct links *links)
{
  size_t room = links->room * 2;
  struct link *table = calloc(room, sizeof *table);
  if (table == NULL)
    return -1;
  for (size_t i = 0; i < links->room; i++)
    if (links->table[i].path != NULL)
      *slot_of(table, room, links->table[i].dev, links->table[i].ino) = links->table[i];
  free(links->table);
  links->table = table;
  links->room = room;
  return 0;
}

const char *links_find(struct links *links, dev_t dev, ino_t ino, const char *path, int *failed)
{
  *failed = 0;
  struct link *slot = slot_of(links->table, links->room, dev, ino);
  if (slot->path != NULL)
    return slot->path;
  if (links->count * 2 >= links->room) {
    if (grow(links) < 0) {
      *failed = -1;
      return NULL;
    }
    slot = slot_of(links->table, links->room, dev, ino);
  }
  slot->path = strdup(path);
  if (slot->path == NULL) {
    *failed = -1;
    return NULL;
  }
  slot->dev = dev;
  slot->ino = ino;
  links->count++;
  return NULL;
}
