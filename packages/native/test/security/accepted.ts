/**
 * What the isolation probe may find in a default container, and why it is left. The page about the security rules
 * (docs/explanation/security-rules.md) tells each of these reasons.
 */
export interface Accepted {
  readonly probe: string;
  readonly detail: RegExp;
  readonly why: string;
}

const files = (...names: readonly string[]): RegExp => new RegExp(`^/proc/(${names.join("|")})$`);

export const accepted: readonly Accepted[] = [
  {
    probe: "host-wide",
    detail: files(
      "uptime",
      "loadavg",
      "stat",
      "vmstat",
      "meminfo",
      "zoneinfo",
      "buddyinfo",
      "diskstats",
      "softirqs",
      "swaps",
      "schedstat",
    ),
    why: "how busy the whole machine is",
  },
  {
    probe: "host-wide",
    detail: files(
      "cpuinfo",
      "devices",
      "misc",
      "dma",
      "iomem",
      "ioports",
      "partitions",
      "consoles",
      "mtrr",
      "mdstat",
      "fb",
    ),
    why: "what hardware the machine has, without addresses",
  },
  {
    probe: "host-wide",
    detail: files(
      "version",
      "version_signature",
      "cmdline",
      "config\\.gz",
      "filesystems",
      "crypto",
      "execdomains",
      "cgroups",
      "modules",
      "kallsyms",
    ),
    why: "which kernel the machine runs and how it was started, without addresses",
  },
  {
    probe: "host-wide",
    detail: files("key-users", "locks"),
    why: "only what belongs to ids and processes of the container",
  },
];
