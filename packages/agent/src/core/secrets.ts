/** Which secrets a task is given, and as what. A value is in no sentence. */
import { err, ok, secretKey, type JobSpec, type Result } from "@berth/schema";

export interface TaskSecrets {
  /** By the file's name. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly env: Readonly<Record<string, string>>;
}

/** As the program would see it; undefined when no variable can hold it. */
const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
};

/** `valueOf` opens what was sealed for this host. The error is a sentence. */
export const secretsOf = (
  { project, secrets = [] }: JobSpec,
  valueOf: (key: string) => Uint8Array | "absent" | "sealed",
): Result<TaskSecrets, string> => {
  const files: Record<string, Uint8Array> = {};
  const env: Record<string, string> = {};
  for (const { secret, env: variable, file } of secrets) {
    const value = valueOf(secretKey(project, secret));
    if (value === "absent") return err(`the scheduler has sent no secret ${secret} of project ${project}`);
    if (value === "sealed") return err(`the secret ${secret} of project ${project} was not sealed for this host`);
    if (file !== undefined) files[file] = value;
    if (variable === undefined) continue;
    const text = textOf(value);
    if (text === undefined)
      return err(`the secret ${secret} is not text, which alone can be in a variable; give the task a file of it`);
    env[variable] = text;
  }
  return ok({ files, env });
};
