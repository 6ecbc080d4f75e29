/**
 * A real second machine: Debian's kernel under qemu, with systemd as its PID 1. Its root is this machine's, read-only, with
 * a disk of its own on top that stays when it is switched off; none of this machine's own services is started there. It
 * has a network card behind which this machine, and nothing else, is found at whatever addresses it has.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { baseMachine, makeDisk, mountHost, packInitramfs, quote } from "../../tools/vm/initramfs.ts";
import { CACHE, kernelDirectory, kernelImage } from "../../tools/vm/kernel.ts";
import { eventually } from "./eventually.ts";

export const SYSTEMD = "/lib/systemd/systemd";

/**
 * What this machine's /etc enables is not wanted there: the directory of units is the disk's own, empty at first, and init
 * scripts are left alone. The data directory is on the disk itself, since overlayfs does not lie on overlayfs.
 */
const init = (checkout: string): string => `#!/bin/busybox sh
${mountHost("/lower")}
$B mkdir -p /disk /root /checkout
$B mount -o bind /lower${quote(checkout)} /checkout
$B mount -t ext4 -o prjquota /dev/vda /disk
$B mkdir -p /disk/upper /disk/work /disk/units /disk/berth
$B mount -t overlay -o lowerdir=/lower,upperdir=/disk/upper,workdir=/disk/work overlay /root || exec $B poweroff -f
$B mkdir -p /root/var/lib/berth /root/etc/systemd/system /root/etc/systemd/system-generators /root/etc/tmpfiles.d
$B mount -o bind /disk/units /root/etc/systemd/system
$B mount -o bind /disk/berth /root/var/lib/berth
$B mount -t tmpfs tmpfs /root/tmp
$B mount -t tmpfs tmpfs /root/root
[ -e /root${quote(checkout)}/package.json ] || { $B mkdir -p /root${quote(checkout)} && $B mount -o bind /checkout /root${quote(checkout)}; }
$B ln -sf /dev/null /root/etc/systemd/system-generators/systemd-sysv-generator
$B ln -sf /dev/null /root/etc/tmpfiles.d/tmp.conf
echo -n > /root/etc/fstab
echo virtual > /root/etc/hostname
[ -s /disk/machine-id ] || $B tr -d - < /proc/sys/kernel/random/uuid > /disk/machine-id
$B cat /disk/machine-id > /root/etc/machine-id
$B cp /shell /root/usr/local/sbin/berth-test-shell
$B mkdir -p /root/etc/systemd/system/multi-user.target.wants
$B cp /unit /root/etc/systemd/system/berth-test-shell.service
$B chmod 644 /root/etc/systemd/system/berth-test-shell.service
$B ln -sf ../berth-test-shell.service /root/etc/systemd/system/multi-user.target.wants/
exec $B switch_root /root ${SYSTEMD}
`;

/** Each line is a number and a command in base64; what it says and how it ended come back in the same form. */
const SHELL = `#!/bin/sh
stty -F /dev/ttyS1 raw -echo
ip link set lo up
ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && ip route add default via 10.0.2.2
exec 3<>/dev/ttyS1
echo ready >&3
while read -r number command <&3; do
  echo "$command" | base64 -d > /run/berth-test-command
  sh /run/berth-test-command > /run/berth-test-output 2>&1 < /dev/null
  code=$?
  echo "$number $code $(base64 -w0 /run/berth-test-output)" >&3
done
`;

const UNIT = `[Unit]
Description=What the test asks of this machine

[Service]
ExecStart=/bin/sh /usr/local/sbin/berth-test-shell
KillMode=process

[Install]
WantedBy=multi-user.target
`;

const BOOT_MS = 240_000;

export interface Done {
  readonly code: number;
  readonly output: string;
}

export class VirtualMachine {
  readonly #directory: string;
  readonly #disk: string;
  readonly #initramfs: string;
  #qemu: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #shell: Socket | undefined;
  #number = 0;
  readonly #waiting = new Map<number, (done: Done) => void>();

  constructor(checkout: string) {
    const kernel = kernelDirectory();
    mkdirSync(CACHE, { recursive: true });
    this.#directory = mkdtempSync(join(CACHE, "systemd-"));
    this.#disk = join(this.#directory, "disk.img");
    makeDisk(this.#disk);
    const files = { init: init(resolve(checkout)), shell: SHELL, unit: UNIT };
    this.#initramfs = packInitramfs(kernel, this.#directory, files, ["virtio_net"]);
  }

  get console(): string {
    return readFileSync(join(this.#directory, "console.log"), "utf8");
  }

  /** Resolves once its systemd has started the shell. */
  async boot(): Promise<void> {
    const path = join(this.#directory, "shell.sock");
    rmSync(path, { force: true });
    const log = openSync(join(this.#directory, "console.log"), "a");
    const args = [
      ...baseMachine({
        kernelImage: resolve(kernelImage(kernelDirectory())),
        initramfs: this.#initramfs,
        disk: this.#disk,
        memoryMiB: "2048",
        append: "systemd.unit=multi-user.target systemd.default_timeout_start_sec=600 net.ifnames=0",
      }),
      ...["-serial", "stdio", "-serial", `unix:${path},server=on,wait=off`, "-nic", "user,model=virtio-net-pci"],
    ];
    const qemu = spawn("qemu-system-x86_64", args, { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#qemu = qemu;
    let hasEnded = false;
    this.#ended = new Promise<void>((done) => {
      qemu.once("error", () => done());
      qemu.once("exit", () => done());
    }).then(() => {
      hasEnded = true;
      this.#shell?.destroy();
      for (const [number, settle] of this.#waiting) settle({ code: -1, output: `command ${number}: switched off` });
      this.#waiting.clear();
    });
    await eventually("its console is there", () => hasEnded || existsSync(path));
    let isReady = false;
    if (!hasEnded) {
      const shell = connect(path);
      this.#shell = shell;
      let text = "";
      shell.on("error", () => undefined);
      shell.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) {
          if (line.trim() === "ready") isReady = true;
          else this.#answered(line);
        }
      });
    }
    await eventually(
      "systemd has started the shell",
      () => {
        if (hasEnded) throw new Error(`the machine has ended: ${this.console.slice(-2_000)}`);
        return isReady;
      },
      BOOT_MS,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.console.slice(-4_000)}`, { cause: error });
    });
  }

  #answered(line: string): void {
    const [number = "", code = "", output = ""] = line.trim().split(" ");
    const settle = this.#waiting.get(Number(number));
    this.#waiting.delete(Number(number));
    settle?.({ code: Number(code), output: Buffer.from(output, "base64").toString() });
  }

  /** One at a time; -1 is the code of what was switched off with the machine. */
  run(command: string): Promise<Done> {
    this.#number += 1;
    const number = this.#number;
    return new Promise((settle) => {
      this.#waiting.set(number, settle);
      this.#shell?.write(`${number} ${Buffer.from(command).toString("base64")}\n`);
    });
  }

  /** As `run`, and it must succeed. */
  async must(command: string): Promise<string> {
    const { code, output } = await this.run(command);
    if (code !== 0) throw new Error(`${command}: exit ${code}\n${output}`);
    return output.trim();
  }

  /** In order, by its own systemd: every service is stopped first. */
  async shutDown(): Promise<void> {
    await this.run("systemctl --no-block poweroff");
    await this.#ended;
  }

  /** The plug is pulled. What had not been written to the disk is gone. */
  async cut(): Promise<void> {
    this.#qemu?.kill("SIGKILL");
    await this.#ended;
  }

  async close(): Promise<void> {
    await this.cut();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
