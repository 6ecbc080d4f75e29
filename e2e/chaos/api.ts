/** Asks one scheduler over HTTPS, trusting its cluster's own authority. */
import { Agent, request } from "node:https";
import type { Answer, Instance } from "./world.ts";

const TIMEOUT_MS = 6_000;

export interface ApiOptions {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** PEM. */
  readonly ca: string;
  readonly token: string;
}

export const apiOf = ({ name, host, port, ca, token }: ApiOptions): Instance => {
  const agent = new Agent({ ca, keepAlive: true, maxSockets: 8 });
  const call: Instance["call"] = (method, path, body, key) =>
    new Promise((resolve) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = {
        authorization: `Bearer ${token}`,
        ...(text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
        ...(key === undefined ? {} : { "idempotency-key": key }),
      };
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const asked = request({ host, port, path, method, headers, agent, signal }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", () => resolve(undefined));
        response.on("end", () => resolve(decode(response.statusCode ?? 0, Buffer.concat(chunks).toString())));
      });
      asked.on("error", () => resolve(undefined));
      asked.end(text);
    });
  return { name, call };
};

const decode = (status: number, text: string): Answer | undefined => {
  try {
    return { status, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
  } catch {
    return { status, body: text };
  }
};
