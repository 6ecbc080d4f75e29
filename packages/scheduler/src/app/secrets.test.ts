/** What is sealed for a host, and how often. */
import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import type { HostId, ProjectName } from "@berth/schema";
import { createVault } from "../adapters/files/vault.ts";
import { decideHello, decideSecret } from "../core/index.ts";
import { makeHello, makeSpec, resources, unwrap, World } from "../core/testing/world.ts";
import { createSealer } from "./secrets.ts";

const sealingKey = (): string => {
  const { publicKey } = generateKeyPairSync("x25519");
  return Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url").toString("base64");
};

test("what has not changed is not sealed anew; another value and another key of the host are", () => {
  const world = new World();
  const host = "h1" as HostId;
  const project = "media" as ProjectName;
  const hello = (session: string): void => {
    const said = { ...makeHello(resources(4_000, 8_192), session), sealingKey: sealingKey() };
    world.append(unwrap(decideHello(world.state, host, said)));
  };
  const vault = createVault(generateKeyPairSync("ed25519").privateKey);
  const set = (name: string, value: string): void => {
    const draft = { project, name, ...vault.encrypt(`media/${name}`, Buffer.from(value)) };
    world.append(unwrap(decideSecret(world.state, draft, "ann")));
  };
  world.host("h1");
  hello("session-0000000002");
  set("a", "one");
  set("b", "two");
  const secrets = [{ secret: "a" }, { secret: "b" }];
  world.submit(makeSpec("job", { kind: "service", secrets }));
  world.plan();

  const leftOut: string[] = [];
  const seal = createSealer(vault, (_host, key) => void leftOut.push(key));
  const first = seal(world.state, host).secrets ?? {};
  expect(Object.keys(first).toSorted()).toEqual(["media/a", "media/b"]);
  expect(seal(world.state, host).secrets).toEqual(first);
  set("a", "three");
  const second = seal(world.state, host).secrets ?? {};
  expect(second["media/b"]).toEqual(first["media/b"]);
  expect(second["media/a"]).not.toEqual(first["media/a"]);
  hello("session-0000000003");
  const third = seal(world.state, host).secrets ?? {};
  for (const key of ["media/a", "media/b"]) expect(third[key]).not.toEqual(second[key]);
  expect(leftOut).toEqual([]);
});
