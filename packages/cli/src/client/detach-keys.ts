/** Keys that leave a session instead of going to the program: `ctrl-p,ctrl-q`, each a letter with ctrl or one character. */

/** Undefined when the text names no keys. */
export const parseDetachKeys = (text: string): Buffer | undefined => {
  const bytes = text.split(",").map((word) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(word)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    return /^[\x20-\x7e]$/.test(word) ? word.charCodeAt(0) : undefined;
  });
  return bytes.includes(undefined) ? undefined : Buffer.from(bytes as number[]);
};

export interface DetachFilter {
  /** What of these keys is for the program; keys that may begin the sequence are kept until the next ones come. */
  readonly push: (keys: Buffer) => { readonly bytes: Buffer; readonly detach: boolean };
}

export const createDetachFilter = (sequence: Buffer): DetachFilter => {
  let matched = 0;
  return {
    push: (keys) => {
      const bytes: number[] = [];
      for (const key of keys) {
        // What was kept and does not go on is given, except for the part of it that may begin the sequence anew.
        while (matched > 0 && sequence[matched] !== key) {
          let shift = 1;
          while (!sequence.subarray(shift, matched).equals(sequence.subarray(0, matched - shift))) shift += 1;
          bytes.push(...sequence.subarray(0, shift));
          matched -= shift;
        }
        if (sequence[matched] !== key) bytes.push(key);
        else matched += 1;
        if (matched === sequence.length) return { bytes: Buffer.from(bytes), detach: true };
      }
      return { bytes: Buffer.from(bytes), detach: false };
    },
  };
};
