/** Rules 37 to 39: ending what does not want to, limits, what a supervisor keeps to itself. */
import { addon, supervisor, type Mutant } from "./mutant.ts";

export const ofLimits: readonly Mutant[] = [
  {
    rule: 37,
    without: "the thaw of what was killed while it was frozen, on both sides",
    edits: [
      supervisor("cgroup.c", "      thaw_dead(place->dir);", "      (void)thaw_dead;"),
      {
        file: "packages/native/lib/cgroup.ts",
        find: 'if (place.controllers.includes("freezer")) await tryWrite(',
        replace: 'if (place.path === "") await tryWrite(',
      },
    ],
    file: "cgroup-v1.test.ts",
    test: "kills a frozen container",
  },
  {
    rule: 38,
    without: "the memory limit",
    edits: [
      {
        file: "packages/native/lib/resources/memory.ts",
        find: "  const swap = wanted.swapBytes ?? 0;\n",
        replace: "  const swap = wanted.swapBytes ?? 0;\n  if (swap === 0) return [];\n",
      },
    ],
    file: "security/limits.test.ts",
    test: "are in the kernel before the program runs",
  },
  {
    rule: 38,
    without: "the limit of processes",
    edits: [
      {
        file: "packages/native/lib/resources/settings.ts",
        find: '  { controller: "pids", settings: pidSettings },\n',
        replace: "",
      },
    ],
    file: "security/limits.test.ts",
    test: "are in the kernel before the program runs",
  },
  {
    rule: 38,
    without: "the wait for the limits before the program of what is born from a standby",
    edits: [supervisor("init.c", ' || await_word(sync, SYNC_CONFINED, "its limits", &err) < 0', "")],
    file: "security/limits.test.ts",
    test: "are waited for by what is born from a standby, which has everything else by then",
  },
  {
    rule: 38,
    without: "the refusal of a job that names no limits",
    edits: [
      {
        file: "packages/native/lib/resources/resources.ts",
        find: '    number("pids", wanted.pids, 1, 4_194_304) ??\n',
        replace: "",
      },
    ],
    file: "security/limits.test.ts",
    test: "is refused: there is no start without",
  },
  {
    rule: 39,
    without: "a session keyring of the supervisor's own",
    edits: [
      supervisor(
        "detach.c",
        "(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL)",
        "(void)KEYCTL_JOIN_SESSION_KEYRING",
      ),
    ],
    file: "security/keyrings.test.ts",
    test: "whoever has used up the keys of its user is left with an empty session, not with the agent's",
  },
  {
    rule: 39,
    without: "a session keyring of a hook's own",
    edits: [
      supervisor(
        "hook.c",
        "syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS",
        "KEYCTL_JOIN_SESSION_KEYRING < 0 && errno != ENOSYS",
      ),
    ],
    file: "security/keyrings.test.ts",
    test: "a hook has a session of its own, in which a container that has used up its keys can put none",
  },
  {
    rule: 39,
    without: "an empty environment of the supervisor",
    edits: [addon("start.cc", "char* const envp[] = {nullptr};", "char* const* envp = environ;")],
    file: "security/program.test.ts",
    test: "the supervisor has an empty environment and descriptors of nothing but its own container",
  },
  {
    rule: 39,
    without: "the question who asks, on the socket of a supervisor",
    edits: [
      supervisor(
        "control.c",
        "if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.uid != geteuid())",
        "if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)",
      ),
    ],
    file: "security/program.test.ts",
    test: "a socket of a supervisor answers nobody but the host's root, even where its directory was given away",
  },
];
