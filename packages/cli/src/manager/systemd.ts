/**
 * The agent as a service of systemd. Its containers are none of the service: KillMode=process leaves them alone when the
 * agent stops or is replaced, Delegate=yes leaves their cgroups to it.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { Exit, Failure } from "../failure.ts";
import { writeWhole } from "./files.ts";

export const UNIT = "berth-agent.service";

/** sd_booted(3): the directory is there exactly when systemd is the init. */
export const hasSystemd = (root = "/"): boolean => existsSync(`${root}run/systemd/system`);

/** systemd.service(5): in quotes, with its specifiers and variables meaning themselves. */
const word = (text: string): string =>
  `"${text.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$")}"`;

export const renderUnit = (unit: {
  readonly host: string;
  readonly cluster: string;
  readonly command: readonly string[];
}): string => `# Written by \`berth join\`; the next one writes it anew.
[Unit]
Description=Berth agent (host ${unit.host} of cluster ${unit.cluster})
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${unit.command.map(word).join(" ")}
Restart=always
RestartSec=2
Delegate=yes
KillMode=process
OOMScoreAdjust=-900
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`;

const systemctl = async (...args: readonly string[]): Promise<void> => {
  try {
    await promisify(execFile)("systemctl", [...args], { timeout: 60_000 });
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    throw new Failure("systemd does not take the agent's service", {
      exit: Exit.failed,
      detail: `systemctl ${args.join(" ")}: ${(stderr ?? "").trim() || String(error)}`,
      next: [`systemctl status ${UNIT}`, "berth join LINE --foreground     (without systemd)"],
      cause: error,
    });
  }
};

/** Writes the unit and (re)starts it. May be repeated. */
export const installUnit = async (text: string): Promise<void> => {
  writeWhole(`/etc/systemd/system/${UNIT}`, text, 0o644);
  await systemctl("daemon-reload");
  await systemctl("enable", UNIT);
  await systemctl("restart", UNIT);
};
