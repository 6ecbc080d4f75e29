/*
 * A container without a list of devices needs none of this: nobody in its user namespace can make a node, and no mount
 * but /dev honours one. The list is a further wall, and the only one against nodes that the host puts there.
 *
 * On cgroup v2 it is a small BPF program, written here by hand: for each device four comparisons (bpf(2); the context
 * is struct bpf_cgroup_dev_ctx). The kernel drops it together with the cgroup.
 */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "fd.h"

#define STAGE_NODE "rootfs.dev"
#define STAGE_CONTROL "devices"
#define ANY UINT32_MAX
#define PER_RULE 10

/* Opens the directory of a node, making it and those above it. */
static int parent_of(const char *path, int dev, uid_t owner, struct err *err)
{
  char part[BERTH_MAX_PATH + 1];
  cleanup_close int at = dup(dev);
  if (at < 0)
    return err_sys(err, STAGE_NODE, "dup");
  const char *slash;
  while ((slash = strchr(path, '/')) != NULL) {
    (void)snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
    if (mkdirat(at, part, 0755) == 0 ? fchownat(at, part, owner, owner, AT_SYMLINK_NOFOLLOW) < 0 : errno != EEXIST)
      return err_sys(err, STAGE_NODE, "directory %.150s", part);
    int next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0)
      return err_sys(err, STAGE_NODE, "directory %.150s", part);
    (void)close(at);
    at = next;
    path = slash + 1;
  }
  return fd_take(&at);
}

int device_make_nodes(const struct spec *spec, int dev, struct err *err)
{
  const struct berth_devices *devices = spec_section(spec, BERTH_SECTION_DEVICES);
  uid_t base = spec->header->id_base;
  for (uint32_t i = 0; devices != NULL && i < devices->nodes.count; i++) {
    const struct berth_device *device = spec_item(spec, devices->nodes, i, sizeof *device);
    const char *path = spec_text(spec, device->path) + strlen("/dev/");
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    cleanup_close int parent = parent_of(path, dev, base, err);
    if (parent < 0)
      return -1;
    mode_t mode = (device->type == 'b' ? S_IFBLK : S_IFCHR) | device->mode;
    if (mknodat(parent, name, mode, makedev(device->major, device->minor)) < 0 ||
        fchownat(parent, name, base + device->uid, base + device->gid, AT_SYMLINK_NOFOLLOW) < 0)
      return err_sys(err, STAGE_NODE, "node %.150s", path);
  }
  return 0;
}

struct program {
  struct bpf_insn code[PER_RULE * (BERTH_MAX_DEVICES + 16) + 16];
  unsigned length;
};

static void emit(struct program *program, unsigned code, unsigned destination, unsigned source, short offset, int value)
{
  program->code[program->length++] = (struct bpf_insn){ .code = (uint8_t)code,
                                                        .dst_reg = destination & 0xf,
                                                        .src_reg = source & 0xf,
                                                        .off = offset,
                                                        .imm = value };
}

/* Registers: 2 access, 3 major, 4 minor, 5 type. Jumps lead behind the rule, whose last instruction answers yes. */
static void allow(struct program *program, uint32_t type, uint32_t major, uint32_t minor, uint32_t access)
{
  unsigned start = program->length;
  unsigned size = minor == ANY ? 7 : 8;
#define PAST() ((short)(start + size - program->length - 1))
  emit(program, BPF_JMP32 | BPF_JNE | BPF_K, 5, 0, PAST(), type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  emit(program, BPF_JMP32 | BPF_JNE | BPF_K, 3, 0, PAST(), (int)major);
  if (minor != ANY)
    emit(program, BPF_JMP32 | BPF_JNE | BPF_K, 4, 0, PAST(), (int)minor);
  emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 1, 2, 0, 0);
  emit(program, BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, (int)(7u & ~access));
  emit(program, BPF_JMP | BPF_JNE | BPF_K, 1, 0, PAST(), 0);
#undef PAST
  emit(program, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
  emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void write_program(struct program *program, const struct spec *spec, const struct berth_devices *devices)
{
  static const struct {
    uint32_t major, minor;
  } always[] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 }, { 5, 1 }, { 5, 2 }, { 136, ANY } };
  program->length = 0;
  emit(program, BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
  emit(program, BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
  emit(program, BPF_LDX | BPF_MEM | BPF_W, 4, 1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
  emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 5, 2, 0, 0);
  emit(program, BPF_ALU64 | BPF_AND | BPF_K, 5, 0, 0, 0xffff);
  emit(program, BPF_ALU64 | BPF_RSH | BPF_K, 2, 0, 0, 16);
  for (unsigned i = 0; i < sizeof always / sizeof *always; i++)
    allow(program, 'c', always[i].major, always[i].minor,
          BERTH_DEVICE_READ | BERTH_DEVICE_WRITE | BERTH_DEVICE_MKNOD);
  for (uint32_t i = 0; i < devices->nodes.count; i++) {
    const struct berth_device *device = spec_item(spec, devices->nodes, i, sizeof *device);
    allow(program, device->type, device->major, device->minor, device->access);
  }
  emit(program, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
  emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int bpf(int command, union bpf_attr *attr)
{
  return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

int device_control(const struct spec *spec, const struct cgroup *cgroup, struct err *err)
{
  const struct berth_devices *devices = spec_section(spec, BERTH_SECTION_DEVICES);
  if (devices == NULL)
    return 0;
  for (unsigned i = 0; i < cgroup->count; i++)
    if ((cgroup->places[i].controllers & BERTH_CONTROLLER_DEVICES) != 0)
      return 0;
  int directory = cgroup_clone_fd(cgroup);
  if (directory < 0)
    return err_set(err, ENOTSUP, STAGE_CONTROL, "this host has neither a devices hierarchy nor cgroup v2");
  static struct program program;
  write_program(&program, spec, devices);
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = (uint64_t)(uintptr_t)program.code;
  attr.insn_cnt = program.length;
  attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
  cleanup_close int loaded = bpf(BPF_PROG_LOAD, &attr);
  if (loaded < 0)
    return err_sys(err, STAGE_CONTROL, "load the BPF program of %u instructions", program.length);
  memset(&attr, 0, sizeof attr);
  attr.target_fd = (uint32_t)directory;
  attr.attach_bpf_fd = (uint32_t)loaded;
  attr.attach_type = BPF_CGROUP_DEVICE;
  /* Beside those of the cgroups above: all of them must agree. */
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  return bpf(BPF_PROG_ATTACH, &attr) < 0 ? err_sys(err, STAGE_CONTROL, "attach the BPF program") : 0;
}
