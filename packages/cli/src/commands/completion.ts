/**
 * `berth completion SHELL`: a small script for the shell, which asks the hidden verb `__complete` for words. So the shells
 * know nothing of the verbs, and names of jobs, tasks and hosts come from the cluster. Completing never fails loudly.
 */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Argument, type Command, type Option } from "commander";
import { taskName } from "@berth/schema";
import { createClient } from "../client/client.ts";
import { resolveConnection } from "../client/connection.ts";
import { listAllocations, listHosts, listJobs } from "../client/queries.ts";
import type { Io } from "../io.ts";
import { withExamples, type Register } from "./verb.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

const MAX_WORDS = 200;
/** Nobody waits longer for a TAB. */
const TIMEOUT_MS = 1_500;

const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# berth completion for bash: source <(berth completion bash)
_berth() {
  local IFS=$'\\n' word
  COMPREPLY=()
  while IFS= read -r word; do COMPREPLY+=("$(printf '%q' "$word")"); done \\
    < <(berth __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [[ \${COMPREPLY[0]-} == */ ]] && compopt -o nospace
}
complete -F _berth berth
`,
  zsh: `#compdef berth
# berth completion for zsh: source <(berth completion zsh)
_berth() {
  local -a words_found
  words_found=("\${(@f)$(berth __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a words_found
}
compdef _berth berth
`,
  fish: `# berth completion for fish: berth completion fish | source
function __berth_complete
  set -l tokens (commandline -opc) (commandline -ct)
  berth __complete -- $tokens[2..-1] 2>/dev/null
end
complete -c berth -f -a '(__berth_complete)'
`,
};

export const registerCompletion: Register = (program, { io, finish }) => {
  const command = program
    .command("completion")
    .description("print a completion script for a shell")
    .addArgument(new Argument("<shell>", "which shell").choices([...SHELLS]))
    .action(async (shell: Shell) => {
      await io.out.write(SCRIPTS[shell]);
      finish(0);
    });
  withExamples(command, [
    ["source <(berth completion bash)", "now, in this shell"],
    ["berth completion fish > ~/.config/fish/completions/berth.fish", "for good"],
  ]);
  program
    .command("__complete", { hidden: true })
    .argument("[words...]")
    .action(async (words: string[]) => {
      const found = await completions(program, words, (kind, prefix) => namesOf(io, kind, prefix));
      const last = words.at(-1) ?? "";
      const fitting = [...new Set(found)].filter((word) => word.startsWith(last)).slice(0, MAX_WORDS);
      await io.out.write(fitting.map((word) => `${word}\n`).join(""));
      finish(0);
    });
};

export type NameKind = "job" | "task" | "host" | "file" | "dir";
export type Names = (kind: NameKind, prefix: string) => Promise<readonly string[]>;

const ARGUMENT_KINDS: Readonly<Record<string, NameKind>> = { job: "job", task: "task", file: "file" };
const OPTION_KINDS: Readonly<Record<string, NameKind>> = {
  "--host": "host",
  "--token-file": "file",
  "--data-dir": "dir",
  "--to": "dir",
};

/** The words that could stand where the last of `words` stands. */
export const completions = async (
  program: Command,
  words: readonly string[],
  names: Names,
): Promise<readonly string[]> => {
  const last = words.at(-1) ?? "";
  const verb = program.commands.find((command) => command.name() === words[0]);
  if (words.length <= 1 || verb === undefined) {
    return words.length > 1 ? [] : visible(program).map((command) => command.name());
  }
  const previous = verb.options.find((option) => isNamed(option, words.at(-2)));
  if (words.length > 2 && previous !== undefined && (previous.required || previous.optional)) {
    if (previous.argChoices !== undefined) return previous.argChoices;
    const kind = OPTION_KINDS[previous.long ?? ""];
    return kind === undefined ? [] : names(kind, last);
  }
  if (last.startsWith("-")) {
    return [...verb.options.filter((option) => !option.hidden).flatMap((option) => option.long ?? []), "--help"];
  }
  const position = words
    .slice(1, -1)
    .filter((word, at) => !word.startsWith("-") && !takesValue(verb, words[at])).length;
  const argument = verb.registeredArguments[position];
  if (argument === undefined) return [];
  if (argument.argChoices !== undefined) return argument.argChoices;
  const kind = ARGUMENT_KINDS[argument.name()];
  return kind === undefined ? [] : names(kind, last);
};

const isNamed = (option: Option, word: string | undefined): boolean =>
  word !== undefined && (option.long === word || option.short === word);

const takesValue = (verb: Command, word: string | undefined): boolean => {
  const option = verb.options.find((one) => isNamed(one, word));
  return option !== undefined && (option.required || option.optional);
};

const visible = (program: Command): Command[] => program.createHelp().visibleCommands(program);

const namesOf = async (io: Io, kind: NameKind, prefix: string): Promise<readonly string[]> => {
  if (kind === "file" || kind === "dir") return filesFor(prefix, kind);
  try {
    const client = createClient(resolveConnection({}, io.env));
    const options = { signal: AbortSignal.timeout(TIMEOUT_MS), patienceMs: 0 };
    if (kind === "host") return (await listHosts(client, options)).items.map((host) => host.id);
    const short = (project: string, name: string): string => (project === "default" ? name : `${project}/${name}`);
    if (kind === "job") return (await listJobs(client, {}, options)).items.map((job) => short(job.project, job.name));
    const { items } = await listAllocations(client, {}, options);
    return items.map((one) => short(one.project, taskName(one.job, one.index)));
  } catch {
    return [];
  }
};

/** Files under what is typed so far; directories end in a slash. */
const filesFor = (prefix: string, kind: "file" | "dir"): string[] => {
  const directory = prefix.endsWith("/") ? prefix : dirname(prefix);
  const shown = prefix.includes("/") ? (prefix.endsWith("/") ? prefix : `${dirname(prefix).replace(/\/$/, "")}/`) : "";
  try {
    return readdirSync(directory === "" ? "." : directory, { withFileTypes: true })
      .filter((entry) => kind === "file" || entry.isDirectory())
      .map((entry) => (shown === "" ? entry.name : join(shown, entry.name)) + (entry.isDirectory() ? "/" : ""));
  } catch {
    return [];
  }
};
