/** What the tests of the security rules share: C programs for both sides of the wall. Decides nothing. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { compileC, type TestHost } from "../host.ts";

/** A layer whose /bin holds these programs, compiled before the first test; to be stacked on the image. */
export const programs = (host: TestHost, sources: Readonly<Record<string, string>>): string => {
  const layer = join(host.directory, "programs");
  beforeAll(() => {
    mkdirSync(join(layer, "bin"), { recursive: true });
    for (const [name, source] of Object.entries(sources)) compileC(source, join(layer, "bin", name));
  });
  return layer;
};

/**
 * A directory of the host that anybody may write. What sets up a container has the ids of its root, which reach nothing
 * in a private directory: only here would a path that leads outside leave a trace.
 */
export const openDirectory = (): string => {
  const path = mkdtempSync(join(tmpdir(), "berth-outside-"));
  chmodSync(path, 0o777);
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

/** Runs one of them on the host. */
export const onHost = (layer: string, name: string, ...args: readonly string[]): string =>
  execFileSync(join(layer, "bin", name), args, { encoding: "utf8" });

/** C: prints the seals of the file at argv[1]: F_SEAL_SEAL 1, SHRINK 2, GROW 4, WRITE 8 (fcntl(2)). */
export const seals = `#include <fcntl.h>
#include <stdio.h>
int main(int n, char **v) {
  int fd = n < 2 ? -1 : open(v[1], O_RDONLY);
  return fd < 0 || printf("%d\\n", fcntl(fd, F_GET_SEALS)) < 0;
}`;

/**
 * C: prints the system call filters of a process as words `code jt jf k`, one instruction a line, as the kernel has
 * them (ptrace(2), PTRACE_SECCOMP_GET_FILTER; CONFIG_CHECKPOINT_RESTORE).
 */
export const filterOf = `#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif
int main(int n, char **v) {
  static struct sock_filter program[4096];
  pid_t pid = n < 2 ? 0 : atoi(v[1]);
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) || ptrace(PTRACE_INTERRUPT, pid, 0, 0) || waitpid(pid, 0, __WALL) < 0) return 1;
  long count = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 0, program);
  if (count < 0) return fprintf(stderr, "%s\\n", strerrorname_np(errno)), 2;
  for (long i = 0; i < count; i++) printf("%u %u %u %u\\n", program[i].code, program[i].jt, program[i].jf, program[i].k);
  return ptrace(PTRACE_DETACH, pid, 0, 0) != 0;
}`;
