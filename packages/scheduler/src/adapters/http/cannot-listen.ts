/** Why an address cannot be listened on, and which flag takes another one. */
import { StartupProblem } from "../../ports/startup-problem.ts";

/** The flags that the address came from. */
export interface AddressFlags {
  readonly host: string;
  readonly port: string;
}

export const API_FLAGS: AddressFlags = { host: "--api-host", port: "--api-port" };
export const LISTEN_FLAGS: AddressFlags = { host: "--listen", port: "--listen-port" };

export const cannotListen = (
  error: unknown,
  { host, port }: { readonly host: string; readonly port: number },
  flags: AddressFlags,
): StartupProblem => {
  const { code, message } = error as NodeJS.ErrnoException;
  const what =
    code === "EADDRINUSE"
      ? `port ${port} on ${host} is taken; choose another one with ${flags.port}`
      : `cannot listen on ${host}:${port}: ${message}; choose another address with ${flags.host}`;
  return new StartupProblem(what, { cause: error });
};
