import { expect, test } from "vitest";
import type { HostId } from "@berth/schema";
import { isAtLeast, parseVersion } from "./binary.ts";
import { renderConfig, renderUsers } from "./config.ts";

const config = {
  host: "127.0.0.1",
  port: 4640,
  storeDir: '/data/with "quotes"/store',
  pidFile: "/data/server.pid",
  maxStoreBytes: 1_000,
  version: [2, 9, 10],
} as const;

test("what is written for a server that cannot sync, and for one that can", () => {
  expect(renderConfig(config)).toBe(`# Written by the Berth scheduler at every start; changes here are lost.
host: "127.0.0.1"
port: 4640
server_name: "berth-4640"
pid_file: "/data/server.pid"
ping_interval: "10s"
ping_max: 2
write_deadline: "5s"
jetstream {
  store_dir: "/data/with \\"quotes\\"/store"
  max_file_store: 1000
  max_memory_store: 67108864
}
accounts {
  APP {
    jetstream: enabled
    include "users.conf"
  }
  SYS { }
}
system_account: SYS
`);
  expect(renderConfig({ ...config, version: [2, 10, 0] })).toContain("sync_interval: always");
});

test("agents may speak as themselves, listen to themselves, answer what they were asked, and nothing else", () => {
  const users = renderUsers("UCONTROL", [{ id: "h7" as HostId, publicKey: "UAGENT" }]);
  expect(users).toBe(`users: [
  { nkey: UCONTROL }
  # h7
  { nkey: UAGENT, permissions {
      publish { allow: ["hb.h7", "api.h7.>", "st.h7.*.out"] }
      subscribe { allow: ["_INBOX_h7.>", "host.h7.>"] }
      allow_responses { max: 1, ttl: "1m" } } }
]
`);
});

test.each([
  ["nats-server: v2.9.10", [2, 9, 10]],
  ["nats-server: v2.11.0-beta.1", [2, 11, 0]],
  ["nothing", undefined],
])("version of %j", (output, version) => {
  expect(parseVersion(output)).toEqual(version);
});

test("versions are compared part by part", () => {
  expect(isAtLeast([2, 10, 0], [2, 9, 21])).toBe(true);
  expect(isAtLeast([2, 9, 9], [2, 9, 10])).toBe(false);
  expect(isAtLeast([3, 0, 0], [2, 9, 21])).toBe(true);
  expect(isAtLeast([2, 9, 21], [2, 9, 21])).toBe(true);
});
