/**
 * The text of the embedded server's configuration. Permissions are allow-lists only: agents have no JetStream right at
 * all, since any such right, however narrow, can be turned against another host (a delivery subject is not checked).
 */
import { agentPermissions } from "@berth/schema";
import type { AdmittedHost } from "../../ports/admission.ts";
import { isAtLeast, type NatsBinary } from "./binary.ts";

export interface NatsConfig {
  readonly host: string;
  readonly port: number;
  readonly storeDir: string;
  readonly pidFile: string;
  /** Bound of everything JetStream may keep on disk. */
  readonly maxStoreBytes: number;
  readonly version: NatsBinary["version"];
  /** Undefined: plain. Clients prove themselves by their nkey, so none has a certificate. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

const quote = (text: string): string => JSON.stringify(text);
const list = (items: readonly string[]): string => `[${items.map(quote).join(", ")}]`;

export const USERS_FILE = "users.conf";

const renderTls = (tls: NatsConfig["tls"]): string =>
  tls === undefined
    ? ""
    : `tls {
  cert_file: ${quote(tls.certificate)}
  key_file: ${quote(tls.key)}
  timeout: 5
}
`;

export const renderConfig = (config: NatsConfig): string =>
  `# Written by the Berth scheduler at every start; changes here are lost.
host: ${quote(config.host)}
port: ${config.port}
server_name: "berth-${config.port}"
pid_file: ${quote(config.pidFile)}
ping_interval: "10s"
ping_max: 2
write_deadline: "5s"
${renderTls(config.tls)}jetstream {
  store_dir: ${quote(config.storeDir)}
  max_file_store: ${config.maxStoreBytes}
  max_memory_store: 67108864
${isAtLeast(config.version, [2, 10, 0]) ? "  sync_interval: always\n" : ""}}
accounts {
  APP {
    jetstream: enabled
    include ${quote(USERS_FILE)}
  }
  SYS { }
}
system_account: SYS
`;

/** Users lie in a file of their own: it is replaced at every admission and kept over restarts. */
export const renderUsers = (controlKey: string, hosts: readonly AdmittedHost[]): string => {
  const lines = hosts.map((host) => {
    const { publish, subscribe } = agentPermissions(host.id);
    return `  # ${host.id}
  { nkey: ${host.publicKey}, permissions {
      publish { allow: ${list(publish)} }
      subscribe { allow: ${list(subscribe)} }
      allow_responses { max: 1, ttl: "1m" } } }`;
  });
  return `users: [\n  { nkey: ${controlKey} }\n${lines.join("\n")}${lines.length > 0 ? "\n" : ""}]\n`;
};
