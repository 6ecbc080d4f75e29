/** `berth image build`: a distribution from a mirror, on one host. The others take it from there when they need it. */
import { InvalidArgumentError, Option, type Command } from "commander";
import { DEBIAN_INITS, isLabel, parseDistroReference, type HostId } from "@berth/schema";
import type { ConnectionOptions } from "../client/connection.ts";
import { perform } from "./image-perform.ts";
import { withConnection, withExamples, type Host } from "./verb.ts";

interface BuildOptions extends ConnectionOptions {
  readonly host?: HostId;
  readonly mirror?: string;
  readonly quiet?: boolean;
}

const imageOf = (text: string): string => {
  const parsed = parseDistroReference(text);
  if (!parsed.ok) throw new InvalidArgumentError(parsed.error);
  return text;
};
const hostOf = (text: string): HostId => {
  if (!isLabel(text)) throw new InvalidArgumentError("that is no name of a host");
  return text as HostId;
};
const mirrorOf = (text: string): string => {
  if (!/^https?:\/\/[^\s[\]]+$/.test(text)) throw new InvalidArgumentError("write http://… or https://…");
  return text;
};

export const registerBuild = (image: Command, { io, finish }: Host): void => {
  const command = image
    .command("build")
    .argument(
      "<distribution>",
      `distro://debian/RELEASE, or distro://debian/RELEASE/INIT (${DEBIAN_INITS.join(", ")})`,
      imageOf,
    )
    .description("build a whole distribution from a mirror of its packages, through mmdebstrap")
    .addOption(new Option("--host <name>", "there; default: any that can").argParser(hostOf))
    .addOption(
      new Option(
        "--mirror <url>",
        "where packages come from; default: where that host's own apt has them from",
      ).argParser(mirrorOf),
    )
    .option("-q, --quiet", "no progress")
    .action(async (name: string, options: BuildOptions) => {
      const { host, mirror, ...rest } = options;
      const hosts = host === undefined ? rest : { ...rest, host: [host] };
      finish(await perform(io, hosts, { kind: "build", image: name, mirror: mirror ?? null }));
    });
  withExamples(withConnection(command), [
    ["berth image build distro://debian/12", "Debian 12 with systemd"],
    ["berth image build distro://debian/13/sysvinit --host cedar", "Debian 13 with another init, on one host"],
  ]);
};
