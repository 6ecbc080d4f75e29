/** Every NATS subject, stream and bucket, once. `host` is always a HostId: a label without dots or wildcards. */
import { isLabel, type HostId } from "./ids.ts";

export const Subjects = {
  /** agent → scheduler, core publish, every heartbeat: never stored. */
  heartbeat: (host: HostId) => `hb.${host}`,
  heartbeats: "hb.*",
  /** agent → leader, request. */
  hello: (host: HostId) => `api.${host}.hello`,
  report: (host: HostId) => `api.${host}.report`,
  sync: (host: HostId) => `api.${host}.sync`,
  /** Which image of this name other hosts have, and bytes of it: a host that has them answers. */
  image: (host: HostId) => `api.${host}.image`,
  blob: (host: HostId) => `api.${host}.blob`,
  held: (host: HostId) => `api.${host}.held`,
  lease: (host: HostId) => `api.${host}.lease`,
  requests: "api.*.*",
  /** republished from KV `desired` → agent, core: a hint that may be lost. */
  desired: (host: HostId) => `host.${host}.desired`,
  /** scheduler → agent, request, signed. */
  rpc: (host: HostId) => `host.${host}.rpc`,
  /** scheduler → agent, core, credit window: frames of one session, which a signed request has opened. */
  sessionIn: (host: HostId, session: string) => `host.${host}.x.${session}.in`,
  /** agent → scheduler, core, credit window. */
  sessionOut: (host: HostId, session: string) => `st.${host}.${session}.out`,
  /** leader → other scheduler instances, core. */
  leader: "ctl.leader",
  /** follower → leader, request: a change that a user asked a follower for. */
  write: "ctl.write",
  /** The prefix of an agent's reply inboxes; answers go nowhere else. */
  inboxPrefix: (host: HostId) => `_INBOX_${host}`,
} as const;

export const Streams = {
  log: { name: "LOG", subject: "log" },
  /** `snap.<name>.<chunk>`, and `snap.<name>.manifest` once all chunks are there. */
  snapshots: {
    name: "SNAP",
    subject: "snap.>",
    chunk: (name: string, at: number) => `snap.${name}.${at}`,
    manifest: (name: string) => `snap.${name}.manifest`,
    all: (name: string) => `snap.${name}.>`,
    manifests: "snap.*.manifest",
  },
} as const;

export const Buckets = {
  /** history 1; key = host; republished to `host.<host>.desired`. */
  desired: { name: "desired", republish: { source: "$KV.desired.*", destination: "host.{{wildcard(1)}}.desired" } },
} as const;

/** Who sent a message: the host in its subject, or undefined when there is none. */
export const hostOfSubject = (subject: string): HostId | undefined => {
  const token = subject.split(".")[1];
  return token !== undefined && isLabel(token) ? (token as HostId) : undefined;
};

/** What an agent of this host may do on the bus, as nats-server permissions (no JetStream right at all). */
export const agentPermissions = (host: HostId) => ({
  publish: [`hb.${host}`, `api.${host}.>`, `st.${host}.*.out`],
  subscribe: [`_INBOX_${host}.>`, `host.${host}.>`],
});
