/* The optional parts of a spec. An absent one is right by itself. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#include "spec_check.h"
#include "sysctl.h"

/* The section at `which` where it is present and of the right size; NULL when it is absent or, with -1 in `bad`, wrong. */
static int find(const struct spec *spec, enum berth_section which, const char *field, size_t size, const void **found,
                struct err *err)
{
  struct berth_ref ref = spec->header->sections[which];
  *found = NULL;
  if (ref.length == 0)
    return 0;
  const struct berth_list one = { .offset = ref.offset, .count = 1 };
  if (ref.length != size)
    return err_set(err, EINVAL, STAGE_SPEC, "%s: %u bytes, not %zu", field, ref.length, size);
  if (check_list(spec, field, one, size, 1, 1, err) < 0)
    return -1;
  *found = spec_at(spec, ref.offset);
  return 0;
}

static int check_capabilities(const struct berth_process *process, struct err *err)
{
  if ((process->bounding & ~BERTH_CAPABILITIES_MOST) != 0)
    return err_set(err, EPERM, STAGE_SPEC, "capabilities: 0x%llx can never be given",
                   (unsigned long long)(process->bounding & ~BERTH_CAPABILITIES_MOST));
  if ((process->inheritable & ~process->bounding) != 0 || (process->ambient & ~process->inheritable) != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "capabilities: ambient must be inheritable, and that in the bounding set");
  return 0;
}

static int check_process(const struct spec *spec, struct err *err)
{
  const struct berth_process *process;
  if (find(spec, BERTH_SECTION_PROCESS, "process", sizeof *process, (const void **)&process, err) < 0)
    return -1;
  if (process == NULL)
    return 0;
  if (process->user.length != 0 && check_text(spec, "user", process->user, 1, BERTH_MAX_USER, err) < 0)
    return -1;
  if (check_strings(spec, "groups", process->groups, false, 0, BERTH_MAX_GROUPS, err) < 0 ||
      check_list(spec, "rlimits", process->rlimits, sizeof(struct berth_rlimit), 0, BERTH_MAX_RLIMITS, err) < 0 ||
      check_capabilities(process, err) < 0)
    return -1;
  for (uint32_t i = 0; i < process->rlimits.count; i++) {
    const struct berth_rlimit *limit = spec_item(spec, process->rlimits, i, sizeof *limit);
    if (limit->resource >= RLIM_NLIMITS || limit->reserved != 0 || limit->soft > limit->hard)
      return err_set(err, EINVAL, STAGE_SPEC, "rlimits: entry %u is not possible", i);
  }
  if ((process->flags & ~BERTH_PROCESS_OOM_SCORE) != 0 || process->umask > 0777 || process->reserved != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "process: flags 0x%x or umask 0%o are not possible", process->flags,
                   process->umask);
  if (process->oom_score_adj < -1000 || process->oom_score_adj > 1000)
    return err_set(err, EINVAL, STAGE_SPEC, "oomScoreAdj: %d is not in -1000..1000", process->oom_score_adj);
  return 0;
}

static int check_namespaces(const struct spec *spec, struct err *err)
{
  const struct berth_namespaces *namespaces;
  const uint32_t of_an_owner = CLONE_NEWTIME | CLONE_NEWCGROUP;
  const uint32_t joinable = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | of_an_owner;
  const int64_t most = INT64_C(146) * 365 * 86400 * 1000;
  uint32_t seen = 0;
  if (find(spec, BERTH_SECTION_NAMESPACES, "namespaces", sizeof *namespaces, (const void **)&namespaces, err) < 0)
    return -1;
  if (namespaces == NULL)
    return 0;
  if (check_list(spec, "namespaces", namespaces->joins, sizeof(struct berth_join), 0, BERTH_MAX_JOINS, err) < 0)
    return -1;
  for (uint32_t i = 0; i < namespaces->joins.count; i++) {
    const struct berth_join *join = spec_item(spec, namespaces->joins, i, sizeof *join);
    if ((join->kind & ~joinable) != 0 || join->kind == 0 || (join->kind & (join->kind - 1)) != 0 ||
        (join->kind & seen) != 0 || join->fd != i)
      return err_set(err, EINVAL, STAGE_SPEC, "namespaces: entry %u cannot be joined", i);
    seen |= join->kind;
  }
  if ((seen & of_an_owner) != 0 && (seen & CLONE_NEWUSER) == 0)
    return err_set(err, EINVAL, STAGE_SPEC, "namespaces: time and cgroup are joined together with their user namespace");
  if ((seen & CLONE_NEWTIME) != 0 && (namespaces->flags & BERTH_NAMESPACES_TIME) != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "namespaces.time: the joined one has its own offsets");
  if (namespaces->domainname.length != 0) {
    if (check_text(spec, "domainname", namespaces->domainname, 1, BERTH_MAX_HOSTNAME, err) < 0)
      return -1;
    if (!check_is_name(spec_text(spec, namespaces->domainname), "-.") || (seen & CLONE_NEWUTS) != 0)
      return err_set(err, EINVAL, STAGE_SPEC, "domainname: is none, or the joined uts namespace has its own");
  }
  if ((seen & CLONE_NEWNET) != 0 && spec_section(spec, BERTH_SECTION_NETWORK) != NULL)
    return err_set(err, EINVAL, STAGE_SPEC, "network: the joined net namespace has its own");
  if ((namespaces->flags & ~BERTH_NAMESPACES_TIME) != 0 || namespaces->reserved != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "namespaces: flags 0x%x are not known", namespaces->flags);
  if (namespaces->monotonic_ms < -most || namespaces->monotonic_ms > most || namespaces->boottime_ms < -most ||
      namespaces->boottime_ms > most)
    return err_set(err, EINVAL, STAGE_SPEC, "namespaces.time: more than 146 years");
  return 0;
}

/* Plain names below /dev, none of which Berth makes itself. */
static bool is_device_path(const char *path)
{
  static const char *const taken[] = { "null", "zero", "full", "random", "urandom", "tty",    "ptmx",   "pts",
                                       "shm",  "mqueue", "fd", "stdin",  "stdout",  "stderr", "console" };
  if (strncmp(path, "/dev/", 5) != 0 || !check_is_name(path, "/_:.@+-"))
    return false;
  for (const char *part = path; part != NULL; part = strchr(part + 1, '/'))
    if (part[1] == '/' || part[1] == '\0' || (part[1] == '.' && (part[2] == '/' || part[2] == '\0')))
      return false;
  const char *first = path + 5;
  size_t length = strcspn(first, "/");
  for (unsigned i = 0; i < sizeof taken / sizeof *taken; i++)
    if (strlen(taken[i]) == length && strncmp(taken[i], first, length) == 0)
      return false;
  return true;
}

static int check_devices(const struct spec *spec, struct err *err)
{
  const struct berth_devices *devices;
  if (find(spec, BERTH_SECTION_DEVICES, "devices", sizeof *devices, (const void **)&devices, err) < 0)
    return -1;
  if (devices == NULL)
    return 0;
  if (check_list(spec, "devices", devices->nodes, sizeof(struct berth_device), 0, BERTH_MAX_DEVICES, err) < 0)
    return -1;
  for (uint32_t i = 0; i < devices->nodes.count; i++) {
    const struct berth_device *device = spec_item(spec, devices->nodes, i, sizeof *device);
    if (check_path(spec, "devices.path", device->path, err) < 0)
      return -1;
    const char *path = spec_text(spec, device->path);
    if (strlen(path) > 500 || !is_device_path(path))
      return err_set(err, EINVAL, STAGE_SPEC, "devices.path: \"%.100s\" is not a free name below /dev", path);
    if ((device->type != 'b' && device->type != 'c') || device->major > 0xfff || device->minor > 0xfffff ||
        device->mode > 0777 || device->uid >= BERTH_ID_COUNT || device->gid >= BERTH_ID_COUNT ||
        device->access == 0 || device->access > 7 || device->reserved != 0)
      return err_set(err, EINVAL, STAGE_SPEC, "devices: %.100s is not possible", path);
  }
  return 0;
}

static int check_sysctls(const struct spec *spec, struct berth_list list, struct err *err)
{
  if (check_list(spec, "sysctls", list, sizeof(struct berth_pair), 0, BERTH_MAX_SYSCTLS, err) < 0)
    return -1;
  for (uint32_t i = 0; i < list.count; i++) {
    const struct berth_pair *pair = spec_item(spec, list, i, sizeof *pair);
    if (check_text(spec, "sysctls", pair->name, 1, 200, err) < 0 ||
        check_text(spec, "sysctls", pair->value, 1, 256, err) < 0)
      return -1;
    if (!sysctl_is_allowed(spec_text(spec, pair->name)))
      return err_set(err, EPERM, STAGE_SPEC, "sysctls: %.150s belongs to the host", spec_text(spec, pair->name));
    if (!sysctl_is_value(spec_text(spec, pair->value)))
      return err_set(err, EINVAL, STAGE_SPEC, "sysctls: the value of %.150s is not possible",
                     spec_text(spec, pair->name));
  }
  return 0;
}

static int check_security(const struct spec *spec, struct err *err)
{
  const struct berth_security *security;
  if (find(spec, BERTH_SECTION_SECURITY, "security", sizeof *security, (const void **)&security, err) < 0)
    return -1;
  if (security == NULL)
    return 0;
  if (security->seccomp > BERTH_SECCOMP_NONE || security->reserved != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "seccomp: %u is not known", security->seccomp);
  if (check_list(spec, "seccomp", security->filter, sizeof(struct berth_instruction), 0, BERTH_MAX_FILTER, err) < 0 ||
      check_strings(spec, "maskedPaths", security->masked, true, 0, BERTH_MAX_PATHS, err) < 0 ||
      check_strings(spec, "readOnlyPaths", security->read_only, true, 0, BERTH_MAX_PATHS, err) < 0)
    return -1;
  const struct berth_list hidden[] = { security->masked, security->read_only };
  for (unsigned i = 0; i < 2; i++)
    for (uint32_t j = 0; j < hidden[i].count; j++)
      if (check_is_same(spec_string(spec, hidden[i], j), "/"))
        return err_set(err, EINVAL, STAGE_SPEC, "maskedPaths: the root cannot be hidden");
  return check_sysctls(spec, security->sysctls, err);
}

static int check_lease(const struct spec *spec, struct err *err)
{
  const struct berth_lease *lease;
  if (find(spec, BERTH_SECTION_LEASE, "lease", sizeof *lease, (const void **)&lease, err) < 0)
    return -1;
  if (lease != NULL && (lease->until_ms > INT64_MAX / 1000000 || lease->reserved != 0))
    return err_set(err, EINVAL, STAGE_SPEC, "lease: is no time");
  return 0;
}

static int check_secrets(const struct spec *spec, struct err *err)
{
  static const char *const taken[] = { "/proc", "/sys", "/dev" };
  const struct berth_secrets *secrets;
  if (find(spec, BERTH_SECTION_SECRETS, "secrets", sizeof *secrets, (const void **)&secrets, err) < 0)
    return -1;
  if (secrets == NULL)
    return 0;
  if (check_path(spec, "secrets.target", secrets->target, err) < 0 ||
      check_list(spec, "secrets", secrets->files, sizeof(struct berth_secret), 0, BERTH_MAX_SECRETS, err) < 0)
    return -1;
  const char *target = spec_text(spec, secrets->target);
  bool reserved = check_is_same(target, "/");
  for (unsigned i = 0; i < sizeof taken / sizeof *taken; i++)
    reserved = reserved || check_is_below(target, taken[i]);
  if (reserved)
    return err_set(err, EINVAL, STAGE_SPEC, "secrets.target: \"%.100s\" is reserved", target);
  for (uint32_t i = 0; i < secrets->files.count; i++) {
    const struct berth_secret *secret = spec_item(spec, secrets->files, i, sizeof *secret);
    if (check_text(spec, "secrets.name", secret->name, 1, BERTH_MAX_SECRET_NAME, err) < 0 ||
        check_bytes(spec, "secrets.value", secret->value, BERTH_MAX_SECRET_BYTES, err) < 0)
      return -1;
    const char *name = spec_text(spec, secret->name);
    if (name[0] == '.' || !check_is_name(name, "._-"))
      return err_set(err, EINVAL, STAGE_SPEC, "secrets.name: \"%.100s\" is not the name of a file", name);
  }
  return 0;
}

static int check_hooks(const struct spec *spec, struct err *err)
{
  const struct berth_hooks *hooks;
  if (find(spec, BERTH_SECTION_HOOKS, "hooks", sizeof *hooks, (const void **)&hooks, err) < 0)
    return -1;
  if (hooks == NULL)
    return 0;
  if (check_list(spec, "hooks", hooks->hooks, sizeof(struct berth_hook), 0, BERTH_MAX_HOOKS, err) < 0)
    return -1;
  for (uint32_t i = 0; i < hooks->hooks.count; i++) {
    const struct berth_hook *hook = spec_item(spec, hooks->hooks, i, sizeof *hook);
    if (check_strings(spec, "hooks", hook->argv, false, 1, 64, err) < 0 ||
        check_strings(spec, "hooks", hook->env, false, 0, 64, err) < 0 ||
        check_path(spec, "hooks", *(const struct berth_ref *)spec_at(spec, hook->argv.offset), err) < 0)
      return -1;
    if (hook->point < BERTH_HOOK_CREATE_RUNTIME || hook->point > BERTH_HOOK_STOPPED || hook->timeout_ms == 0 ||
        hook->timeout_ms > 600000)
      return err_set(err, EINVAL, STAGE_SPEC, "hooks: entry %u is not possible", i);
  }
  return 0;
}

int check_sections(const struct spec *spec, struct err *err)
{
  if (check_process(spec, err) < 0 || check_security(spec, err) < 0 || check_devices(spec, err) < 0 ||
      check_namespaces(spec, err) < 0 || check_hooks(spec, err) < 0 || check_network(spec, err) < 0 ||
      check_lease(spec, err) < 0 || check_secrets(spec, err) < 0)
    return -1;
  return 0;
}
