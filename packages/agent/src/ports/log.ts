/** Where the agent says what it does, one event name per line. Fields in our vocabulary, never a secret. */
export interface Log {
  readonly debug: (fields: object, event: string) => void;
  readonly info: (fields: object, event: string) => void;
  readonly warn: (fields: object, event: string) => void;
  readonly error: (fields: object, event: string) => void;
}

/** What of an error belongs into a log line: its message and those of its causes. */
export const errorFields = (error: unknown): { readonly message: string; readonly causes?: readonly string[] } => {
  const messages: string[] = [];
  let at: unknown = error;
  while (at !== undefined && at !== null && messages.length < 5) {
    messages.push(at instanceof Error ? at.message : typeof at === "string" ? at : JSON.stringify(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  const [message = "unknown", ...causes] = messages;
  return causes.length === 0 ? { message } : { message, causes };
};
