/** Holds supervisors on standby between two calls, to look at what is there just then. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished } from "vitest";
import { waiting } from "./standby.ts";

const CALLS = ["fsopen", "rename", "sendto", "umount2", "write"] as const;
type Call = (typeof CALLS)[number];

/**
 * C: holds the process argv[1] when it is about to make the call argv[2], one of `CALLS`, and says so. Told anything on standard
 * input, it makes that call fail; killed itself, it lets the process go (ptrace(2), PTRACE_SEIZE).
 */
export const holding = `#include <elf.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
static long skip(pid_t pid) {
#ifdef __x86_64__
  return ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L);
#else
  int none = -1;
  struct iovec number = { &none, sizeof none };
  return ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &number);
#endif
}
#ifndef SYS_rename
#define SYS_rename SYS_renameat
#endif
static const struct { const char *name; unsigned long number; } calls[] = {
  ${CALLS.map((call) => `{ "${call}", SYS_${call} }`).join(", ")}
};
int main(int n, char **v) {
  pid_t pid = n < 3 ? 0 : atoi(v[1]);
  unsigned long wanted = 0;
  int status, number = 0;
  for (unsigned i = 0; n == 3 && i < sizeof calls / sizeof *calls; i++)
    if (strcmp(v[2], calls[i].name) == 0) wanted = calls[i].number;
  if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) || ptrace(PTRACE_INTERRUPT, pid, 0, 0)) return 1;
  if (waitpid(pid, &status, __WALL) != pid || puts("watched") < 0 || fflush(stdout)) return 1;
  while (!ptrace(PTRACE_SYSCALL, pid, 0, number) && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
    struct __ptrace_syscall_info call;
    number = WSTOPSIG(status) == (SIGTRAP | 0x80) || status >> 16 ? 0 : WSTOPSIG(status);
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, &call) < 0) return 1;
    if (call.op != PTRACE_SYSCALL_INFO_ENTRY || call.entry.nr != wanted) continue;
    if (puts("held") < 0 || fflush(stdout)) return 1;
    if (getchar() == EOF) pause();
    if (skip(pid)) return 1;
  }
  return 0;
}`;

const never = new Promise<never>(() => undefined);

export interface Hold {
  /** The first of them. */
  readonly held: Promise<number>;
  fail(): void;
  release(): Promise<void>;
}
/** Each stands still before its first such call. `tools` holds `holding`. */
export const hold = async (tools: string, pids: readonly number[], call: Call): Promise<Hold> => {
  const watched = pids.map((pid) => {
    const child = spawn(join(tools, "bin/holding"), [String(pid), call], { stdio: ["pipe", "pipe", "inherit"] });
    const gone = new Promise((resolve) => child.once("close", resolve));
    return { pid, child, gone, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  });
  for (const { lines } of watched) expect((await lines.next()).value).toBe("watched");
  const held = watched.map(async ({ pid, lines }) => ((await lines.next()).value === "held" ? pid : await never));
  const release = async (): Promise<void> => {
    for (const { child } of watched) child.kill("SIGKILL");
    await Promise.all(watched.map(({ gone }) => gone));
  };
  /* Also of a test that gave up waiting, whose own end never comes. */
  onTestFinished(release);
  return {
    held: Promise.race(held),
    fail: () => {
      for (const { child } of watched) child.stdin.write("\n");
    },
    release,
  };
};

/** Whichever of them is given a container. */
export const holdSupervisors = (tools: string, stateDir: string, call: Call): Promise<Hold> =>
  hold(tools, waiting(stateDir), call);
