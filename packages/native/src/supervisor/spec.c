/*
 * Decides whether bytes are a spec. Nothing of them is used before this file has seen all of them; a wrong byte gives
 * an error that names the field. The rules here are the strict ones: lib/spec.ts may say the same earlier and nicer.
 */
#include "spec_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

const void *spec_at(const struct spec *spec, uint32_t offset)
{
  return spec->bytes + offset;
}

const void *spec_item(const struct spec *spec, struct berth_list list, uint32_t index, size_t size)
{
  return spec->bytes + list.offset + index * size;
}

const void *spec_section(const struct spec *spec, enum berth_section section)
{
  struct berth_ref ref = spec->header->sections[section];
  return ref.length == 0 ? NULL : spec_at(spec, ref.offset);
}

const char *spec_text(const struct spec *spec, struct berth_ref ref)
{
  return spec_at(spec, ref.offset);
}

const char *spec_string(const struct spec *spec, struct berth_list list, uint32_t index)
{
  const struct berth_ref *refs = spec_at(spec, list.offset);
  return spec_text(spec, refs[index]);
}

const struct berth_mount *spec_mount(const struct spec *spec, uint32_t index)
{
  return (const struct berth_mount *)spec_at(spec, spec->header->mounts.offset) + index;
}

const struct berth_hierarchy *spec_hierarchy(const struct spec *spec, uint32_t index)
{
  return (const struct berth_hierarchy *)spec_at(spec, spec->header->hierarchies.offset) + index;
}

const struct berth_cgroup_write *spec_cgroup_write(const struct spec *spec, uint32_t index)
{
  return (const struct berth_cgroup_write *)spec_at(spec, spec->header->cgroup_writes.offset) + index;
}

bool spec_is_machine(const struct spec *spec)
{
  return (spec->header->flags & BERTH_SPEC_MACHINE) != 0;
}

static bool starts_with_dot(const char *path)
{
  for (const char *part = path; part != NULL; part = strchr(part, '/')) {
    if (*part == '/')
      part++;
    if (*part == '.' || *part == '/' || *part == '\0')
      return true;
  }
  return false;
}

static int check_hierarchies(const struct spec *spec, struct err *err)
{
  const uint32_t known = BERTH_CONTROLLER_CPU | BERTH_CONTROLLER_MEMORY | BERTH_CONTROLLER_PIDS |
                         BERTH_CONTROLLER_FREEZER | BERTH_CONTROLLER_CPUACCT | BERTH_CONTROLLER_CPUSET |
                         BERTH_CONTROLLER_IO | BERTH_CONTROLLER_HUGETLB | BERTH_CONTROLLER_DEVICES;
  if (check_list(spec, "hierarchies", spec->header->hierarchies, sizeof(struct berth_hierarchy), 0,
                 BERTH_MAX_HIERARCHIES, err) < 0)
    return -1;
  for (uint32_t i = 0; i < spec->header->hierarchies.count; i++) {
    const struct berth_hierarchy *hierarchy = spec_hierarchy(spec, i);
    if (check_path(spec, "cgroup hierarchy", hierarchy->path, err) < 0)
      return -1;
    if (hierarchy->version != 1 && hierarchy->version != 2)
      return err_set(err, EINVAL, STAGE_SPEC, "cgroup hierarchy: version %u is not known", hierarchy->version);
    if ((hierarchy->controllers & ~known) != 0)
      return err_set(err, EINVAL, STAGE_SPEC, "cgroup hierarchy: controllers 0x%x are not known", hierarchy->controllers);
  }
  return 0;
}

/* A control file of a controller, `memory.max`: not a path, and none of those that move processes or run programs. */
static bool is_control_file(const char *name)
{
  return check_is_name(name, "._") && name[0] != '.' && strchr(name, '.') != NULL && strncmp(name, "cgroup.", 7) != 0;
}

static int check_cgroup_writes(const struct spec *spec, struct err *err)
{
  for (uint32_t i = 0; i < spec->header->cgroup_writes.count; i++) {
    const struct berth_cgroup_write *each = spec_cgroup_write(spec, i);
    if (each->hierarchy >= spec->header->hierarchies.count)
      return err_set(err, EINVAL, STAGE_SPEC, "cgroup write: hierarchy %u of %u", each->hierarchy,
                     spec->header->hierarchies.count);
    if (check_text(spec, "cgroup file", each->file, 1, BERTH_MAX_CGROUP_FILE, err) < 0 ||
        check_text(spec, "cgroup value", each->value, 1, BERTH_MAX_CGROUP_VALUE, err) < 0)
      return -1;
    if (!is_control_file(spec_text(spec, each->file)))
      return err_set(err, EINVAL, STAGE_SPEC, "cgroup file: \"%.70s\" is not a control file", spec_text(spec, each->file));
  }
  return 0;
}

static int check_env(const struct spec *spec, struct err *err)
{
  for (uint32_t i = 0; i < spec->header->env.count; i++) {
    const char *equals = strchr(spec_string(spec, spec->header->env, i), '=');
    if (equals == NULL || equals == spec_string(spec, spec->header->env, i))
      return err_set(err, EINVAL, STAGE_SPEC, "env: entry %u is not NAME=value", i);
  }
  return 0;
}

static int check_numbers(const struct berth_spec *header, struct err *err)
{
  const uint32_t known = BERTH_SPEC_ATTACH_LAYERS | BERTH_SPEC_READ_ONLY_ROOT | BERTH_SPEC_NO_INIT | BERTH_SPEC_EXEC |
                         BERTH_SPEC_EXEC_WORKDIR | BERTH_SPEC_MACHINE | BERTH_SPEC_SHIFTED_LAYERS;
  if ((header->flags & ~known) != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "flags: 0x%x is not known", header->flags);
  if ((header->flags & BERTH_SPEC_MACHINE) != 0 && (header->flags & BERTH_SPEC_NO_INIT) == 0)
    return err_set(err, EINVAL, STAGE_SPEC, "flags: the init of a machine is PID 1 itself");
  if (header->id_base < BERTH_ID_COUNT || header->id_base > UINT32_MAX - 2 * BERTH_ID_COUNT)
    return err_set(err, EINVAL, STAGE_SPEC, "idBase: %u is not in %u..%u", header->id_base, BERTH_ID_COUNT,
                   UINT32_MAX - 2 * BERTH_ID_COUNT);
  if (header->shm_bytes < 65536 || header->shm_bytes > INT64_MAX)
    return err_set(err, EINVAL, STAGE_SPEC, "shmBytes: must be at least 65536 and fit 63 bits");
  return 0;
}

static int check_stdio(const struct berth_spec *header, struct err *err)
{
  if ((header->stdio & ~(BERTH_STDIO_PIPE | BERTH_STDIO_TERMINAL | BERTH_STDIO_LOG_WAITS)) != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "stdio: 0x%x is not known", header->stdio);
  if (header->log_bytes > INT64_MAX || header->log_per_second > BERTH_MAX_LOG_RATE)
    return err_set(err, EINVAL, STAGE_SPEC, "log: more bytes than a file can have");
  if (header->log_files < 2 || header->log_files > BERTH_MAX_LOG_FILES)
    return err_set(err, EINVAL, STAGE_SPEC, "log files: %u is not in 2..%u", header->log_files, BERTH_MAX_LOG_FILES);
  if (header->stop_signal < 1 || header->stop_signal > 64)
    return err_set(err, EINVAL, STAGE_SPEC, "stopSignal: %u is not in 1..64", header->stop_signal);
  return 0;
}

static int decode(struct spec *spec, const unsigned char *bytes, size_t size, struct err *err)
{
  memset(spec, 0, sizeof *spec);
  if (size < sizeof(struct berth_spec) || size > BERTH_SPEC_MAX_BYTES)
    return err_set(err, EINVAL, STAGE_SPEC, "size: %zu bytes are not a spec", size);
  const struct berth_spec *header = (const struct berth_spec *)(const void *)bytes;
  spec->bytes = bytes;
  spec->size = size;
  spec->header = header;
  if (header->magic != BERTH_SPEC_MAGIC)
    return err_set(err, EINVAL, STAGE_SPEC, "magic: these bytes are not a spec");
  if (header->version != BERTH_SPEC_VERSION)
    return err_set(err, EINVAL, STAGE_SPEC, "version: %u, this supervisor reads %u", header->version, BERTH_SPEC_VERSION);
  if (header->size != size)
    return err_set(err, EINVAL, STAGE_SPEC, "size: %u announced, %zu received", header->size, size);

  if (check_numbers(header, err) < 0 || check_stdio(header, err) < 0 ||
      check_text(spec, "id", header->id, 1, BERTH_MAX_ID, err) < 0 ||
      check_text(spec, "hostname", header->hostname, 1, BERTH_MAX_HOSTNAME, err) < 0 ||
      check_path(spec, "workdir", header->workdir, err) < 0 ||
      check_text(spec, "cgroupParent", header->cgroup_parent, 1, 255, err) < 0)
    return -1;
  spec->id = spec_text(spec, header->id);
  spec->hostname = spec_text(spec, header->hostname);
  spec->workdir = spec_text(spec, header->workdir);
  spec->cgroup_parent = spec_text(spec, header->cgroup_parent);
  if (!check_is_name(spec->id, "_-"))
    return err_set(err, EINVAL, STAGE_SPEC, "id: \"%s\" has other characters than letters, digits, _ and -", spec->id);
  if (!check_is_name(spec->hostname, "-."))
    return err_set(err, EINVAL, STAGE_SPEC, "hostname: \"%s\" is not a host name", spec->hostname);
  if (!check_is_name(spec->cgroup_parent, "_-./") || starts_with_dot(spec->cgroup_parent))
    return err_set(err, EINVAL, STAGE_SPEC, "cgroupParent: \"%.100s\" is not a relative path of plain names",
                   spec->cgroup_parent);

  if (check_strings(spec, "layers", header->layers, true, 1, BERTH_MAX_LAYERS, err) < 0 ||
      check_strings(spec, "command", header->argv, false, 1, BERTH_MAX_ARGS, err) < 0 ||
      check_strings(spec, "env", header->env, false, 0, BERTH_MAX_ENV, err) < 0 || check_env(spec, err) < 0 ||
      check_mounts(spec, err) < 0 || check_hierarchies(spec, err) < 0 || check_sections(spec, err) < 0 ||
      check_list(spec, "cgroup writes", header->cgroup_writes, sizeof(struct berth_cgroup_write), 0,
                 BERTH_MAX_CGROUP_WRITES, err) < 0 ||
      check_cgroup_writes(spec, err) < 0)
    return -1;
  if (spec_string(spec, header->argv, 0)[0] == '\0')
    return err_set(err, EINVAL, STAGE_SPEC, "command: the program's name is empty");
  return 0;
}

int spec_decode(struct spec *spec, const unsigned char *bytes, size_t size, struct err *err)
{
  int failed = decode(spec, bytes, size, err);
  if (failed < 0)
    spec->header = NULL;
  return failed;
}

int spec_map(struct spec *spec, int fd, struct err *err)
{
  const int needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & needed) != needed)
    return err_set(err, seals < 0 ? errno : EPERM, STAGE_SPEC, "the spec is not in a sealed memory file");
  struct stat info;
  if (fstat(fd, &info) < 0)
    return err_sys(err, STAGE_SPEC, "fstat");
  if (info.st_size <= 0 || (uint64_t)info.st_size > BERTH_SPEC_MAX_BYTES)
    return err_set(err, EINVAL, STAGE_SPEC, "size: %lld bytes are not a spec", (long long)info.st_size);
  void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED)
    return err_sys(err, STAGE_SPEC, "mmap");
  (void)madvise(bytes, (size_t)info.st_size, MADV_DONTDUMP);
  return spec_decode(spec, bytes, (size_t)info.st_size, err);
}

void spec_lock(const struct spec *spec)
{
  (void)mlock(spec->bytes, spec->size);
}

void spec_unmap(struct spec *spec)
{
  if (spec->bytes != NULL)
    (void)munmap((void *)(uintptr_t)spec->bytes, spec->size);
  memset(spec, 0, sizeof *spec);
}
