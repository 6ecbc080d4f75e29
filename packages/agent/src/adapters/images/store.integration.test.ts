/** Pulling from a real registry what real tools have made. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { err, ok, problem } from "@berth/schema";
import { architectureOf } from "../../core/images/manifest.ts";
import {
  breakingDoor,
  buildahImage,
  pushImage,
  startRegistry,
  type RegistryOptions,
  type TestRegistry,
} from "../../testing/registry.ts";
import { NO_PROGRESS } from "../../core/images/progress.ts";
import { startTokenService } from "../../testing/token-service.ts";
import { openRegistrySettings } from "./registry-settings.ts";
import { signalNumber } from "./contents.ts";
import { openImageSettings } from "./image-settings.ts";
import { openOciStore } from "./store.ts";

const never = new AbortController().signal;
let directory: string;
let storage: string;
let registry: TestRegistry;
let store: Awaited<ReturnType<typeof open>>;
/** Registries of a single test: closed whatever becomes of it. */
const others: TestRegistry[] = [];
const another = async (options?: RegistryOptions): Promise<TestRegistry> => {
  const started = await startRegistry(storage, options);
  others.push(started);
  return started;
};

const settingsFile = () => join(directory, "registries.json");
const setUp = (settings: unknown): void => writeFileSync(settingsFile(), JSON.stringify(settings));
const open = async () => {
  const opened = await openOciStore(
    join(directory, "store"),
    openRegistrySettings(settingsFile()),
    openImageSettings(join(directory, "images.json")),
  );
  let count = 0;
  return {
    verbs: opened,
    prepare: (image: string, signal: AbortSignal) => opened.prepare(image, `holder-${(count += 1)}`, { signal }),
  };
};
const push = (name: string, layers: { [path: string]: string | Uint8Array }[], ...config: string[]) =>
  pushImage(directory, `${registry.host}/${name}`, { layers, config });
const blobs = () => readdirSync(join(directory, "store/blobs/sha256"));
const layers = () => readdirSync(join(directory, "store/layers/sha256")).filter((name) => !name.endsWith(".seal"));

beforeAll(async () => {
  storage = mkdtempSync(join(tmpdir(), "berth-registry-store-"));
  registry = await startRegistry(storage);
});
afterAll(async () => {
  await registry.close();
  rmSync(storage, { recursive: true, force: true });
});
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "berth-images-"));
  store = await open();
});
afterEach(async () => {
  await Promise.all(others.splice(0).map((one) => one.close()));
  rmSync(directory, { recursive: true, force: true });
});

describe("a pull", () => {
  test("layers topmost first, and what the image says about running it", async () => {
    push(
      "app:1",
      [{ "etc/base": "below" }, { "etc/app": "above", "etc/.wh.base": "" }],
      "--config.entrypoint=/bin/app",
      "--config.cmd=serve",
      "--config.env=LANG=C.UTF-8",
      "--config.workingdir=/srv",
      "--config.user=1000:1000",
      "--config.stopsignal=SIGQUIT",
    );
    const { layers: paths, defaults } = await store.prepare(`oci://${registry.host}/app:1`, never);
    expect(defaults).toMatchObject({
      command: ["/bin/app", "serve"],
      env: { LANG: "C.UTF-8" },
      workdir: "/srv",
      user: "1000:1000",
      stopSignal: 3,
    });
    expect(paths).toHaveLength(2);
    expect(readFileSync(join(paths[0]!, "etc/app"), "utf8")).toBe("above");
    expect(statSync(join(paths[0]!, "etc/base")).isCharacterDevice()).toBe(true);
    expect(readFileSync(join(paths[1]!, "etc/base"), "utf8")).toBe("below");
  });

  test("once per digest, however many ask; layers are shared by images", async () => {
    const common = { "bin/tool": randomBytes(200_000) };
    push("one:1", [common, { "etc/a": "1" }]);
    push("two:1", [common, { "etc/b": "2" }]);
    await Promise.all(Array.from({ length: 5 }, () => store.prepare(`oci://${registry.host}/one:1`, never)));
    await store.prepare(`oci://${registry.host}/two:1`, never);
    expect(layers()).toHaveLength(3);
    /* Manifests and configurations only: of each layer the tree is the one copy. */
    expect(blobs()).toHaveLength(4);
  });

  test("of an index of several platforms, that of this host", async () => {
    const manifest = async (tag: string, platform: string) => {
      push(`multi:${tag}`, [{ which: tag }]);
      const mediaType = "application/vnd.oci.image.manifest.v1+json";
      const answer = await fetch(`http://${registry.host}/v2/multi/manifests/${tag}`, {
        headers: { accept: mediaType },
      });
      const digest = answer.headers.get("docker-content-digest");
      return {
        mediaType,
        digest,
        size: (await answer.arrayBuffer()).byteLength,
        platform: { os: "linux", architecture: platform },
      };
    };
    const mediaType = "application/vnd.oci.image.index.v1+json";
    const manifests = [await manifest("other", "s390x"), await manifest("own", architectureOf(arch()))];
    const put = await fetch(`http://${registry.host}/v2/multi/manifests/all`, {
      method: "PUT",
      headers: { "content-type": mediaType },
      body: JSON.stringify({ schemaVersion: 2, mediaType, manifests }),
    });
    expect(put.status).toBe(201);
    const { layers: paths } = await store.prepare(`oci://${registry.host}/multi:all`, never);
    expect(readFileSync(join(paths[0]!, "which"), "utf8")).toBe("own");
  });

  test("Docker's own manifest, zstd layers", async () => {
    pushImage(directory, `${registry.host}/docker:1`, { layers: [{ a: "1" }], format: "docker" });
    await store.prepare(`oci://${registry.host}/docker:1`, never);
    push("plain:1", [{ b: "2" }]);
    const copy = (...args: string[]) =>
      execFileSync("skopeo", [
        "--insecure-policy",
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        ...args,
      ]);
    copy(
      "--dest-compress-format",
      "zstd",
      "--dest-compress",
      `docker://${registry.host}/plain:1`,
      `dir:${directory}/zstd`,
    );
    copy(`dir:${directory}/zstd`, `docker://${registry.host}/zstd:1`);
    const { layers: paths } = await store.prepare(`oci://${registry.host}/zstd:1`, never);
    expect(readFileSync(join(paths[0]!, "b"), "utf8")).toBe("2");
  });

  test("what buildah has made and pushed", async () => {
    const config = ["--entrypoint", '["/bin/app","serve"]', "--env", "LANG=C.UTF-8", "--user", "1000"];
    buildahImage(directory, `${registry.host}/buildah:1`, { "/etc/app": "by buildah" }, config);
    const { layers: paths, defaults } = await store.prepare(`oci://${registry.host}/buildah:1`, never);
    expect(readFileSync(join(paths[0]!, "etc/app"), "utf8")).toBe("by buildah");
    expect(defaults).toMatchObject({ command: ["/bin/app", "serve"], env: { LANG: "C.UTF-8" }, user: "1000" });
  });

  test("a name that is here needs no registry; latest asks, and does without", async () => {
    const own = await another();
    pushImage(directory, `${own.host}/kept:1`, { layers: [{ a: "1" }] });
    pushImage(directory, `${own.host}/kept:latest`, { layers: [{ a: "1" }] });
    const first = await store.prepare(`oci://${own.host}/kept`, never);
    await store.prepare(`oci://${own.host}/kept:1`, never);
    pushImage(directory, `${own.host}/kept:latest`, { layers: [{ a: "2" }] });
    pushImage(directory, `${own.host}/kept:1`, { layers: [{ a: "2" }] });
    const second = await store.prepare(`oci://${own.host}/kept`, never);
    expect(second.layers).not.toEqual(first.layers);
    expect((await store.prepare(`oci://${own.host}/kept:1`, never)).layers).toEqual(first.layers);
    await own.close();
    store = await open();
    expect((await store.prepare(`oci://${own.host}/kept`, never)).layers).toEqual(second.layers);
    await expect(store.prepare(`oci://${own.host}/other`, never)).rejects.toThrow(/cannot be reached/);
  });
});

test.each([
  ["SIGTERM", 15],
  ["int", 2],
  ["9", 9],
  ["SIGRTMIN+3", 37],
  ["", null],
  ["SIGNONSENSE", null],
  ["0", null],
])("stop signal %j of an image", (text, number) => expect(signalNumber(text)).toBe(number));

describe("what a registry asks for", () => {
  test("a name and a password, from a file or a helper", async () => {
    const own = await another({ user: { name: "berth", password: "s3cret" } });
    const image = `oci://${own.host}/private:1`;
    try {
      pushImage(directory, `${own.host}/private:1`, { layers: [{ a: "1" }] }, ["--dest-creds", "berth:s3cret"]);
      await expect(store.prepare(image, never)).rejects.toThrow(/asks for credentials and none are set/);
      writeFileSync(join(directory, "wrong"), "guess\n");
      setUp({ [own.host]: { username: "berth", passwordFile: join(directory, "wrong") } });
      await expect(store.prepare(image, never)).rejects.toThrow(/does not let this host read private \(401\)/);
      const helper = join(directory, "docker-credential-test");
      writeFileSync(
        helper,
        '#!/bin/sh\nread registry\necho "{\\"Username\\":\\"berth\\",\\"Secret\\":\\"s3cret\\"}"\n',
      );
      chmodSync(helper, 0o755);
      const path = process.env["PATH"];
      process.env["PATH"] = `${directory}:${path}`;
      try {
        setUp({ [own.host]: { credentialHelper: "test" } });
        expect((await store.prepare(image, never)).layers).toHaveLength(1);
      } finally {
        process.env["PATH"] = path;
      }
    } finally {
      await own.close();
    }
  });

  test("a bearer token of the service that it names, for what is asked and no more", async () => {
    const user = { name: "berth", password: "s3cret" };
    const tokens = await startTokenService(directory, user);
    try {
      const own = await another({ auth: tokens.auth });
      const image = `oci://${own.host}/team/private:1`;
      // Both have the same storage; this one asks for nothing.
      push("team/private:1", [{ a: "1" }]);
      await expect(store.prepare(image, never)).rejects.toThrow(/gives no token for team\/private \(401\)/);
      writeFileSync(join(directory, "password"), "s3cret\n");
      setUp({ [own.host]: { username: "berth", passwordFile: join(directory, "password") } });
      expect((await store.prepare(image, never)).layers).toHaveLength(1);
      expect(new Set(tokens.scopes)).toEqual(new Set(["repository:team/private:pull"]));
      await store.verbs.push(image, `oci://${own.host}/team/second:1`, { progress: NO_PROGRESS, signal: never });
      expect(tokens.scopes.some((scope) => /^repository:team\/second:.*push/.test(scope))).toBe(true);
    } finally {
      await tokens.close();
    }
  });

  test("TLS with an authority of its own; plain HTTP only where it is allowed", async () => {
    const key = join(directory, "key.pem");
    const cert = join(directory, "cert.pem");
    const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-keyout", key, "-out", cert, ...subject],
      { stdio: "pipe" },
    );
    const own = await another({ tls: { cert, key } });
    try {
      push("tls:1", [{ a: "1" }]);
      setUp({ [own.host]: { plainHttp: false } });
      await expect(store.prepare(`oci://${own.host}/tls:1`, never)).rejects.toThrow(/self.signed certificate/);
      setUp({ [own.host]: { plainHttp: false, caFile: cert } });
      expect((await store.prepare(`oci://${own.host}/tls:1`, never)).layers).toHaveLength(1);
      setUp({ [registry.host]: { plainHttp: false } });
      await expect(store.prepare(`oci://${registry.host}/tls:1`, never)).rejects.toThrow(/seems to speak plain HTTP/);
    } finally {
      await own.close();
    }
  });

  test("mirrors come first, and the registry when they fail", async () => {
    push("mirrored:1", [{ a: "1" }]);
    setUp({ "registry.invalid": { mirrors: ["127.0.0.1:1", registry.host] } });
    expect((await store.prepare("oci://registry.invalid/mirrored:1", never)).layers).toHaveLength(1);
  });

  test("settings that are wrong say where", async () => {
    setUp({ [registry.host]: { plainHTTP: true } });
    await expect(store.prepare(`oci://${registry.host}/a`, never)).rejects.toThrow(/registries\.json .*plainHTTP/);
  });
});

test("pushed to the cluster under a name of its own, other hosts have it without its registry", async () => {
  const own = await another();
  const image = `oci://${own.host}/far:1`;
  pushImage(directory, `${own.host}/far:1`, { layers: [{ a: "1" }, { b: "2" }] });
  await store.prepare(image, never);
  const work = { progress: NO_PROGRESS, signal: never };
  await expect(store.verbs.push(image, "oci://local/web/snapshots/a:0.one", work)).rejects.toThrow(/snapshot create/);
  expect(await store.verbs.push(image, "oci://local/far:1", work)).toMatchObject({ image: "oci://local/far:1" });
  await own.close();
  expect(await store.verbs.list()).toContainEqual(
    expect.objectContaining({ name: "oci://local/far:1", source: "import" }),
  );
  const reader = await openOciStore(
    join(directory, "reader"),
    openRegistrySettings(settingsFile()),
    openImageSettings(join(directory, "images.json")),
    {
      find: async (name) => {
        const found = await store.verbs.inspect(name);
        return found === undefined ? undefined : { manifest: found.manifest, imported: found.source === "import" };
      },
      read: async (_name, digest, offset) => {
        const piece = await store.verbs.blob(digest, offset);
        return piece === undefined ? err(problem("image.not_found", digest)) : ok(piece);
      },
    },
  );
  const { layers: paths } = await reader.prepare("oci://local/far:1", "holder", { signal: never });
  expect(readFileSync(join(paths[0]!, "b"), "utf8")).toBe("2");
  // Of the image of the registry alone no archive would be here.
  await store.verbs.remove("oci://local/far:1");
  expect(blobs()).toHaveLength(2);
});

test("what the name of a registry is, its registry says, whatever other hosts say that they have imported", async () => {
  push("claimed:1", [{ a: "of the registry" }]);
  let read = 0;
  const reader = await openOciStore(
    join(directory, "reader"),
    openRegistrySettings(settingsFile()),
    openImageSettings(join(directory, "images.json")),
    {
      find: async () => ({ manifest: `sha256:${"a".repeat(64)}`, imported: true }),
      read: async (_name, digest) => {
        read += 1;
        return err(problem("image.not_found", digest));
      },
    },
  );
  const { layers: paths } = await reader.prepare(`oci://${registry.host}/claimed:1`, "holder", { signal: never });
  expect(readFileSync(join(paths[0]!, "a"), "utf8")).toBe("of the registry");
  await expect(reader.prepare(`oci://${registry.host}/unknown:1`, "holder", { signal: never })).rejects.toThrow(
    /has no .*unknown.*Other hosts have an image under this name, but .*its registry says: import it here too/s,
  );
  // Nor what has another digest than the name asks for, while its registry is away.
  const fixed = `oci://127.0.0.1:1/claimed@sha256:${"b".repeat(64)}`;
  await expect(reader.prepare(fixed, "holder", { signal: never })).rejects.toThrow(/cannot be reached/);
  expect(read).toBe(0);
});

/** The digest of the first layer of the one image whose manifest is here, without its `sha256:`. */
const firstLayer = (): string => {
  const manifest = blobs()
    .map((name) => readFileSync(join(directory, "store/blobs/sha256", name), "utf8"))
    .map((text) => JSON.parse(text) as { layers?: { digest: string }[] })
    .find((one) => one.layers !== undefined);
  return manifest!.layers![0]!.digest.slice("sha256:".length);
};

describe("what goes wrong", () => {
  test("a registry that dies in the middle: what came is kept, and the rest is fetched", async () => {
    push("large:1", [{ big: randomBytes(3_000_000) }]);
    const door = await breakingDoor(registry.host, 1_000_000, 2);
    try {
      const { layers: paths } = await store.prepare(`oci://${door.host}/large:1`, never);
      expect(statSync(join(paths[0]!, "big")).size).toBe(3_000_000);
      expect(door.broken()).toBe(2);
    } finally {
      await door.close();
    }
  });

  test("a life that ended in the middle: half a blob is continued, half a layer is forgotten", async () => {
    push("half:1", [{ big: randomBytes(500_000) }]);
    await store.prepare(`oci://${registry.host}/half:1`, never);
    const [layer] = layers();
    rmSync(join(directory, "store/layers/sha256", layer!), { recursive: true });
    mkdirSync(join(directory, "store/layers/sha256/.half-x"));
    const digest = firstLayer();
    writeFileSync(join(directory, "store/blobs/sha256", `${digest}.part`), "not what it was");
    store = await open();
    expect(layers()).toEqual([]);
    /* The wrong beginning shows in the digest; the second attempt begins anew. */
    expect((await store.prepare(`oci://${registry.host}/half:1`, never)).layers).toHaveLength(1);
    expect(layers()).toEqual([layer]);
  });

  test.each([
    ["as it was", (bytes: Buffer) => bytes],
    ["with a byte too many", (bytes: Buffer) => Buffer.concat([bytes, Buffer.from("x")])],
    ["damaged", (bytes: Buffer) => bytes.fill(0)],
  ])("a life that ended between the last byte of a blob and its name: %s", async (_how, left) => {
    push("unnamed:1", [{ big: randomBytes(500_000) }]);
    await store.prepare(`oci://${registry.host}/unnamed:1`, never);
    const digest = firstLayer();
    const archive = join(storage, "docker/registry/v2/blobs/sha256", digest.slice(0, 2), digest, "data");
    const [layer] = layers();
    rmSync(join(directory, "store/layers/sha256", layer!), { recursive: true });
    writeFileSync(join(directory, "store/blobs/sha256", `${digest}.part`), left(readFileSync(archive)));
    store = await open();
    expect((await store.prepare(`oci://${registry.host}/unnamed:1`, never)).layers).toHaveLength(1);
    expect(layers()).toEqual([layer]);
    expect(blobs().filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  test("another content behind a digest is refused", async () => {
    push("evil:1", [{ a: "1" }]);
    const blob = execFileSync("find", [
      join(storage, "docker/registry/v2/blobs"),
      "-name",
      "data",
      "-newermt",
      "-2 seconds",
    ])
      .toString()
      .trim()
      .split("\n");
    for (const file of blob) {
      const text = readFileSync(file);
      if (!text.includes('"schemaVersion"')) writeFileSync(file, Buffer.concat([text.subarray(1), Buffer.from("x")]));
    }
    await expect(store.prepare(`oci://${registry.host}/evil:1`, never)).rejects.toThrow(/was sent with other content/);
    expect(layers()).toEqual([]);
  });

  test.each([
    ["nothing:1", /has no nothing:1$/],
    ["app", /has no app:latest$/],
  ])("an image that does not exist: %s", async (name, reason) => {
    await expect(store.prepare(`oci://${registry.host}/${name}`, never)).rejects.toThrow(reason);
  });

  test("who gives up does not wait", async () => {
    push("slow:1", [{ big: randomBytes(100_000) }]);
    const stop = new AbortController();
    const pulling = store.prepare(`oci://${registry.host}/slow:1`, stop.signal);
    stop.abort(new Error("not wanted any more"));
    await expect(pulling).rejects.toThrow("not wanted any more");
  });
});
