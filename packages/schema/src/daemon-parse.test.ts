import { expect, test } from "vitest";
import { parseJobDocument } from "./job-parse.ts";

const document = (more: object) => ({
  name: "n",
  kind: "daemon",
  image: "builtin://busybox",
  command: ["sh"],
  ...more,
});
const errorsOf = (more: object): string[] => {
  const parsed = parseJobDocument(document(more));
  return parsed.ok ? [] : (parsed.error.errors ?? []).map(({ message, pointer }) => `${pointer} ${message}`);
};

test("a daemon has no count of its own, and is started again whenever it ends", () => {
  const parsed = parseJobDocument(document({ placement: { require: ['host.arch == "x64"'], groups: ["g"] } }));
  expect(parsed).toMatchObject({
    ok: true,
    value: { kind: "daemon", count: 0, maxRunning: null, restart: { on: "always" } },
  });
});

test.each([
  [{ replicas: 2 }, "/replicas"],
  [{ array: { size: 2 } }, "/array"],
  [{ gang: true }, "/gang"],
  [{ disconnect: { after: "5m" } }, "/disconnect"],
  [{ placement: { maxPerHost: 1 } }, "/placement/maxPerHost"],
  [{ placement: { spread: [{ by: "host" }] } }, "/placement/spread"],
  [{ volumes: [{ volume: "data", target: "/data" }] }, "/volumes/0/volume"],
  [{ command: ["sh", "${COUNT}"] }, "/command/1"],
  [{ env: { N: "${COUNT}" } }, "/env/N"],
  [{ restart: { on: "never" } }, "/restart/on"],
  [{ outputs: [{ path: "/out" }] }, "/outputs"],
])("a daemon with %j is refused where it says that", (more, pointer) => {
  const errors = errorsOf(more);
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatch(new RegExp(`^${pointer} `));
});

test("ports have names and numbers once each, and are counted", () => {
  const ports = [{ name: "http", port: 80 }, { name: "any" }];
  expect(parseJobDocument(document({ ports }))).toMatchObject({
    value: {
      ports: [
        { name: "http", port: 80 },
        { name: "any", port: null },
      ],
      requests: { more: { ports: 2 } },
    },
  });
  expect(errorsOf({ ports: [...ports, { name: "http", port: 81 }] })).toEqual(["/ports/2/name http is used twice"]);
  expect(errorsOf({ ports: [...ports, { name: "h2", port: 80 }] })).toEqual(["/ports/2/port 80 is asked for twice"]);
  expect(errorsOf({ resources: { more: { ports: 1 } } })).toEqual([
    "/resources/more/ports is asked for by its own field, see ports",
  ]);
  expect(errorsOf({ ports: [{ name: "Http" }, { name: "a", port: 0 }] })).toHaveLength(2);
});
