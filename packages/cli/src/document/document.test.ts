// What a person sees for a broken document: the whole error text, as the terminal would show it.
import { describe, expect, test } from "vitest";
import { parseJobDocument } from "@berth/schema";
import { Failure, failureOf } from "../failure.ts";
import { renderFailure } from "../output/error.ts";
import { createColors } from "../output/style.ts";
import { MAX_DOCUMENT_BYTES, loadDocument, parseText } from "./load.ts";
import { locateIn } from "./locate.ts";
import { fakeIo } from "../testing/fake-io.ts";

const shown = (text: string | Uint8Array): string => {
  try {
    const loaded = parseText("job.yaml", typeof text === "string" ? Buffer.from(text) : text);
    const parsed = parseJobDocument(loaded.value);
    if (parsed.ok) return "fine";
    throw locateIn(loaded, failureOf(parsed.error).with({ next: [] }));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return `\n${renderFailure(error.with({ next: [] }), createColors(false), "berth")}exit ${error.exit}`;
  }
};

const HEAD = "name: x\nkind: batch\nimage: builtin://busybox\n";

describe("a broken document is shown where it is broken", () => {
  test("an unknown key, at the key", () => {
    expect(shown(`${HEAD}command: [a]\nresources:\n  memory:\n    limti: 3Gi\n`)).toMatchInlineSnapshot(`
      "
      error: The job document is not valid
        job.yaml:7:5: unknown key "limti"; known keys: request, limit, high, low, swap
             7 |     limti: 3Gi
               |     ^
      exit 65"
    `);
  });
  test("a wrong value, at the value", () => {
    expect(shown(`${HEAD}command: [a]\nresources:\n  memory: { request: 3 bananas }\n`)).toMatchInlineSnapshot(`
      "
      error: The job document is not valid
        job.yaml:6:22: "3 bananas" is not a size; write it like 256Mi, 1.5Gi or 80MB
             6 |   memory: { request: 3 bananas }
               |                      ^
      exit 65"
    `);
  });
  test("several places, in the order of the lines", () => {
    expect(shown(`${HEAD}command: [a]\ntimeouts: { run: 5 }\nreplicas: 3\nkind2: 1\n`)).toMatchInlineSnapshot(`
      "
      error: The job document is not valid
        job.yaml:5:18: must be text
             5 | timeouts: { run: 5 }
               |                  ^
        job.yaml:7:1: unknown key "kind2"; did you mean "kind"?
             7 | kind2: 1
               | ^
      exit 65"
    `);
  });
  test("a missing key, at the start", () => {
    expect(shown("# a comment\nname: x\nkind: batch\n")).toMatchInlineSnapshot(`
      "
      error: The job document is not valid
        job.yaml:2:1: "image" is missing
             2 | name: x
               | ^
      exit 65"
    `);
  });
  test("a wrong item of a list, through an alias too", () => {
    expect(shown(`${HEAD}command: [a]\nvolumes:\n  - &v { source: srv, target: /a }\n  - *v\n`)).toMatchInlineSnapshot(`
      "
      error: The job document is not valid
        job.yaml:6:18: does not fit: directory or file of the host, an absolute path without symbolic links, where the host allows it
             6 |   - &v { source: srv, target: /a }
               |                  ^
      exit 65"
    `);
  });
  test("a duplicate key", () => {
    expect(shown("name: x\nname: y\n")).toMatchInlineSnapshot(`
      "
      error: The job document is not valid YAML or JSON
        job.yaml:2:1: this key is already there: a map has each key once
             2 | name: y
               | ^
      exit 65"
    `);
  });
  test("a tab", () => {
    expect(shown("name: x\nresources:\n\tcpu: 1\n")).toMatchInlineSnapshot(`
      "
      error: The job document is not valid YAML or JSON
        job.yaml:3:1: indent with spaces: YAML does not allow tabs here
             3 |  cpu: 1
               | ^
      exit 65"
    `);
  });
  test("an open bracket", () => {
    expect(shown("name: x\ncommand: [a\nkind: batch\n")).toMatchInlineSnapshot(`
      "
      error: The job document is not valid YAML or JSON
        job.yaml:3:1: flow sequence in block collection must be sufficiently indented and end with a ]
             3 | kind: batch
               | ^
      exit 65"
    `);
  });
  test("a second document", () => {
    expect(shown("name: x\n---\nname: y\n")).toMatchInlineSnapshot(`
      "
      error: The job document is not valid YAML or JSON
        job.yaml:2:1: a second document begins here: one file holds one job
             2 | ---
               | ^
      exit 65"
    `);
  });
  test("an alias of nothing", () => {
    expect(shown("name: *none\n")).toMatchInlineSnapshot(`
      "
      error: The job document is not valid YAML or JSON
        job.yaml:1:7: the alias *none has no anchor &none before it
             1 | name: *none
               |       ^
      exit 65"
    `);
  });
  test("a tag", () => {
    expect(shown("name: !!js/function x\n")).toMatchInlineSnapshot(`
      "
      error: The job document is not valid YAML or JSON
        job.yaml:1:7: tags (!…) are not used in job documents
             1 | name: !!js/function x
               |       ^
      exit 65"
    `);
  });
  test("a list instead of a map", () => {
    expect(shown("- a\n- b\n")).toMatchInlineSnapshot(`
      "
      error: The job document is not valid
        job.yaml:1:1: must be an object
             1 | - a
               | ^
      exit 65"
    `);
  });
  test("nothing at all", () => {
    expect(shown("# only a comment\n")).toMatchInlineSnapshot(`
      "
      error: The job document is empty
        job.yaml holds no value
      exit 65"
    `);
  });
  test("bytes that are not text", () => {
    expect(shown(Buffer.from([0x6e, 0xff, 0xfe]))).toMatchInlineSnapshot(`
      "
      error: The job document is not text
        job.yaml is not valid UTF-8
      exit 65"
    `);
  });
  test("broken JSON", () => {
    expect(shown('{"name": "x", "kind": }')).toMatchInlineSnapshot(`
      "
      error: The job document is not valid
        job.yaml:1:1: "image" is missing
             1 | {"name": "x", "kind": }
               | ^
        job.yaml:1:23: must be one of service, batch, daemon
             1 | {"name": "x", "kind": }
               |                       ^
      exit 65"
    `);
  });
  test("a long line is shown around the place", () => {
    expect(shown(`${HEAD}command: [${"word, ".repeat(60)}"\0"]\n`)).toMatchInlineSnapshot(`
      "
      error: The job document is not valid
        job.yaml:4:371: must not contain a NUL character
             4 | …d, word, word, word, word, word, word, "␀"]
               |                                         ^
      exit 65"
    `);
  });
});

describe("hostile documents", () => {
  test("a bomb of aliases is refused before it grows", () => {
    const lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
    for (let at = 1; at < 9; at += 1) {
      const [before, name] = [String.fromCodePoint(96 + at), String.fromCodePoint(97 + at)];
      lines.push(`${name}: &${name} [${`*${before}, `.repeat(10)}]`);
    }
    expect(shown(lines.join("\n"))).toContain("more than 50 uses of aliases");
  });
  test("deep nesting is an error, not a crash", () => {
    expect(shown("[".repeat(20_000))).toContain("nested too deeply");
  });
  test("keys that JavaScript knows are keys like any other", () => {
    expect(shown("__proto__: { name: x }\nconstructor: 1\n")).toContain('unknown key "__proto__"');
  });
  test("an alias of itself does not loop", () => {
    expect(shown("name: &x [*x]\n")).toContain("exit 65");
  });
  test("a file beyond the limit is not read to its end", async () => {
    const io = fakeIo({ stdin: "#".repeat(MAX_DOCUMENT_BYTES + 1) });
    await expect(loadDocument(io, "-")).rejects.toMatchObject({ code: "request.too_large", exit: 65 });
    await expect(loadDocument(io, "/dev/zero")).rejects.toMatchObject({ code: "request.too_large" });
  });
});

describe("a file that cannot be read", () => {
  test.each([
    ["/nowhere/job.yaml", 66, "there is no such file"],
    ["/tmp", 66, "it is a directory"],
  ])("%s", async (file, exit, detail) => {
    await expect(loadDocument(fakeIo(), file)).rejects.toMatchObject({ exit, detail });
  });
});
