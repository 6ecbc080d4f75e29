/** A real nats-server for one test: own port, own directory, the permissions that agents have in a cluster. */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agentPermissions, type HostId } from "@berth/schema";
import { freePort } from "./free-port.ts";

export interface TestServer {
  readonly url: string;
  readonly stop: () => Promise<void>;
  /** The same server again after `stop`, on the same port. */
  readonly start: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = dial(port, "127.0.0.1");
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

export const startNatsServer = async (
  controlKey: string,
  agents: readonly { readonly host: HostId; readonly publicKey: string }[],
): Promise<TestServer> => {
  const directory = await mkdtemp(join(tmpdir(), "berth-nats-"));
  const port = await freePort();
  const users = [
    `{ nkey: ${controlKey} }`,
    ...agents.map(({ host, publicKey }) => {
      const { publish, subscribe } = agentPermissions(host);
      return [
        `{ nkey: ${publicKey}, permissions: {`,
        `  publish: { allow: ${JSON.stringify(publish)} }`,
        `  subscribe: { allow: ${JSON.stringify(subscribe)} }`,
        `  allow_responses: { max: 1, ttl: "1m" }`,
        `} }`,
      ].join("\n");
    }),
  ];
  const config = join(directory, "nats.conf");
  await writeFile(config, `listen: "127.0.0.1:${port}"\naccounts { APP { users: [\n${users.join("\n")}\n] } }\n`);
  let stop = (): Promise<void> => Promise.resolve();

  const start = async (): Promise<void> => {
    const child = spawn("nats-server", ["-c", config], { stdio: "ignore" });
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    stop = async () => {
      child.kill("SIGKILL");
      await gone;
    };
    for (let attempt = 0; attempt < 400; attempt += 1) {
      if (await answers(port)) return;
      if (child.exitCode !== null)
        throw new Error(`nats-server ended with ${child.exitCode}; its configuration is ${config}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error("nats-server does not answer");
  };
  await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    start,
    stop: () => stop(),
    close: async () => {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
};
