/** Rules 30 and 40 to 42, as far as they are about the agent, the bus and the API rather than the runtime. */
import type { Edit, Mutant } from "./mutant.ts";

const agent = (name: string, find: string, replace: string): Edit => ({
  file: `packages/agent/src/${name}`,
  find,
  replace,
});
const scheduler = (name: string, find: string, replace: string): Edit => ({
  file: `packages/scheduler/src/${name}`,
  find,
  replace,
});

export const ofAgentsAndTheApi: readonly Mutant[] = [
  {
    rule: 18,
    without: "ids of volumes that are checked before they become paths",
    edits: [
      agent(
        "adapters/volumes/volume-store.ts",
        "if (!decodeId(id).ok) throw",
        "if (!decodeId(id).ok && id.length > 1000) throw",
      ),
    ],
    file: "agent/src/adapters/volumes/volume-store.test.ts",
    test: "is no id",
    ring: "unit",
  },
  {
    rule: 30,
    without: "a look at whether a range of ids is taken",
    edits: [agent("core/slots.ts", "if (!taken.has(slot)) return slot;", "if (slot >= 0) return slot;")],
    file: "agent/src/core/slots.prop.test.ts",
    test: "slots are handed out in turn, each to one at a time, and none is forgotten",
    ring: "unit",
  },
  {
    rule: 40,
    without: "the question for whom a document is",
    edits: [agent("core/accept.ts", "if (document.host !== host)", "if (document.host === undefined)")],
    file: "agent/src/core/accept.test.ts",
    test: "refuses what is for another host, and what contradicts itself",
    ring: "unit",
  },
  {
    rule: 40,
    without: "the signature under a document",
    edits: [
      agent(
        "adapters/verifier.ts",
        'Buffer.from(signature, "base64")) ? payload : undefined',
        'Buffer.from(signature, "base64")) || true ? payload : undefined',
      ),
    ],
    file: "agent/src/adapters/host.test.ts",
    test: "only the holder of the cluster key can write what is believed",
    ring: "unit",
  },
  {
    rule: 40,
    without: "the question whose inbox an answer goes to",
    edits: [
      scheduler(
        "adapters/nats/agents.ts",
        "if (message.reply?.startsWith(`${Subjects.inboxPrefix(host)}.`) !== true) {",
        "if (message.reply === undefined) {",
      ),
    ],
    file: "scheduler/src/adapters/nats/permissions.integration.test.ts",
    test: "a request whose answer would land at another host is not answered",
    ring: "integration",
  },
  {
    rule: 41,
    without: "a media type that is compared whole",
    edits: [
      scheduler(
        "adapters/http/json-body.ts",
        'server.addContentTypeParser("application/json",',
        "server.addContentTypeParser(/^application\\/json/,",
      ),
    ],
    file: "scheduler/src/adapters/http/problems.integration.test.ts",
    test: "a type that only begins like JSON",
    ring: "integration",
  },
  {
    rule: 41,
    without: "an answer to what is no HTTP",
    edits: [scheduler("adapters/http/server.ts", "    clientErrorHandler: answerBrokenRequest,\n", "")],
    file: "scheduler/src/adapters/http/problems.integration.test.ts",
    test: "bytes that are not HTTP, and headers without end",
    ring: "integration",
  },
  {
    rule: 42,
    without: "the question which page asks for the live feed",
    edits: [
      scheduler(
        "adapters/http/auth.ts",
        "if (isForeign(request) && (isUpgrade || ",
        "if (isForeign(request) && ((isUpgrade && false) || ",
      ),
    ],
    file: "scheduler/src/adapters/http/auth.integration.test.ts",
    test: "checks token, session and origin before the upgrade",
    ring: "integration",
  },
  {
    rule: 42,
    without: "a bound on frames",
    edits: [scheduler("adapters/http/server.ts", "maxPayload: SESSION_REQUEST_BYTES, ", "")],
    file: "scheduler/src/adapters/http/watch.integration.test.ts",
    test: "a frame larger than any client needs ends the connection",
    ring: "integration",
  },
  {
    rule: 42,
    without: "a look at how far a client lags behind",
    edits: [
      scheduler(
        "adapters/http/routes/watch.ts",
        "bufferedBytes: () => socket.bufferedAmount,",
        "bufferedBytes: () => 0,",
      ),
    ],
    file: "scheduler/src/adapters/http/watch.integration.test.ts",
    test: "a client that does not read is dropped, and nobody else is disturbed",
    ring: "integration",
  },
];
