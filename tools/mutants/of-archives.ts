/** Rules 15, 17, 35 and 36: archives, and who takes them apart. */
import { ANY_LINK, unpack, type Mutant } from "./mutant.ts";

export const ofArchives: readonly Mutant[] = [
  {
    rule: 15,
    without: "a root of its own for who unpacks, and links that stay inside of it",
    edits: [ANY_LINK, unpack("jail.c", 'if (fchdir(tree) < 0 || chroot(".") < 0)', "if (fchdir(tree) < 0)")],
    file: "unpack/hostile.test.ts",
    test: "a symbolic link to what only the host has leads nowhere",
  },
  {
    rule: 17,
    without: "a look at whether the process that takes an archive apart is still there",
    edits: [
      unpack(
        "main.c",
        'return unpack_bad(report, STAGE, "", "the reader of the archive was killed");',
        "return report->ok = true, 0;",
      ),
    ],
    file: "unpack/hostile.test.ts",
    test: "whoever reads an archive owns nothing, and its death is the archive's failure alone",
  },
  {
    rule: 17,
    without: "the refusal of what is damaged",
    edits: [
      unpack(
        "archive.c",
        "if (archive_read_open(reader->tar, reader, NULL, next_block, NULL) != ARCHIVE_OK)",
        "if (archive_read_open(reader->tar, reader, NULL, next_block, NULL) == ARCHIVE_EOF)",
      ),
      unpack(
        "archive.c",
        '    (void)archive_bad(&reader, report, reader.tar, "");\n    goto done;',
        "    result = 0;\n    goto done;",
      ),
    ],
    file: "unpack/hostile.test.ts",
    test: "half a header",
  },
  {
    rule: 35,
    without: "names that may not lead upwards",
    edits: [unpack("archive.c", "if (part == 2 && at[0] == '.' && at[1] == '.')", "if (part == 2 && at[0] == 0)")],
    file: "unpack/hostile.test.ts",
    test: "leads upwards",
  },
  {
    rule: 35,
    without: "names that may not be absolute",
    edits: [unpack("archive.c", "if (raw[0] == '/')", "if (raw[0] == 0 && raw[1] == '/')")],
    file: "unpack/hostile.test.ts",
    test: "is absolute",
  },
  {
    rule: 36,
    without: "a bound on entries",
    edits: [unpack("archive.c", "if (++report->entries > limits->entries) {", "if (++report->entries == 0) {")],
    file: "unpack/hostile.test.ts",
    test: "entries",
  },
  {
    rule: 36,
    without: "a bound on bytes that is asked before they are written",
    edits: [unpack("archive.c", "if (entry->size > limits->bytes - tree->report->bytes)", "if (limits->bytes == 0)")],
    file: "unpack/hostile.test.ts",
    test: "bytes, told before they are written",
  },
  {
    rule: 35,
    without: "hard links to entries of the archive only",
    edits: [
      unpack(
        "archive.c",
        'if (clean_path(hardlink, "the target of its hard link", limits, target, report) < 0)\n      return -1;',
        '(void)snprintf(target, sizeof target, "%s", hardlink);',
      ),
    ],
    file: "unpack/hostile.test.ts",
    test: "hard links lead to entries of this archive only",
  },
  {
    rule: 35,
    without: "leaving devices out",
    edits: [
      unpack("archive.c", "    report->devices_skipped++;\n    return 0;", "    return tree_fifo(tree, &entry);"),
    ],
    file: "unpack/layer.test.ts",
    test: "devices and privileged attributes are left out and counted",
  },
  {
    rule: 35,
    without: "leaving attributes out that mean something to the kernel",
    edits: [unpack("archive.c", 'name == NULL || strncmp(name, "user.", 5) != 0 || ', "name == NULL || ")],
    file: "unpack/layer.test.ts",
    test: "devices and privileged attributes are left out and counted",
  },
  {
    rule: 35,
    without: "removing what is in the way of an entry",
    edits: [unpack("tree.c", "  if (unlinkat(dir, base_name(path), 0) < 0)", "  if (info.st_size < 0)")],
    file: "unpack/hostile.test.ts",
    test: "a symbolic link as the last component is replaced, never written through",
  },
  {
    rule: 36,
    without: "a bound on what an archive grows to",
    edits: [unpack("archive.c", "if (reader->read > reader->most) {", "if (reader->read == UINT64_MAX) {")],
    file: "unpack/hostile.test.ts",
    test: "a bomb",
  },
  {
    rule: 36,
    without: "a bound on depth",
    edits: [unpack("archive.c", "if (++depth > limits->depth)", "if (++depth == UINT64_MAX)")],
    file: "unpack/hostile.test.ts",
    test: "too long, too deep, none at all",
  },
  {
    rule: 36,
    without: "a reader without rights",
    edits: [
      unpack(
        "jail.c",
        "if (keep_capabilities(capabilities) < 0 ||",
        "if (keep_capabilities(capabilities | ~0U) < 0 ||",
      ),
    ],
    file: "unpack/hostile.test.ts",
    test: "whoever reads an archive owns nothing, and its death is the archive's failure alone",
  },
  {
    rule: 36,
    without: "limits of the reader itself",
    edits: [unpack("jail.c", "limit(RLIMIT_NOFILE, 64) < 0 || ", "")],
    file: "unpack/hostile.test.ts",
    test: "whoever reads an archive owns nothing, and its death is the archive's failure alone",
  },
];
