#include "terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

#include "fd.h"
#include "libc.h"

#define STAGE "terminal"

/* What answers to /dev/pts/ptmx must be the device of a devpts, whatever the image made of the way there. */
static int open_ptmx(struct err *err)
{
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int ptmx = root < 0 ? -1 : fd_open_plain(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY);
  struct stat info;
  struct statfs fs;
  if (ptmx < 0 || fstat(ptmx, &info) < 0 || fstatfs(ptmx, &fs) < 0)
    return err_sys(err, STAGE, "open /dev/pts/ptmx");
  if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(info.st_mode) || info.st_rdev != makedev(5, 2))
    return err_set(err, ENODEV, STAGE, "/dev/pts/ptmx is no terminal multiplexer");
  return fd_take(&ptmx);
}

int terminal_open(int ends[2], uint32_t size, struct err *err)
{
  int unlocked = 0;
  cleanup_close int master = open_ptmx(err);
  if (master < 0)
    return -1;
  if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
    return err_sys(err, STAGE, "unlock");
  /* By the master, not by a name that could be looked up to something else (ioctl_tty(2)). */
  cleanup_close int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0)
    return err_sys(err, STAGE, "open the other end");
  if (terminal_resize(master, size) < 0)
    return err_sys(err, STAGE, "set the size");
  ends[0] = fd_take(&master);
  ends[1] = fd_take(&slave);
  return 0;
}

int terminal_make_console(int slave, struct err *err)
{
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int dev = root < 0 ? -1 : fd_open_plain(root, "dev", O_PATH | O_DIRECTORY);
  cleanup_close int target =
      dev < 0 ? -1 : openat(dev, "console", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (target < 0)
    return err_sys(err, STAGE, "create /dev/console");
  cleanup_close int tree = open_tree(slave, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0 || move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    return err_sys(err, STAGE, "bind the terminal on /dev/console");
  return 0;
}

int terminal_resize(int master, uint32_t size)
{
  const struct winsize window = { .ws_row = (unsigned short)(size >> 16), .ws_col = (unsigned short)size };
  return ioctl(master, TIOCSWINSZ, &window);
}
