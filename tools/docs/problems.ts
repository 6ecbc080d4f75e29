/** docs/reference/problems.md: every code, and what it means to whoever meets it. A code without a sentence does not compile. */
import { Problems, isProblemCode, type ProblemCode } from "../../packages/schema/src/index.ts";
import { page, table } from "./markdown.ts";

const meanings: Readonly<Record<ProblemCode, string>> = {
  "request.malformed": "The body is not JSON, or the request line cannot be read.",
  "request.invalid": "A parameter or a field of the body has the wrong form; `errors` says which.",
  "request.too_large": "The body is larger than the server takes. Job documents are at most 1 MiB.",
  "request.media_type": "Send `application/json`; job documents may also be `application/yaml`.",
  "events.gone":
    "The events that were asked for lie behind the last snapshots. `oldestSequence` is the oldest one left: ask with `since` one less, or with `tail`.",
  "request.too_many":
    "The server is working on as many requests of this kind as it may. Try again after `retryAfterMs`.",
  "auth.required": "Send `Authorization: Bearer TOKEN`, or open a fresh login link (`berth dashboard`).",
  "auth.forbidden": "The token is known, but may not do this; or a browser on another site sent the request.",
  "access.not_found": "No access token has this id or name: it was revoked, or has expired.",
  "access.exists": "Names of access tokens are unique, since the log names people by them. Revoke the old one first.",
  "route.not_found": "There is nothing at this address; the addresses are in [http.md](http.md).",
  "job.document_malformed": "The document is not YAML or JSON; `detail` names line and column.",
  "job.spec_invalid":
    "The document can be read, but says something impossible; `errors` lists every place with a JSON pointer. The fields are in [job-document.md](job-document.md).",
  "job.not_found":
    "No job has this name in this project. Finished jobs are forgotten when there are very many of them.",
  "job.active": "The job must end first: `berth stop JOB`.",
  "job.too_many": "The cluster holds as many jobs or unfinished tasks as it may. Wait for some to end, or stop some.",
  "job.exceeds_quota":
    "One task alone, or a gang that has to start together, requests more than the whole project may hold: it would wait for ever. `berth project show PROJECT` has the quota.",
  "task.not_found": "The job has no task with this index.",
  "host.not_found": "No host has this name, or it was admitted and has not said hello yet.",
  "host.in_use": "A host that answers must be empty before it is removed: drain it, or use `--force`.",
  "host.key_differs": "A host of this name was admitted with another key. Choose another name for the new machine.",
  "join.refused":
    "The join token is not known, was used, has expired or is for another host. Make a new one: `berth token create`.",
  "join.closed": "The scheduler listens on loopback only. Start it with `berth up --listen ADDRESS`.",
  "join_token.not_found": "No join token has this id; used and expired ones are forgotten after a day.",
  "host.unknown": "The agent's host is not registered with this leader; the agent says hello again by itself.",
  "allocation.not_found": "No allocation has this id, or its job was forgotten.",
  "allocation.no_logs":
    "The allocation has no such file: it never started, its host is gone, or the path is not an output.",
  "image.not_found": "No host that was asked has an image of this name: `berth image ls`.",
  "image.failed": "An archive could not be taken or given; `detail` names the place in it.",
  "project.not_found": "Nobody has declared a project of this name, and nothing is in it: `berth project ls`.",
  "project.exists": "A project of this name is declared already: `berth project set` changes it.",
  "project.in_use": "The project has jobs that have not finished, or volumes; `detail` names them.",
  "secret.not_found":
    "The project has no secret of this name: `berth secret ls`. A job that refers to it is not taken before `berth secret set` has made it.",
  "secret.in_use": "A job that has not finished refers to the secret; `detail` names it. Stop it first.",
  "volume.not_found": "No volume has this name in this project: `berth volume ls`.",
  "volume.exists": "A volume of this name is there already; names are unique in a project.",
  "volume.in_use": "A task mounts the volume; `detail` names it. Stop it first.",
  "volume.no_room": "No host that may take it has that much disk left; `berth hosts` shows what is booked.",
  "volume.failed": "The volume's host could not do it; `detail` says why. Nothing is lost: ask again.",
  "operation.not_found": "The operation ended long ago, or its host's agent was started again: begin anew.",
  "allocation.refused":
    "A tree that a container wrote is nested too deep or has too many names to be listed: what is wrong is said.",
  "allocation.not_running":
    "It has not been started yet, or has ended: a program can be run only beside one that runs.",
  "allocation.paused": "Its processes stand still, and so would whatever is started beside them: resume it first.",
  "allocation.running": "It must stand still for this: `berth pause`, or wait for its end.",
  "snapshot.exists": "The task has a snapshot of this name already; `berth snapshot rm` removes it.",
  "snapshot.not_found": "No host that answers has it: `berth snapshot ls`.",
  "snapshot.in_use": "A job starts from the snapshot; `detail` names it. Stop it first.",
  "job.exists": "A job of this name is there: choose another name for the clone.",
  "allocation.not_paused":
    "A process did not stand still in time (all go on then), or its host cannot freeze processes; `detail` says which.",
  "allocation.not_kept":
    "It ended and its layer was dropped by age or size, or it wrote nothing: `berth layer ls` shows what is kept.",
  "agent.unreachable": "The host's agent does not answer now. Containers on it run on; `berth hosts` shows its state.",
  "idempotency.reused": "The same `Idempotency-Key` came with another document. Use a new key for a new request.",
  "message.invalid": "A message on the bus does not have its form. It was dropped.",
  "message.stale": "A message on the bus belongs to an earlier session, epoch or revision. It was dropped.",
  "log.unavailable": "The log could not be written, so nothing was changed. Try again.",
  "log.full": "The scheduler's disk is full: nothing new is taken. What runs goes on. Make room on the disk.",
  "leader.unknown": "This scheduler does not lead now (it has just started, or lost its place). Try again.",
  "cluster.unreachable": "Nobody answers at the cluster's address. Is it running (`berth up`)?",
  internal: "A bug. The id in `instance` is in the scheduler's log next to its cause.",
};

export const render = (): string =>
  page(
    "Problems",
    "Every error is a problem document (RFC 9457, `application/problem+json`), the same over HTTP, WebSocket and NATS:",
    `\`\`\`json
{
  "type": "https://berth.invalid/problems/job.spec_invalid",
  "title": "${Problems["job.spec_invalid"].title}",
  "status": ${Problems["job.spec_invalid"].status},
  "code": "job.spec_invalid",
  "detail": "/resurces: unknown key \\"resurces\\"; did you mean \\"resources\\"?",
  "errors": [{ "pointer": "/resurces", "message": "unknown key \\"resurces\\"; did you mean \\"resources\\"?" }]
}
\`\`\``,
    "`code` is stable: codes are added, never renamed. `errors` holds JSON pointers (RFC 6901) into what was sent, `retryAfterMs` the shortest sensible wait. *Exit* is what the CLI exits with; *again* marks problems that go away by themselves.",
    table(
      ["Code", "Status", "Exit", "Again", "Title", "What it means"],
      Object.keys(Problems)
        .filter(isProblemCode)
        .map((code) => {
          const entry: { status: number; title: string; exit: number; retryable?: boolean } = Problems[code];
          return [
            `\`${code}\``,
            `${entry.status}`,
            `${entry.exit}`,
            entry.retryable === true ? "yes" : "",
            entry.title,
            meanings[code],
          ];
        }),
    ),
  );
