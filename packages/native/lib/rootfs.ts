/**
 * The built-in image: a root file system of nothing but Debian's static busybox, made on this host at set-up. It is
 * complete or absent: made beside its place and renamed into it.
 */
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { hasCode } from "./errors.ts";

const BUSYBOX = "/bin/busybox";
const MARKER = "etc/berth-image";

/** Makes the image in `directory`, which must be absolute; does nothing when it is there already. */
export const ensureBusyboxRootfs = async (directory: string): Promise<void> => {
  if (await exists(join(directory, MARKER))) return;
  await checkStatic(BUSYBOX);
  await mkdir(dirname(directory), { recursive: true });
  const temporary = await mkdtemp(`${directory}.new-`);
  try {
    await fill(temporary);
    await rename(temporary, directory).catch((cause: unknown) => {
      /* Somebody else was faster, with the same content. */
      if (!hasCode(cause, "ENOTEMPTY", "EEXIST")) throw cause;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
};

const folders: readonly (readonly [string, number])[] = [
  ["bin", 0o755],
  ["dev", 0o755],
  ["etc", 0o755],
  ["home", 0o755],
  ["mnt", 0o755],
  ["proc", 0o555],
  ["root", 0o700],
  ["run", 0o755],
  ["sbin", 0o755],
  ["srv", 0o755],
  ["sys", 0o555],
  ["tmp", 0o1777],
  ["usr", 0o755],
  ["usr/bin", 0o755],
  ["usr/sbin", 0o755],
  ["usr/share", 0o755],
  ["var", 0o755],
  ["var/log", 0o755],
  ["var/tmp", 0o1777],
];

const files: Readonly<Record<string, string>> = {
  "etc/passwd":
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nusers:x:100:\nnogroup:x:65534:\n",
  "etc/shells": "/bin/sh\n/bin/ash\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
  "etc/profile": "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PS1='\\h:\\w\\$ '\n",
};

const fill = async (root: string): Promise<void> => {
  /* mkdtemp made it 0700; chmod, because mkdir is subject to the umask. */
  await chmod(root, 0o755);
  for (const [name, mode] of folders) {
    await mkdir(join(root, name));
    await chmod(join(root, name), mode);
  }
  await copyFile(BUSYBOX, join(root, "bin/busybox"));
  await chmod(join(root, "bin/busybox"), 0o755);
  const { stdout } = await promisify(execFile)(BUSYBOX, ["--list-full"]);
  for (const path of stdout.split("\n").map((line) => line.trim())) {
    const folder = dirname(path);
    if (path === "" || path === "bin/busybox" || !folders.some(([name]) => name === folder)) continue;
    await symlink("/bin/busybox", join(root, path));
  }
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(root, name), text);
    await chmod(join(root, name), 0o644);
  }
  /* Last: whoever sees it sees everything. */
  await writeFile(join(root, MARKER), "builtin://busybox\n");
};

const exists = async (path: string): Promise<boolean> => {
  try {
    await (await open(path, "r")).close();
    return true;
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return false;
    throw cause;
  }
};

/** A dynamic busybox would miss its libraries inside: looks for an ELF program header of type PT_INTERP (3). */
const checkStatic = async (path: string): Promise<void> => {
  const file = await open(path, "r").catch((cause: unknown) => {
    if (hasCode(cause, "ENOENT"))
      throw new Error(`${path} is missing (Debian: apt-get install busybox-static)`, { cause });
    throw cause;
  });
  try {
    const head = Buffer.alloc(4096);
    await file.read(head, 0, head.length, 0);
    const table = Number(head.readBigUInt64LE(32));
    const size = head.readUInt16LE(54);
    const count = head.readUInt16LE(56);
    for (let i = 0; i < count && table + (i + 1) * size <= head.length; i++) {
      if (head.readUInt32LE(table + i * size) === 3) {
        throw new Error(`${path} is not static (Debian: apt-get install busybox-static)`);
      }
    }
  } finally {
    await file.close();
  }
};
