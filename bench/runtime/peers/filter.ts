/** The system call filter that all contestants install, in the forms that they take. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const native = new URL("../../../packages/native/", import.meta.url);

/** Compiled: what bwrap reads. */
export const filterProgram = (): Buffer => {
  const text = readFileSync(fileURLToPath(new URL("build/native/seccomp_filter.h", native)), "utf8");
  const rows = [...text.matchAll(/\{ 0x([0-9a-f]+), (\d+), (\d+), 0x([0-9a-f]+) \}/g)];
  const bytes = Buffer.alloc(rows.length * 8);
  rows.forEach(([, code = "", jt = "", jf = "", k = ""], i) => {
    bytes.writeUInt16LE(Number.parseInt(code, 16), i * 8);
    bytes.writeUInt8(Number(jt), i * 8 + 2);
    bytes.writeUInt8(Number(jf), i * 8 + 3);
    bytes.writeUInt32LE(Number.parseInt(k, 16), i * 8 + 4);
  });
  if (rows.length === 0) throw new Error("seccomp_filter.h holds no instructions");
  return bytes;
};

/** As a list of names, which the others compile at each start. The same calls but for their arguments. */
export const DENIED_CALLS = [
  "add_key",
  "keyctl",
  "request_key",
  "bpf",
  "userfaultfd",
  "io_uring_setup",
  "io_uring_enter",
  "io_uring_register",
  "perf_event_open",
  "fanotify_init",
  "open_by_handle_at",
  "name_to_handle_at",
  "mount",
  "umount2",
  "pivot_root",
  "move_mount",
  "open_tree",
  "fsopen",
  "fsconfig",
  "fsmount",
  "fspick",
  "mount_setattr",
  "quotactl",
  "setns",
  "ptrace",
  "process_vm_readv",
  "process_vm_writev",
  "process_madvise",
  "kcmp",
  "pidfd_getfd",
  "move_pages",
  "migrate_pages",
  "kexec_load",
  "kexec_file_load",
  "init_module",
  "finit_module",
  "delete_module",
  "reboot",
  "swapon",
  "swapoff",
  "acct",
  "syslog",
  "iopl",
  "ioperm",
  "settimeofday",
  "clock_settime",
  "clock_adjtime",
  "adjtimex",
  "vhangup",
  "lookup_dcookie",
  "uselib",
  "ustat",
  "sysfs",
  "clone3",
] as const;
