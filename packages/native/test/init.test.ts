/** The small init of a container does what is expected of a PID 1: it passes signals on, reaps, and outlives nothing. */
import { mkdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { compileC, eventually, outputOf, slow, statusField, testHost } from "./host.ts";

const host = testHost();
const ORPHANS = slow ? 1000 : 10_000;
const layer = join(host.directory, "init-layer");

/** C: `orphans N` leaves so many to init, each of which ends only then; says what is still there within a second. */
const orphans = `#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static int others(void) {
  int count = 0;
  DIR *dir = opendir("/proc");
  for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
    count += isdigit(entry->d_name[0]) && atoi(entry->d_name) != 1 && atoi(entry->d_name) != getpid();
  closedir(dir);
  return count;
}
int main(int n, char **v) {
  struct timespec from, now;
  for (int left = n > 1 ? atoi(v[1]) : 0; left > 0;) {
    pid_t between = fork();
    if (between < 0) { usleep(1000); continue; }
    if (between == 0) {
      pid_t orphan = fork();
      if (orphan == 0) {
        while (getppid() != 1) sched_yield();
        _exit(left & 127);
      }
      _exit(orphan < 0);
    }
    int status;
    waitpid(between, &status, 0);
    left -= status == 0;
  }
  clock_gettime(CLOCK_MONOTONIC, &from);
  int left;
  do {
    left = others();
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (left > 0 && now.tv_sec - from.tv_sec < 2);
  printf("%d left\\n", left);
  return 42;
}`;

/** C: says the number of every signal that it gets; ends after SIGTERM. */
const hear = `#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("%d %d %d\\n", getpid(), getpgrp(), getsid(0));
  for (int number;;)
    if (sigwait(&all, &number) == 0) {
      if (number != SIGCHLD) printf("%d\\n", number);
      if (number == SIGTERM) return 9;
    }
}`;

beforeAll(() => {
  mkdirSync(join(layer, "bin"), { recursive: true });
  compileC(orphans, join(layer, "bin/orphans"));
  compileC(hear, join(layer, "bin/hear"));
});
const layers = () => [layer, host.image];

test(`of ${ORPHANS} orphans none is left, and their statuses are not the program's`, async () => {
  const limits = { cpuRequestMillis: 1000, cpuLimitMillis: null, memoryBytes: 256 * 2 ** 20, pids: 2000 };
  const { exit, stdout } = await host.run(["orphans", `${ORPHANS}`], { layers: layers(), limits });
  expect(stdout).toBe("0 left\n");
  expect(exit).toMatchObject({ code: 42, cause: "exited" });
});

test("every signal that can be caught reaches the program, once, and init none of them", async () => {
  const container = await host.start(["hear"], { layers: layers() });
  await eventually(async () => (await outputOf(container)).includes("\n"));
  const [numbers] = (await outputOf(container)).split("\n");
  const init = Number(statusField(container.pid ?? 0, "PPid"));
  const { SIGKILL, SIGSTOP, SIGCHLD, SIGTERM } = constants.signals;
  const sent = Array.from({ length: 64 }, (_, at) => at + 1).filter(
    (number) => ![SIGKILL, SIGSTOP, SIGCHLD, SIGTERM, 32, 33].includes(number),
  );
  const heard = async () => (await outputOf(container)).trim().split("\n").slice(1).map(Number);
  for (const number of sent) {
    await container.signal(number);
    await eventually(async () => (await heard()).at(-1) === number);
  }
  expect(await heard()).toEqual(sent);
  /* Those as well that are sent to init from inside: also the one that a C library keeps for itself and another does not. */
  for (const number of [34, 35]) {
    expect((await container.exec({ command: ["kill", `-${number}`, "1"] })).ok).toBe(true);
    await eventually(async () => (await heard()).at(-1) === number);
  }
  expect(statusField(init, "State")).toMatch(/^S/);
  expect(readFileSync(`/proc/${init}/stat`, "utf8").split(") ")[1]?.split(" ").slice(2, 4)).not.toEqual(
    readFileSync(`/proc/${container.pid}/stat`, "utf8").split(") ")[1]?.split(" ").slice(2, 4),
  );
  /* A session and a group of its own, as a login has. */
  expect(numbers).toBe("2 2 2");
  expect(await container.stop({ graceMs: 60_000 })).toMatchObject({ code: 9, cause: "exited" });
  await container.remove();
});

test("a program that signals everybody, its group and init itself ends neither init nor the container", async () => {
  const { exit, stdout } = await host.sh(
    `trap '' TERM USR1; sleep 1000 & kill -KILL 1; kill -STOP 1; kill -TERM 1; kill -USR1 0; kill -TERM -1
     kill -KILL -1; kill -STOP -1; sleep 0.05; sh -c 'exit 3'; echo "still here, and $?"; exit 5`,
  );
  expect(stdout).toBe("still here, and 3\n");
  expect(exit).toMatchObject({ code: 5, cause: "exited" });
});
