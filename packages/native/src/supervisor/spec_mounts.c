/*
 * Where a mount may go. What a program believes about the kernel comes from the kernel: the root, /proc, /sys and /dev
 * are not mounted over but for the few places named here.
 */
#include <errno.h>

#include "spec_check.h"

static const struct {
  const char *target;
  uint32_t kinds;
} within[] = {
  { "/dev/shm", 1u << BERTH_MOUNT_SHM | 1u << BERTH_MOUNT_TMPFS | 1u << BERTH_MOUNT_BIND },
  { "/dev/mqueue", 1u << BERTH_MOUNT_MQUEUE },
  { "/sys/fs/cgroup", 1u << BERTH_MOUNT_CGROUP },
};

static bool is_reserved(const char *target, uint32_t kind)
{
  for (unsigned i = 0; i < sizeof within / sizeof *within; i++)
    if ((within[i].kinds & 1u << kind) != 0 && check_is_same(target, within[i].target))
      return false;
  return check_is_same(target, "/") || check_is_below(target, "/proc") || check_is_below(target, "/sys") ||
         check_is_below(target, "/dev") || kind == BERTH_MOUNT_CGROUP;
}

static int check_mount(const struct spec *spec, const struct berth_mount *mount, struct err *err)
{
  const uint32_t everywhere = BERTH_MOUNT_READ_ONLY | BERTH_MOUNT_NOEXEC;
  if (mount->kind < BERTH_MOUNT_BIND || mount->kind > BERTH_MOUNT_CGROUP)
    return err_set(err, EINVAL, STAGE_SPEC, "mounts.kind: %u is not known", mount->kind);
  bool bind = mount->kind == BERTH_MOUNT_BIND;
  bool sized = mount->kind == BERTH_MOUNT_TMPFS || mount->kind == BERTH_MOUNT_SHM;
  if ((mount->flags & ~(everywhere | (bind ? BERTH_MOUNT_FLAT | BERTH_MOUNT_SLAVE : 0))) != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "mounts.flags: 0x%x is not known for this kind", mount->flags);
  if (check_path(spec, "mounts.target", mount->target, err) < 0)
    return -1;
  if (bind ? check_path(spec, "mounts.source", mount->source, err) < 0 : mount->source.length != 0)
    return bind ? -1 : err_set(err, EINVAL, STAGE_SPEC, "mounts.source: only a bind mount has one");
  if (!sized && (mount->size != 0 || mount->inodes != 0))
    return err_set(err, EINVAL, STAGE_SPEC, "mounts.size: this kind has none");
  if ((mount->size != 0 && mount->size < 4096) || mount->size > INT64_MAX || mount->mode > 01777)
    return err_set(err, EINVAL, STAGE_SPEC, "mounts.size: or its mode is not possible");
  const char *target = spec_text(spec, mount->target);
  if (is_reserved(target, mount->kind))
    return err_set(err, EINVAL, STAGE_SPEC, "mounts.target: \"%.100s\" is reserved", target);
  return 0;
}

int check_mounts(const struct spec *spec, struct err *err)
{
  const struct berth_list list = spec->header->mounts;
  if (check_list(spec, "mounts", list, sizeof(struct berth_mount), 0, BERTH_MAX_MOUNTS, err) < 0)
    return -1;
  for (uint32_t i = 0; i < list.count; i++)
    if (check_mount(spec, spec_mount(spec, i), err) < 0)
      return -1;
  return 0;
}
