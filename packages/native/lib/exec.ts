/**
 * Another program in a running container. The request is a spec of the same form as that of a start, of which the
 * supervisor takes the command and what goes with it; everything else is the container's. The connection is the
 * program's: its bytes travel there, and when it ends, whoever ended it, the program is killed.
 */
import type { Socket } from "node:net";
import { constants } from "node:os";
import type { ControlConnection } from "./control.ts";
import { nativeError } from "./errors.ts";
import { op, reply } from "./frames.ts";
import { lostExecRecord, notStartedRecord } from "./lost.ts";
import { parseExit } from "./records.ts";
import { Session } from "./session.ts";
import { encodeSpec, type SpecContext } from "./spec.ts";
import { encodeCgroups, type Cgroups } from "./spec/cgroups.ts";
import type { Capability, ExecResult, ExecSpec, ExitRecord, NativeError } from "./types.ts";

const VERSION_AT = 4;
const FLAGS_AT = 12;
const FLAG_EXEC = 256;
const FLAG_WORKDIR = 512;
/** The supervisor gives nothing that the container does not have; what it has was a matter of policy then. */
const ANY: readonly Capability[] = ["dac_read_search", "net_admin", "sys_admin", "sys_ptrace"];

/**
 * BERTH_SPEC_VERSION by BERTH_CONTROL_LEVEL, as far as they differ from those of today. Versions 2 to 4 only added sections
 * at the end of the header, none of which a request has; so what an older supervisor reads is the same but for the number,
 * and a few zeros that nothing refers to.
 */
const SPEC_VERSIONS: ReadonlyMap<number, number> = new Map([
  [2, 2],
  [3, 2],
  [4, 3],
]);

type Encoded = { readonly ok: true; readonly value: Uint8Array } | { readonly ok: false; readonly error: NativeError };

/** What its limits are in cgroup files. */
export type ExecCgroups = Omit<Cgroups, "parent">;
const NO_CGROUPS: ExecCgroups = { hierarchies: [], writes: [] };

const CONTEXT: SpecContext = {
  log: {},
  attachLayers: false,
  limitsDisk: false,
  policy: { capabilities: ANY },
  stateDir: "/",
};

/** For a supervisor of that level, the one of today when it is not known. */
export const encodeExec = (exec: ExecSpec, controlLevel?: number, cgroups = NO_CGROUPS): Encoded => {
  const { workdir, env = {}, limits: _, ...rest } = exec;
  const term = exec.terminal === undefined || env["TERM"] !== undefined ? {} : { TERM: "xterm" };
  const encoded = encodeSpec(
    {
      ...rest,
      env: { ...term, ...env },
      workdir: workdir ?? "/",
      /* Not looked at, but a spec has them. */
      id: "exec",
      layers: ["/"],
      hostname: "exec",
      mounts: [],
      idBase: 65_536,
      limits: { cpuRequestMillis: 0, cpuLimitMillis: null, memoryBytes: 67_108_864, pids: 2 },
    },
    CONTEXT,
    encodeCgroups({ parent: "exec", ...cgroups }),
  );
  if (!encoded.ok) return encoded;
  const { buffer, byteOffset, byteLength } = encoded.value;
  const header = new DataView(buffer, byteOffset, byteLength);
  header.setUint32(FLAGS_AT, FLAG_EXEC | (workdir === undefined ? 0 : FLAG_WORKDIR), true);
  const version = controlLevel === undefined ? undefined : SPEC_VERSIONS.get(controlLevel);
  if (version !== undefined) header.setUint32(VERSION_AT, version, true);
  return { ok: true, value: encoded.value };
};

/** Never rejects for what the supervisor refuses; does when it cannot be asked. */
export const exec = async (
  socket: Socket,
  request: Uint8Array,
  terminal: boolean,
  control: () => ControlConnection,
): Promise<ExecResult> => {
  let settle: (exit: ExitRecord) => void = () => undefined;
  const exited = new Promise<ExitRecord>((resolve) => (settle = resolve));
  let startedAtMs: number | null = null;
  let closed = false;
  const session: Session = new Session(socket, {
    onEvent: (event) => {
      const exit = event.type === reply.execExit ? parseExit(event.payload.toString()) : undefined;
      if (exit === undefined) return;
      settle(exit);
      session.endOutput();
    },
    onClose: () => {
      const lost =
        startedAtMs === null
          ? notStartedRecord(nativeError("exec", 0, "the connection to its supervisor ended"))
          : lostExecRecord(startedAtMs);
      settle(closed ? { ...lost, cause: "signalled", signal: constants.signals.SIGKILL } : lost);
    },
  });
  try {
    const answer = await session.ask(op.exec, reply.execStarted, { a: request.length, payload: request, raw: true });
    if (answer.error !== 0) {
      session.destroy();
      const exit = parseExit(answer.payload.toString());
      const error = exit?.error ?? nativeError("exec", answer.error, refusal(answer.error));
      return { ok: false, error, exit: exit ?? notStartedRecord(error) };
    }
    startedAtMs = Date.now();
    const id = answer.payload.readUInt32LE(0);
    return {
      ok: true,
      value: {
        id,
        pid: answer.payload.readUInt32LE(4),
        terminal,
        stdin: session.stdin,
        stdout: session.stdout,
        stderr: session.stderr,
        exited,
        /* By another connection: this one may be full of input that the program does not read. */
        resize: (size) => control().resize(size, id),
        signal: (signal) => control().signal(signal, id),
        kill: () => control().kill(id),
        close: () => {
          closed = true;
          session.destroy();
        },
      },
    };
  } catch (cause) {
    session.destroy();
    throw cause;
  }
};

const refusal = (errno: number): string =>
  errno === constants.errno.EBUSY
    ? "as many programs as there can be are being executed in this container"
    : "the container does not run";
