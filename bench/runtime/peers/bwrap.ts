/** bubblewrap: namespaces, mounts and the very same compiled filter; it knows no cgroups and makes no overlay. */
import { findProgram, type Absent, type Contestant } from "../contestant.ts";
import type { Floor } from "../floor.ts";
import type { Place } from "../place.ts";

/** `launcher` has the compiled filter as descriptor 3. */
export const bwrapPeer = (place: Place, launcher: Floor): Contestant | Absent => {
  const name = "bwrap";
  const program = findProgram(name);
  if (program === undefined) return { name, absent: "not installed (Debian: apt-get install bubblewrap)" };
  const words = [
    ...[program, "--unshare-all", "--unshare-user", "--uid", "0", "--gid", "0", "--hostname", "bench"],
    ...[
      "--ro-bind",
      place.image,
      "/",
      "--proc",
      "/proc",
      "--dev",
      "/dev",
      "--tmpfs",
      "/dev/shm",
      "--mqueue",
      "/dev/mqueue",
    ],
    ...["--cap-drop", "ALL", "--die-with-parent", "--seccomp", "3", "/bin/true"],
  ];
  return { name, start: () => launcher.spawn(words), close: () => Promise.resolve() };
};
