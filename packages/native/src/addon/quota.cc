// Whether a file system limits what belongs to a project: quotactl(2), asked about an open directory of it (Linux 5.14).
#include <linux/dqblk_xfs.h>
#include <linux/quota.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "functions.h"

Napi::Value project_quotas(const Napi::CallbackInfo& info) {
  const int directory = info[0].As<Napi::Number>().Int32Value();
  struct fs_quota_statv state = {};
  state.qs_version = FS_QSTATV_VERSION1;
  // Counting alone, as ext4 does without its mount option, refuses nothing.
  if (syscall(SYS_quotactl_fd, directory, QCMD(Q_XGETQSTATV, PRJQUOTA), 0, &state) < 0)
    return Napi::Number::New(info.Env(), -errno);
  return Napi::Number::New(info.Env(), (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0 ? 0 : -ESRCH);
}
