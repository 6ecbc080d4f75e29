import { afterEach, expect, test } from "vitest";
import { problem } from "@berth/schema";
import { runProgram } from "../program.ts";
import { fakeApi, routes, type FakeApi } from "../testing/fake-api.ts";
import { fakeIo } from "../testing/fake-io.ts";

let api: FakeApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});

test("a name whose hosts are gone is removed all the same, and says that no host has it", async () => {
  const image = "oci://local/app:1";
  api = await fakeApi(
    routes({
      "GET /v1/images/inspect": { status: 404, json: problem("image.not_found", `no host has ${image}`) },
      "POST /v1/images/names": { json: { image, manifest: null, revision: 9 } },
    }),
  );
  const remove = async (name: string) => {
    const io = fakeIo({ env: api?.env ?? {} });
    return { status: await runProgram(io, ["image", "rm", name]), err: io.errText() };
  };
  const gone = await remove(image);
  expect(gone.status).not.toBe(0);
  expect(gone.err).toContain(`no host has ${image}`);
  const named = () => api?.requests.filter(({ method }) => method === "POST").map(({ body }) => JSON.parse(body));
  expect(named()).toEqual([{ image, manifest: null }]);
  // Of a registry's names the cluster keeps nothing.
  expect((await remove("oci://registry.lan/app:1")).status).not.toBe(0);
  expect(named()).toHaveLength(1);
});
