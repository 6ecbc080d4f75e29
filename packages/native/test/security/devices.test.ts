/** Rule 31: no device of the host can be opened, neither by a node that was made nor by one that was found. */
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testHost } from "../host.ts";
import { programs } from "./tools.ts";

const host = testHost();

/** C: tries to make a node of every kind in every directory given and to open it; prints what worked. */
const makeNodes = `#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
int main(int n, char **v) {
  static const struct { unsigned type, major, minor; } nodes[] = {
    { S_IFBLK, 8, 0 }, { S_IFBLK, 254, 0 }, { S_IFBLK, 259, 0 }, { S_IFBLK, 7, 0 }, { S_IFCHR, 1, 1 }, { S_IFCHR, 1, 3 },
    { S_IFCHR, 1, 11 }, { S_IFCHR, 10, 229 }, { S_IFCHR, 10, 232 }, { S_IFCHR, 10, 200 }, { S_IFCHR, 5, 1 } };
  char path[4096];
  for (int i = 1; i < n; i++)
    for (unsigned k = 0; k < sizeof nodes / sizeof *nodes; k++) {
      snprintf(path, sizeof path, "%s/node", v[i]);
      if (mknod(path, nodes[k].type | 0666, makedev(nodes[k].major, nodes[k].minor)) == 0) {
        printf("made %u:%u in %s\\n", nodes[k].major, nodes[k].minor, v[i]);
        if (open(path, O_RDONLY | O_NONBLOCK) >= 0) printf("opened it\\n");
        unlink(path);
      }
    }
  printf("done\\n");
  return 0;
}`;
const tools = programs(host, { "make-nodes": makeNodes });

const disk = () =>
  readdirSync("/sys/block")
    .map((name) => `/dev/${name}`)
    .find((path) => {
      try {
        return lstatSync(path).isBlockDevice();
      } catch {
        return false;
      }
    });

test("no node can be made anywhere", async () => {
  const volume = join(host.directory, "volume");
  mkdirSync(volume);
  const { stdout } = await host.run(["make-nodes", "/", "/tmp", "/dev", "/dev/shm", "/data"], {
    layers: [tools, host.image],
    mounts: [{ source: volume, target: "/data", readOnly: false }],
  });
  expect(stdout).toBe("done\n");
});

test("a node of the host's disk, in the image or in a volume, cannot be opened", async () => {
  const layer = join(host.directory, "with-disk");
  const volume = join(host.directory, "volume-with-disk");
  for (const directory of [layer, volume]) {
    mkdirSync(directory);
    const path = disk();
    if (path !== undefined) execFileSync("cp", ["-a", path, join(directory, "disk")]);
    else execFileSync("mknod", [join(directory, "disk"), "b", "7", "0"]);
    execFileSync("mknod", [join(directory, "null"), "c", "1", "3"]);
    execFileSync("chmod", ["666", join(directory, "disk"), join(directory, "null")]);
  }
  const { stdout } = await host.sh(
    "for f in /disk /null /data/disk /data/null; do head -c 1 $f >/dev/null 2>&1 && echo read $f; (echo -n > $f) 2>/dev/null && echo wrote $f; done; echo done",
    { layers: [layer, host.image], mounts: [{ source: volume, target: "/data", readOnly: false }] },
  );
  expect(stdout).toBe("done\n");
});

test("/dev holds six harmless nodes and the terminals of its own devpts", async () => {
  const { stdout } = await host.sh("find /dev -type c -o -type b | sort | xargs stat -c '%n %t:%T'; ls /dev/pts");
  expect(stdout.trim().split("\n")).toEqual([
    "/dev/full 1:7",
    "/dev/null 1:3",
    "/dev/pts/ptmx 5:2",
    "/dev/random 1:8",
    "/dev/tty 5:0",
    "/dev/urandom 1:9",
    "/dev/zero 1:5",
    "ptmx",
  ]);
});
