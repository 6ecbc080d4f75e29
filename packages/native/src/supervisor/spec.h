/* A spec that was checked: every string and array is a pointer into the mapped buffer and stays valid as long as it. */
#ifndef BERTH_SUPERVISOR_SPEC_H
#define BERTH_SUPERVISOR_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../include/spec.h"
#include "err.h"

struct spec {
  const unsigned char *bytes;
  size_t size;
  const struct berth_spec *header; /* NULL: not a spec */
  const char *id;
  const char *hostname;
  const char *workdir;
  const char *cgroup_parent;
};

/* Checks all of `bytes` and fills `spec`; reads nothing outside of it, whatever it holds. */
int spec_decode(struct spec *spec, const unsigned char *bytes, size_t size, struct err *err);
/* Maps a sealed memfd and decodes it. Without the seals the bytes could change after they were checked. */
int spec_map(struct spec *spec, int fd, struct err *err);
/* It may hold secrets: as long as one process has it locked, it is swapped out from none. Where locking is not allowed it can
   be, like all memory. */
void spec_lock(const struct spec *spec);
void spec_unmap(struct spec *spec);

/* Item `index` of a checked list of items of `size` bytes. */
const void *spec_item(const struct spec *spec, struct berth_list list, uint32_t index, size_t size);
/* NULL when it is absent. */
const void *spec_section(const struct spec *spec, enum berth_section section);
const void *spec_at(const struct spec *spec, uint32_t offset);
const char *spec_string(const struct spec *spec, struct berth_list list, uint32_t index);
const struct berth_mount *spec_mount(const struct spec *spec, uint32_t index);
const struct berth_hierarchy *spec_hierarchy(const struct spec *spec, uint32_t index);
const struct berth_cgroup_write *spec_cgroup_write(const struct spec *spec, uint32_t index);
const char *spec_text(const struct spec *spec, struct berth_ref ref);
/* Its program is an init with a cgroup tree, mounts and users of its own. */
bool spec_is_machine(const struct spec *spec);

#endif
