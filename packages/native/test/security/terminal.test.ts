/** Rule 9, and what a terminal adds to the others: the console is the terminal itself, and nobody types into it. */
import { mkdirSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openDirectory, programs } from "./tools.ts";
import { testHost } from "../host.ts";

const host = testHost();
const outside = openDirectory();
const terminal = { rows: 24, columns: 80 };

/** C: is /dev/console what is on descriptor 0; may characters be put into it; what else is open. */
const look = `#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
int main(void) {
  struct stat zero, console;
  fstat(0, &zero);
  stat("/dev/console", &console);
  printf("same %d\\n", zero.st_rdev == console.st_rdev && zero.st_ino == console.st_ino && zero.st_dev == console.st_dev);
  printf("tiocsti %s\\n", ioctl(0, TIOCSTI, "x") ? strerrorname_np(errno) : "allowed");
  int again = open("/dev/console", O_RDWR | O_NOCTTY);
  printf("again %s\\n", ioctl(again, TIOCSTI, "x") ? strerrorname_np(errno) : "allowed");
  printf("tioclinux %s\\n", ioctl(0, TIOCLINUX, "\\2") ? strerrorname_np(errno) : "allowed");
  printf("tioccons %s\\n", ioctl(0, TIOCCONS) ? strerrorname_np(errno) : "allowed");
  close(again);
  for (int fd = 3; fd < 1024; fd++) if (fcntl(fd, F_GETFD) >= 0) printf("open %d\\n", fd);
  return 0;
}`;
const tools = programs(host, { look });

test("/dev/console is the program's terminal, into which nothing can be typed from inside", async () => {
  const { stdout } = await host.run(["look"], { layers: [tools, host.image], terminal });
  expect(stdout.replaceAll("\r", "")).toBe("same 1\ntiocsti EPERM\nagain EPERM\ntioclinux EPERM\ntioccons EPERM\n");
});

test("links of the image at /dev, /dev/pts and /dev/console lead nowhere, also with a terminal", async () => {
  const layer = join(host.directory, "console-links");
  mkdirSync(join(layer, "dev"), { recursive: true });
  for (const name of ["console", "pts", "ptmx", "tty"]) symlinkSync(join(outside, name), join(layer, "dev", name));
  const { stdout } = await host.run(["look"], { layers: [layer, tools, host.image], terminal });
  expect(stdout).toContain("same 1");
  expect(statSync(outside).nlink).toBe(2);
});

test("the host's own console and terminals stay as they are", async () => {
  const paths = ["/dev/console", "/dev/tty", "/dev/ptmx", "/dev/null"];
  const state = () =>
    paths.map((path) => {
      const info = statSync(path, { throwIfNoEntry: false });
      return info === undefined ? path : [path, info.uid, info.gid, info.mode].join(" ");
    });
  const before = state();
  await host.run(["sh", "-c", "chmod 600 /dev/console; chown 5:5 /dev/console; chmod 0 /dev/tty"], { terminal });
  expect(state()).toEqual(before);
});
