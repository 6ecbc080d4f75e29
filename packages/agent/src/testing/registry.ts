/**
 * A real registry (Debian's docker-registry) with images made by real tools (skopeo, umoci), on a port of its own. With
 * credentials, behind TLS, or behind a door that can be shut in the middle of an answer.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";

export interface RegistryOptions {
  /** As its configuration has it; `user` is a short way for one. */
  readonly auth?: object;
  readonly user?: { readonly name: string; readonly password: string };
  readonly tls?: { readonly cert: string; readonly key: string };
}

export interface TestRegistry {
  readonly host: string;
  readonly close: () => Promise<void>;
}

const bcrypt = (password: string): string =>
  execFileSync(
    "python3",
    [
      "-W",
      "ignore",
      "-c",
      "import crypt,sys; print(crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))",
    ].concat(password),
    { encoding: "utf8" },
  ).trim();

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });

export const startRegistry = async (storage: string, options: RegistryOptions = {}): Promise<TestRegistry> => {
  const directory = mkdtempSync(join(tmpdir(), "berth-registry-"));
  const port = await freePort();
  const config: { [key: string]: unknown } = {
    version: 0.1,
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: storage }, delete: { enabled: true } },
    http: {
      addr: `127.0.0.1:${port}`,
      ...(options.tls === undefined ? {} : { tls: { certificate: options.tls.cert, key: options.tls.key } }),
    },
  };
  if (options.user !== undefined) {
    const file = join(directory, "htpasswd");
    writeFileSync(file, `${options.user.name}:${bcrypt(options.user.password)}\n`);
    config["auth"] = { htpasswd: { realm: "test", path: file } };
  }
  if (options.auth !== undefined) config["auth"] = options.auth;
  const file = join(directory, "config.yml");
  writeFileSync(file, JSON.stringify(config));
  const child = spawn("docker-registry", ["serve", file], { stdio: "ignore" });
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    await sleep(20);
  }
  return {
    host: `127.0.0.1:${port}`,
    close: async () => {
      child.kill("SIGTERM");
      await ended(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
};

/**
 * Passes everything on until so many bytes came back; then the connection breaks, `times` times. `bytesPerMs`: no faster than
 * that.
 */
export const breakingDoor = async (
  to: string,
  afterBytes: number,
  times: number,
  bytesPerMs = Number.POSITIVE_INFINITY,
): Promise<{ readonly host: string; readonly broken: () => number; readonly close: () => Promise<void> }> => {
  const port = Number(to.split(":")[1]);
  const sockets = new Set<Socket>();
  let broken = 0;
  const server: Server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    let passed = 0;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        client.destroy();
        upstream.destroy();
        sockets.delete(socket);
      });
    }
    client.pipe(upstream);
    upstream.on("data", (bytes: Buffer) => {
      passed += bytes.length;
      if (passed > afterBytes && broken < times) {
        broken += 1;
        client.destroy();
        return;
      }
      client.write(bytes);
      if (bytesPerMs === Number.POSITIVE_INFINITY) return;
      upstream.pause();
      setTimeout(() => upstream.resume(), bytes.length / bytesPerMs);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    broken: () => broken,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};

export interface ImageSource {
  /** Files of each layer, bottom first; a name that ends with `.wh` forms is passed on as it is. */
  readonly layers: readonly Readonly<{ [path: string]: string | Uint8Array }>[];
  readonly config?: readonly string[];
  readonly format?: "oci" | "docker";
}

/** An OCI layout made with umoci; its image is called `made`. */
const makeLayout = (directory: string, source: ImageSource): string => {
  const layout = join(directory, "layout");
  rmSync(layout, { recursive: true, force: true });
  const umoci = (...args: string[]) => execFileSync("umoci", args, { cwd: directory, stdio: "pipe" });
  umoci("init", "--layout", layout);
  umoci("new", "--image", `${layout}:made`);
  source.layers.forEach((files, index) => {
    const tree = join(directory, `layer-${index}`);
    rmSync(tree, { recursive: true, force: true });
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(tree, path, ".."), { recursive: true });
      writeFileSync(join(tree, path), content, { mode: 0o755 });
    }
    const archive = join(directory, `layer-${index}.tar`);
    execFileSync("tar", ["-C", tree, "--owner=0", "--group=0", "--mtime=@0", "--sort=name", "-cf", archive, "."]);
    umoci("raw", "add-layer", "--image", `${layout}:made`, archive);
  });
  if (source.config !== undefined) umoci("config", "--image", `${layout}:made`, ...source.config);
  return layout;
};

/** An archive of an image, as it is imported: a tar of an OCI layout. */
export const archiveImage = (directory: string, target: string, source: ImageSource): void => {
  execFileSync("tar", ["-C", makeLayout(directory, source), "-cf", target, "."]);
};

/** An image of one layer, made and given to a registry by buildah. */
export const buildahImage = (
  directory: string,
  target: string,
  files: Readonly<{ [path: string]: string }>,
  config: readonly string[],
): void => {
  const storage = join(directory, "buildah");
  mkdirSync(storage);
  const policy = join(storage, "policy.json");
  writeFileSync(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  const places = ["--root", join(storage, "root"), "--runroot", join(storage, "run"), "--storage-driver", "vfs"];
  const run = (...words: string[]): string =>
    execFileSync("buildah", [...places, ...words], { cwd: storage, encoding: "utf8", stdio: "pipe" }).trim();
  const made = run("from", "--signature-policy", policy, "scratch");
  for (const [path, content] of Object.entries(files)) {
    writeFileSync(join(storage, "content"), content, { mode: 0o755 });
    run("add", made, join(storage, "content"), path);
  }
  run("config", ...config, made);
  run("commit", "-q", "--signature-policy", policy, "--tls-verify=false", made, `docker://${target}`);
};

/** Gives such an image to a registry with skopeo. */
export const pushImage = (
  directory: string,
  target: string,
  source: ImageSource,
  login: readonly string[] = [],
): void => {
  const layout = makeLayout(directory, source);
  const format = source.format === "docker" ? ["--format", "v2s2"] : [];
  const flags = ["--insecure-policy", "copy", "-q", "--dest-tls-verify=false", ...format, ...login];
  execFileSync("skopeo", [...flags, `oci:${layout}:made`, `docker://${target}`], { stdio: "pipe" });
};
