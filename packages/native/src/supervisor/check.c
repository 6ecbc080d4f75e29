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

static void print_process(const struct spec *spec, const struct berth_process *process)
{
  (void)printf("user=%s\n", process->user.length == 0 ? "" : spec_text(spec, process->user));
  print_list(spec, "group", process->groups);
  for (uint32_t i = 0; i < process->rlimits.count; i++) {
    const struct berth_rlimit *limit = spec_item(spec, process->rlimits, i, sizeof *limit);
    (void)printf("rlimit=%u:%" PRIu64 ":%" PRIu64 "\n", limit->resource, limit->soft, limit->hard);
  }
  (void)printf("capabilities=%" PRIx64 ":%" PRIx64 ":%" PRIx64 "\nprocess=%u:%o:%d\n", process->bounding,
               process->inheritable, process->ambient, process->flags, process->umask, process->oom_score_adj);
}

static void print_devices(const struct spec *spec, const struct berth_devices *devices)
{
  for (uint32_t i = 0; i < devices->nodes.count; i++) {
    const struct berth_device *device = spec_item(spec, devices->nodes, i, sizeof *device);
    (void)printf("device=%s:%c:%u:%u:%o:%u:%u:%u\n", spec_text(spec, device->path), (char)device->type, device->major,
                 device->minor, device->mode, device->uid, device->gid, device->access);
  }
}

static void print_namespaces(const struct spec *spec, const struct berth_namespaces *namespaces)
{
  for (uint32_t i = 0; i < namespaces->joins.count; i++) {
    const struct berth_join *join = spec_item(spec, namespaces->joins, i, sizeof *join);
    (void)printf("join=%x:%u\n", join->kind, join->fd);
  }
  (void)printf("namespaces=%s:%u:%" PRId64 ":%" PRId64 "\n",
               namespaces->domainname.length == 0 ? "" : spec_text(spec, namespaces->domainname), namespaces->flags,
               namespaces->monotonic_ms, namespaces->boottime_ms);
}

static void print_network(const struct spec *spec, const struct berth_network *network)
{
  (void)printf("network=%u:%s:%s:%08x/%u:%08x:%u:%u:%" PRIu64 ":%" PRIu64 "\n", network->kind,
               spec_text(spec, network->link), spec_text(spec, network->bridge), network->address, network->prefix,
               network->gateway, network->mtu, network->flags, network->egress_bytes_per_second,
               network->ingress_bytes_per_second);
}

static void print_sections(const struct spec *spec)
{
  const void *section;
  if ((section = spec_section(spec, BERTH_SECTION_PROCESS)) != NULL)
    print_process(spec, section);
  if ((section = spec_section(spec, BERTH_SECTION_DEVICES)) != NULL)
    print_devices(spec, section);
  if ((section = spec_section(spec, BERTH_SECTION_NAMESPACES)) != NULL)
    print_namespaces(spec, section);
  if ((section = spec_section(spec, BERTH_SECTION_NETWORK)) != NULL)
    print_network(spec, section);
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
  (void)printf("stopSignal=%u\n", header->stop_signal);
  print_list(&spec, "layer", header->layers);
  print_list(&spec, "arg", header->argv);
  print_list(&spec, "env", header->env);
  for (uint32_t i = 0; i < header->mounts.count; i++) {
    const struct berth_mount *mount = spec_mount(&spec, i);
    (void)printf("mount=%u:%s:%s:%u:%" PRIu64 ":%u:%o\n", mount->kind,
                 mount->source.length == 0 ? "" : spec_text(&spec, mount->source), spec_text(&spec, mount->target),
                 mount->flags, mount->size, mount->inodes, mount->mode);
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
  print_sections(&spec);
  return fflush(stdout) == 0 ? 0 : 74;
}
