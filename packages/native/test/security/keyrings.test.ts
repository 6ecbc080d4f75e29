/** Keys of the kernel: those of the agent's session are for no container, also where the filter of system calls is off. */
import { execFile } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openRuntime } from "../../lib/index.ts";
import { agentScript } from "../built-agent.ts";
import { eventually, outputOf, testHost } from "../host.ts";
import { programs } from "./tools.ts";

const host = testHost();

/**
 * C: `hold PROGRAM …` executes it in a session with a key; `take` uses up all keys that its user may have, and holds them;
 * `plant` puts one of these into its session; `look NAME` ends with 0 when its session has that key, with 1 when it has not.
 */
const keys = `#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static long add(const char *name, int ring) { return syscall(SYS_add_key, "user", name, "secret", 6, ring); }
int main(int n, char **v) {
  char name[32];
  if (n > 2 && strcmp(v[1], "hold") == 0) {
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) < 0 || add("berth-agent", KEY_SPEC_SESSION_KEYRING) < 0) return 70;
    execv(v[2], v + 2);
    return 71;
  }
  if (n > 2 && strcmp(v[1], "look") == 0)
    return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", v[2], 0) < 0;
  if (n > 1 && strcmp(v[1], "plant") == 0)
    return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", "planted", KEY_SPEC_SESSION_KEYRING) < 0;
  if (add("planted", KEY_SPEC_USER_KEYRING) < 0) return 70;
  for (int i = 0; i < 100000; i++) {
    snprintf(name, sizeof name, "mine-%d", i);
    if (add(name, KEY_SPEC_PROCESS_KEYRING) < 0) break;
  }
  puts("full");
  fflush(stdout);
  pause();
  return 0;
}`;
const tools = programs(host, { keys });

const agent = (module: string): string => `
  const { openLog, openRuntime } = await import(${JSON.stringify(module)});
  const { options, spec } = JSON.parse(process.argv[1]);
  const runtime = await openRuntime(options);
  const { value: container } = await runtime.start(spec);
  const full = async () => (await openLog(container.logPath).read("stdout", 0, 100)).data.length > 0;
  while (!(await full())) await new Promise((resolve) => setTimeout(resolve, 20));
  const { value: program } = await container.exec({ command: ["keys", "look", "berth-agent"] });
  const { code } = await program.exited;
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
  await runtime.close();
  process.stdout.write(String(code));`;

test("whoever has used up the keys of its user is left with an empty session, not with the agent's", async () => {
  agentScript();
  const module = new URL("../../dist/index.js", import.meta.url).pathname;
  const options = {
    stateDir: join(host.directory, "keys"),
    cgroupParent: host.cgroupParent,
    allow: { unconfinedSeccomp: true },
  };
  const spec = host.spec(["keys", "take"], { layers: [tools, host.image], seccomp: "unconfined" });
  const node = [process.execPath, "--input-type=module", "-e", agent(module), JSON.stringify({ options, spec })];
  const { stdout } = await promisify(execFile)(join(tools, "bin/keys"), ["hold", ...node], { encoding: "utf8" });
  expect(stdout).toBe("1");
  expect(readdirSync(options.stateDir).filter((name) => !name.startsWith("."))).toEqual([]);
});

test("a hook has a session of its own, in which a container that has used up its keys can put none", async () => {
  const [hook, found] = [join(host.directory, "hook"), join(host.directory, "found")];
  writeFileSync(hook, `#!/bin/sh\n${join(tools, "bin/keys")} look planted; echo $? > ${found}\n`);
  chmodSync(hook, 0o755);
  const runtime = await openRuntime({
    stateDir: join(host.directory, "hooked"),
    cgroupParent: host.cgroupParent,
    allow: { unconfinedSeccomp: true, hooks: [hook] },
  });
  try {
    const result = await runtime.start(
      host.spec(["keys", "take"], {
        layers: [tools, host.image],
        seccomp: "unconfined",
        hooks: { stopped: [{ command: [hook] }] },
      }),
    );
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    await eventually(async () => (await outputOf(result.value)) !== "");
    const planting = await result.value.exec({ command: ["keys", "plant"] });
    /* Into the supervisor's session, since it could have none of its own. */
    expect(planting.ok && (await planting.value.exited).code).toBe(0);
    await result.value.stop({ signal: 9, graceMs: 0 });
    expect(readFileSync(found, "utf8")).toBe("1\n");
    await result.value.remove();
  } finally {
    await runtime.close();
  }
});
