#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "fd.h"
#include "spec.h"

static void print_list(const struct spec *spec, const char *name, struct berth_list list)
{
  for (uint32_t i = 0; i < list.count; i++)
    (void)printf("%s=%s\n", name, spec_string(spec, list, i));
}

int check_spec_main(void)
{
  static _Alignas(8) unsigned char bytes[BERTH_SPEC_MAX_BYTES + 1];
  size_t size = 0;
  while (size < sizeof bytes) {
    ssize_t more = RETRY_INTR(read(STDIN_FILENO, bytes + size, sizeof bytes - size));
    if (more < 0)
      return 74;
    if (more == 0)
      break;
    size += (size_t)more;
  }
  struct spec spec;
  struct err err;
  if (spec_decode(&spec, bytes, size, &err) < 0) {
    (void)printf("refused %s %d %s\n", err.stage, err.number, err.detail);
    return 65;
  }
  const struct berth_spec *header = spec.header;
  (void)printf("id=%s\nhostname=%s\nworkdir=%s\ncgroupParent=%s\n", spec.id, spec.hostname, spec.workdir,
               spec.cgroup_parent);
  (void)printf("flags=%u\nidBase=%u\nshmBytes=%" PRIu64 "\n", header->flags, header->id_base, header->shm_bytes);
  (void)printf("logBytes=%" PRIu64 "\nlogPerSecond=%" PRIu64 "\nlogFiles=%u\nstdio=%u\nterminalSize=%u\n",
               header->log_bytes, header->log_per_second, header->log_files, header->stdio, header->terminal_size);
  print_list(&spec, "layer", header->layers);
  print_list(&spec, "arg", header->argv);
  print_list(&spec, "env", header->env);
  for (uint32_t i = 0; i < header->mounts.count; i++) {
    const struct berth_mount *mount = spec_mount(&spec, i);
    (void)printf("mount=%s:%s:%u\n", spec_text(&spec, mount->source), spec_text(&spec, mount->target), mount->flags);
  }
  for (uint32_t i = 0; i < header->hierarchies.count; i++) {
    const struct berth_hierarchy *hierarchy = spec_hierarchy(&spec, i);
    (void)printf("hierarchy=%s:%u:%u\n", spec_text(&spec, hierarchy->path), hierarchy->version,
                 hierarchy->controllers);
  }
  for (uint32_t i = 0; i < header->cgroup_writes.count; i++) {
    const struct berth_cgroup_write *each = spec_cgroup_write(&spec, i);
    (void)printf("cgroupWrite=%u:%s:%s\n", each->hierarchy, spec_text(&spec, each->file),
                 spec_text(&spec, each->value));
  }
  return fflush(stdout) == 0 ? 0 : 74;
}
