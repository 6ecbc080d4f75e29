#include "fs.h"

#include <fcntl.h>

#include "fd.h"

int fs_new(const char *type, const struct fs_option *options, unsigned attributes, const char *stage, struct err *err)
{
  cleanup_close int fs = fsopen(type, FSOPEN_CLOEXEC);
  if (fs < 0)
    return err_sys(err, stage, "fsopen %s", type);
  for (; options != NULL && options->key != NULL; options++)
    if (fsconfig(fs, FSCONFIG_SET_STRING, options->key, options->value, 0) < 0)
      return err_sys(err, stage, "%s: %s=%s", type, options->key, options->value);
  if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    return err_sys(err, stage, "create %s", type);
  int mounted = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
  if (mounted < 0)
    return err_sys(err, stage, "fsmount %s", type);
  return mounted;
}

int fs_place(int mounted, int target, const char *stage, const char *name, struct err *err)
{
  if (move_mount(mounted, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    return err_sys(err, stage, "mount on %.150s", name);
  return 0;
}
