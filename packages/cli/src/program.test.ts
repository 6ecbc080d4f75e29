// The command line as such: help, usage errors, suggestions. Whole texts, so that a change of the interface is seen.
import { describe, expect, test } from "vitest";
import { buildProgram, runProgram } from "./program.ts";
import { fakeIo } from "./testing/fake-io.ts";

const run = async (...words: string[]) => {
  const io = fakeIo();
  const status = await runProgram(io, words);
  return { status, out: io.text(), err: io.errText() };
};

const verbs = buildProgram({ io: fakeIo(), finish: () => undefined }).commands.filter(
  (command) => command.name() !== "help",
);

describe("the help", () => {
  test("of the program begins with two examples", async () => {
    const { status, out } = await run("--help");
    expect(status).toBe(0);
    expect(`\n${out}`).toMatchInlineSnapshot(`
      "
        berth up                        # start a cluster on this machine
        berth run examples/hello.yaml   # run a container on it

      Usage: berth VERB [options]

      A private cloud of containers from a few Linux machines.

      Options:
        -V, --version                     print the version of this program
        -h, --help                        display help for command

      The cluster on this machine:
        up [options]                      start a cluster on this machine and keep it running
        down [options]                    stop the cluster on this machine, and its containers
        doctor [options]                  check whether this machine can run Berth, and say what to do
                                          where not
        dashboard [options]               print a link that logs a browser in, once
        backup [options] <file>           write the whole cluster into one file
        restore [options] <file>          make the cluster of a backup at the next start

      Hosts:
        hosts [options]                   list hosts with what is reserved and used
        host [options] <action> <host>    close, open, empty or remove a host
        rebalance [options]               plan which services to move so that hosts become empty
        what-if [options]                 show what would happen without some hosts, or with more
        token [options] <action> [id]     let other machines join this cluster
        join [options] <line>             make this machine a host of a cluster

      Who may do what:
        access [options] <action> [name]  who may do what: make, list and revoke tokens of the API
        project                           quotas of projects: how much their tasks may hold at a time, and
                                          what they hold
        audit [options]                   who changed what, from where, and who was refused

      Images and data:
        image                             list, pull, build, import, export, check and remove the images
                                          that hosts keep
        volume                            list, make, look at, copy, export, import and remove the volumes
                                          of a project
        secret                            values that only tasks of a project can read: set, list and
                                          remove them
        commit [options] <task> <image>   make an image of what a task has written over its own
        export [options] <task> <file>    write all files of a task's container into an archive
        layer                             list and remove what ended tasks wrote, which hosts keep for a
                                          while
        snapshot                          keep what a paused or ended task wrote, go back to it, or start
                                          another job from it

      Work:
        run [options] <file>              run a job: a batch job to its end, a service until it is up
        plan [options] <file>             show what running a job would do, without doing it
        stop [options] <job>              stop a job and wait until none of its tasks runs
        pause [options] <task>            let every process of a running task stand still
        resume [options] <task>           let a paused task go on

      What is going on:
        jobs [options]                    list jobs
        job [options] <job>               show one job and its tasks
        ps [options] [job]                list tasks that are placed or running
        logs [options] <task>             print what a task has written
        exec [options] <task> <cmd...>    run a program beside a running task, in its container
        attach [options] <task>           show what a running task writes, and pass standard input on
        diff [options] <task>             list what a task has changed of its image
        outputs [options] <job>           list or fetch the files that a job's tasks have handed in
        why [options] <task>              explain why a task runs where it does, or why it does not run
        events [options]                  print what has happened in the cluster

      This program:
        completion <shell>                print a completion script for a shell
        version [options]                 print the version of this program and of the cluster
        help [verb]                       show the help of a verb
      "
    `);
  });

  test("of a verb begins with two examples", async () => {
    const { status, out } = await run("logs", "--help");
    expect(status).toBe(0);
    expect(`\n${out}`).toMatchInlineSnapshot(`
      "
        berth logs hello            # of a job with one task
        berth logs -f 'ticker[2]'   # stay and print what comes

      Usage: berth logs [options] <task>

      print what a task has written

      Arguments:
        task                  job for its first task, 'job[3]', or project/job

      Options:
        -f, --follow          keep printing until the task is over, over its restarts too
        --stdout              standard output alone
        --stderr              standard error alone, on stdout
        --attempt <n>         an earlier attempt (see \`berth ps JOB --all\`)
        -p, --project <name>  project of the job (default: "default")
        -h, --help            display help for command

      Which cluster:
        --api <url>           the API's address (or BERTH_API)
        --token-file <file>   file with the token (or the token in BERTH_TOKEN)
        --ca-file <file>      who signs the API's certificate (or BERTH_CA_FILE)
        --data-dir <dir>      of \`berth up\` (or BERTH_DATA_DIR; default /var/lib/berth)
      "
    `);
  });

  test.each(verbs.filter((verb) => !verb.name().startsWith("_")).map((verb) => verb.name()))(
    "of %s has two examples of it",
    async (name) => {
      const { out } = await run(name, "--help");
      const lines = out.split("\n").slice(0, 2);
      for (const line of lines) expect(line).toMatch(new RegExp(`^  (source <\\()?berth ${name}\\b.* # \\S`));
    },
  );

  test("is what comes without any words, as an error", async () => {
    const { status, out, err } = await run();
    expect([status, out]).toEqual([64, ""]);
    expect(err).toContain("Usage: berth VERB");
  });
});

describe("wrong usage is one error with a way on", () => {
  test.each([
    ["a verb that does not exist", ["rnu", "x.yaml"]],
    ["nothing like a verb", ["frobnicate"]],
    ["a flag that does not exist", ["run", "--detatch", "x.yaml"]],
    ["a missing argument", ["run"]],
    ["too many arguments", ["jobs", "a", "b"]],
    ["a format that does not exist", ["jobs", "-o", "xml"]],
    ["flags that exclude each other", ["run", "--detach", "--wait", "x.yaml"]],
    ["a number out of range", ["up", "--hosts", "0"]],
    ["a port that is none", ["up", "--api-port", "80000"]],
    ["a timeout without a unit", ["run", "--timeout", "10", "x.yaml"]],
  ])("%s", async (name, words) => {
    const { status, out, err } = await run(...words);
    expect(out).toBe("");
    expect(status, err).toBe(64);
    expect(err).toMatchSnapshot(name);
  });
});

test("the version is that of the package", async () => {
  expect(await run("--version")).toEqual({ status: 0, out: "0.1.0\n", err: "" });
});
