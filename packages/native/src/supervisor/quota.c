/*
 * A project quota, quotactl(2): ext4 and xfs count what belongs to a project, whoever owns it, and refuse more. What is made
 * below a directory that says so (FS_XFLAG_PROJINHERIT) belongs to its project. Overlayfs writes with the rights of who
 * mounted it but for CAP_SYS_RESOURCE, so the limit holds for a container as for anybody.
 *
 * The project is called after the inode of its first directory: what has the same number at the same time is the same
 * directory, so nobody has to remember which are taken. When the directory is gone, so is all that counted. Where numbers of
 * inodes are longer than those of projects (xfs), their upper half is spread over the lower one.
 */
#include "quota.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 /* the same on every machine; older C libraries do not name it */
#endif

#define STAGE "rootfs.quota"
/* Away from the small numbers that people give (projects(5)). */
#define OURS 0x80000000u
#define SPREAD UINT64_C(0x9e3779b1)
#define BLOCK 1024u /* QIF_DQBLKSIZE */
/* An empty file takes no block, and a disk (ext4) has as many as it was made with: one for 16 KiB, usually. So each may have
   four times its share, and as many as a small distribution needs. */
#define BYTES_PER_FILE 4096u
#define LEAST_FILES UINT64_C(4096)

static int join_project(int dir, uint32_t project, struct err *err)
{
  struct fsxattr attributes = { 0 };
  if (syscall(SYS_ioctl, dir, FS_IOC_FSGETXATTR, &attributes) < 0)
    return err_sys(err, STAGE, "its file system has no projects");
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (syscall(SYS_ioctl, dir, FS_IOC_FSSETXATTR, &attributes) < 0)
    return err_sys(err, STAGE, "project %u", project);
  return 0;
}

int quota_limit(const int *dirs, unsigned count, uint64_t bytes, struct err *err)
{
  struct stat info;
  if (count == 0 || fstat(dirs[0], &info) < 0)
    return err_sys(err, STAGE, "fstat");
  uint64_t inode = info.st_ino;
  uint32_t project = OURS | (uint32_t)(inode ^ (inode >> 31) * SPREAD);
  if (project == UINT32_MAX) /* the only number that is none */
    project = OURS;
  const uint64_t files = bytes / BYTES_PER_FILE;
  struct if_dqblk limits = { .dqb_bhardlimit = (bytes + BLOCK - 1) / BLOCK, .dqb_valid = QIF_BLIMITS | QIF_ILIMITS };
  limits.dqb_bsoftlimit = limits.dqb_bhardlimit;
  limits.dqb_ihardlimit = limits.dqb_isoftlimit = files < LEAST_FILES ? LEAST_FILES : files;
  for (unsigned i = 0; i < count; i++)
    if (join_project(dirs[i], project, err) < 0)
      return -1;
  if (syscall(SYS_quotactl_fd, dirs[0], QCMD(Q_SETQUOTA, PRJQUOTA), project, &limits) < 0)
    return err_sys(err, STAGE, "a limit of %llu bytes", (unsigned long long)bytes);
  return 0;
}

int quota_check(int dir, struct err *err)
{
  struct fsxattr attributes = { 0 };
  struct if_dqblk held = { 0 };
  if (syscall(SYS_ioctl, dir, FS_IOC_FSGETXATTR, &attributes) < 0 ||
      syscall(SYS_quotactl_fd, dir, QCMD(Q_GETQUOTA, PRJQUOTA), attributes.fsx_projid, &held) < 0)
    return err_sys(err, STAGE, "what it holds");
  uint64_t limit = held.dqb_bhardlimit * BLOCK;
  if (limit != 0 && held.dqb_curspace > limit)
    return err_set(err, EDQUOT, STAGE, "it holds %llu bytes, more than the %llu that it may",
                   (unsigned long long)held.dqb_curspace, (unsigned long long)limit);
  return 0;
}
