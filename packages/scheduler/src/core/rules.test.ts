/** Rules of placement and further dimensions, from the document's words to the plan and the explanation. */
import type { HostId, JobName, JobSpec, ProjectName } from "@berth/schema";
import { expect, it } from "vitest";
import { createState, decideHello, decideProject, decideProjectChange, decideSubmit, fold, why } from "./index.ts";
import { reservedOn } from "./reserved-on.ts";
import { makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const racks = (world: World, ...names: string[]): void =>
  names.forEach((rack, at) => world.host(`h${at + 1}`, resources(4000, 8192, 1000), [], { rack }));

const hostsOf = (world: World, job: string): string[] =>
  (world.state.jobs.get(`media/${job}` as never)?.tasks ?? []).map(
    ({ active }) => (active === null ? undefined : world.state.allocations.get(active)?.hostId) ?? "-",
  );

const explain = (world: World, job: string) =>
  unwrap(why(world.state, "media" as ProjectName, job as JobName, 0, world.nowMs));

const submit = (world: World, name: string, placement: JobSpec["placement"], changes: Partial<JobSpec> = {}): void => {
  world.submit(makeSpec(name, { ...changes, ...(placement === undefined ? {} : { placement }) } as never));
  world.plan();
};

it("places only where what is required is true, and says what stands against the others", () => {
  const world = new World();
  racks(world, "a", "b");
  submit(world, "picky", { require: ['host.labels.rack == "b"'] });
  expect(hostsOf(world, "picky")).toEqual(["h2"]);
  submit(world, "nowhere", { require: ['host.labels.rack == "c"', "host.cpuCount >= 2"] });
  const { sentence, outcome } = explain(world, "nowhere");
  expect(sentence).toMatchInlineSnapshot(
    `"0 of 2 hosts can take media/nowhere[0]: h1 is against the rule "host.labels.rack == "c"" (host.labels.rack is a), h2 is against the rule "host.labels.rack == "c"" (host.labels.rack is b)"`,
  );
  expect(outcome).toMatchObject({
    kind: "blocked",
    unblockedBy: [{ kind: "relax_rule", reason: "constraint", hosts: 2 }, { kind: "add_host" }],
  });
});

it("does without the filter of system calls only where the project and the host permit it", () => {
  const world = new World();
  for (const name of ["h1", "h2"]) world.host(name, resources(4000, 8192, 1000));
  const unconfined: Partial<JobSpec> = { kind: "service", container: { seccomp: "unconfined" } };
  const ask = (project: string) =>
    decideSubmit(world.state, {
      spec: makeSpec("free", { ...unconfined, project: project as ProjectName }),
      ...{ by: "alice", idempotencyKey: null, requestDigest: "" },
    });
  expect(ask("media")).toMatchObject({
    ok: false,
    error: {
      code: "job.spec_invalid",
      detail: expect.stringContaining("berth project create media --unconfined-seccomp"),
      errors: [{ pointer: "/container/seccomp" }],
    },
  });
  const media = "media" as ProjectName;
  world.append(unwrap(decideProject(world.state, { name: media, unconfinedSeccomp: true }, "root")));
  expect(ask("media").ok).toBe(true);
  expect(ask("other").ok).toBe(false);
  submit(world, "free", undefined, unconfined);
  expect(explain(world, "free").sentence).toContain(
    'h1 is against the rule "container.seccomp: unconfined, see --unconfined-seccomp"',
  );
  const hello = makeHello(resources(4000, 8192, 1000));
  const inventory = { ...hello.inventory, unconfinedSeccomp: true } as const;
  world.append(unwrap(decideHello(world.state, "h2" as HostId, { ...hello, inventory })));
  world.plan();
  expect(hostsOf(world, "free")).toEqual(["h2"]);
  /* The right stays for as long as somebody lives by it. */
  const withdraw = () => decideProjectChange(world.state, media, { unconfinedSeccomp: false }, "root");
  expect(withdraw()).toMatchObject({ ok: false, error: { code: "project.in_use", detail: /job free of media/ } });
  expect(unwrap(decideProjectChange(world.state, media, { weight: 7 }, "root"))).toMatchObject([
    { weight: 7, unconfinedSeccomp: true },
  ]);
  submit(world, "free", undefined, { kind: "service" });
  expect(unwrap(withdraw())).toEqual([expect.not.objectContaining({ unconfinedSeccomp: true })]);
});

it("mounts paths of hosts where they let its project do so, and says what the others let", () => {
  const world = new World();
  const letting = (
    name: string,
    ...hostPaths: { prefix: string; readOnly: boolean; project?: ProjectName }[]
  ): void => {
    if (!world.state.hosts.has(name as HostId)) world.host(name, resources(4000, 8192, 1000));
    const hello = makeHello(resources(4000, 8192, 1000));
    const inventory = { ...hello.inventory, hostPaths };
    world.append(unwrap(decideHello(world.state, name as HostId, { ...hello, inventory })));
  };
  letting("h1");
  letting("h2", { prefix: "/srv", readOnly: true });
  letting("h3", { prefix: "/srv/media", readOnly: false, project: "media" as ProjectName });
  const mounting = (source: string, readOnly: boolean): Partial<JobSpec> => ({
    volumes: [{ source, target: "/in", readOnly }],
  });
  submit(world, "reads", undefined, { count: 2, ...mounting("/srv/films", true) });
  expect(hostsOf(world, "reads")).toEqual(["h2", "h2"]);
  submit(world, "writes", undefined, mounting("/srv/media/new", false));
  expect(hostsOf(world, "writes")).toEqual(["h3"]);
  submit(world, "other", undefined, { project: "other" as ProjectName, ...mounting("/srv/media/new", false) });
  submit(world, "nowhere", undefined, mounting("/srv/films", false));
  const { outcome, sentence } = explain(world, "nowhere");
  expect(outcome).toMatchObject({
    kind: "blocked",
    unblockedBy: [{ kind: "relax_rule", hosts: 3 }, { kind: "add_host" }],
  });
  expect(sentence).toMatchInlineSnapshot(
    `"0 of 3 hosts can take media/nowhere[0]: h1 is against the rule "volume /srv/films" (this host lets project media mount no path like /srv/films; its operator allows one with --host-path), h2 is against the rule "volume /srv/films" (/srv/films may only be mounted with readOnly: true on this host), h3 is against the rule "volume /srv/films" (this host lets project media mount no path like /srv/films; its operator allows one with --host-path)"`,
  );
  const again = unwrap(why(world.state, "other" as ProjectName, "other" as JobName, 0, world.nowMs));
  expect(again.sentence).toMatchInlineSnapshot(
    `"0 of 3 hosts can take other/other[0]: h1 is against the rule "volume /srv/media/new" (this host lets project other mount no path like /srv/media/new; its operator allows one with --host-path), h2 is against the rule "volume /srv/media/new" (/srv/media/new may only be mounted with readOnly: true on this host), h3 is against the rule "volume /srv/media/new" (this host lets project other mount no path like /srv/media/new; its operator allows one with --host-path)"`,
  );
  // Its operator lets them more.
  letting("h1", { prefix: "/", readOnly: false });
  world.plan();
  expect(hostsOf(world, "nowhere")).toEqual(["h1"]);
});

it("spreads over racks within the skew, keeps groups apart and together", () => {
  const world = new World();
  racks(world, "a", "a", "b", "c");
  submit(
    world,
    "web",
    { spread: [{ by: "host.labels.rack", maxSkew: 1 }], maxPerHost: 1, groups: ["web"] },
    { count: 3 },
  );
  expect(
    hostsOf(world, "web")
      .map((id) => world.state.hosts.get(id as HostId)?.inventory?.labels?.["rack"])
      .toSorted((a, b) => ((a ?? "") < (b ?? "") ? -1 : 1)),
  ).toEqual(["a", "b", "c"]);
  submit(world, "quiet", { apart: [{ group: "web" }] }, { count: 2 });
  const free = ["h1", "h2"].find((id) => !hostsOf(world, "web").includes(id));
  expect(hostsOf(world, "quiet")).toEqual([free, free]);
  submit(world, "close", {
    together: [{ group: "web", by: "host.labels.rack" }],
    require: ['host.labels.rack == "c"'],
  });
  expect(hostsOf(world, "close")).toEqual(["h4"]);
});

it("goes where it would rather be, or is spread, whether or not it is known when work ends", () => {
  const limited = (minutes: number): Partial<JobSpec> => ({ runTimeoutMs: minutes * 60_000 });
  /** Both hosts are alike, and no place for as much again can be lost; what is in rack b ends after 1,000 minutes. */
  const placed = (placement: JobSpec["placement"], changes: Partial<JobSpec>) => {
    const world = new World();
    racks(world, "a", "b");
    const requests = resources(2500, 5000, 10);
    submit(world, "steady", { require: ['host.labels.rack == "a"'] }, { requests });
    submit(world, "long", { require: ['host.labels.rack == "b"'] }, { ...limited(1_000), requests });
    submit(world, "job", placement, changes);
    const [first] = world.state.jobs.get("media/job" as never)?.tasks ?? [];
    const { ingredients = [] } = world.state.allocations.get(first?.active as never) ?? {};
    const weights = Object.fromEntries(ingredients.map(({ name, weight }) => [name, weight]));
    return { hosts: hostsOf(world, "job"), weights };
  };
  const preferring = (weight: number) => ({ prefer: [{ rule: 'host.labels.rack == "a"', weight }] });
  const spread = { spread: [{ by: "host.labels.rack", weight: 100 }] };
  expect(placed({}, limited(900))).toMatchObject({ hosts: ["h2"], weights: { endsTogether: 0.5 } });
  expect(placed(preferring(100), {})).toMatchObject({ hosts: ["h1"], weights: { prefer: 0.5 } });
  expect(placed(preferring(100), limited(900))).toMatchObject({
    hosts: ["h1"],
    weights: { prefer: 0.5, endsTogether: 0.25 },
  });
  for (const changes of [{}, limited(450)]) {
    expect(placed(spread, { ...changes, count: 2, requests: resources(10, 10, 1) }).hosts.toSorted()).toEqual([
      "h1",
      "h2",
    ]);
  }
  // What is preferred a little is outweighed, as by how well it packs.
  expect(placed(preferring(1), limited(900)).hosts).toEqual(["h2"]);
});

it("keeps apart whichever of the two comes first, on a host and by a label, and says why", () => {
  const world = new World();
  racks(world, "a", "a", "b");
  submit(world, "shy", { apart: [{ group: "noisy", by: "host.labels.rack" }] });
  const shyIn = world.state.hosts.get(hostsOf(world, "shy")[0] as HostId)?.inventory?.labels?.["rack"];
  expect(shyIn).toBe("a");
  submit(world, "loud", { groups: ["noisy"], require: ['host.labels.rack == "a"'] });
  expect(hostsOf(world, "loud")).toEqual(["-"]);
  const { outcome, sentence } = explain(world, "loud");
  expect(sentence).toContain('h1 is against the rule "groups: noisy" (a: a task there keeps apart from the group)');
  expect(outcome).toMatchObject({
    unblockedBy: [{ kind: "relax_rule", reason: "apart", rule: "groups: noisy" }, {}, {}],
  });
  // In another project the name is another group.
  submit(world, "other", { groups: ["noisy"] }, { project: "other" as ProjectName });
  expect(world.state.jobs.get("other/other" as never)?.tasks[0]?.active).not.toBeNull();
  submit(world, "far", { groups: ["noisy"] }, { count: 2 });
  expect(hostsOf(world, "far")).toEqual(["h3", "h3"]);
  // What kept apart is gone, elsewhere than where the other goes.
  world.exit("shy", 0, 0);
  world.plan();
  expect(hostsOf(world, "loud")[0]).toMatch(/^h[12]$/);
  submit(world, "alone", { apart: [{ group: "quiet" }] });
  const [alone] = hostsOf(world, "alone");
  submit(world, "quiet", { groups: ["quiet"], require: [`host.id == "${alone}"`] });
  expect(explain(world, "quiet").sentence).toContain(
    `${alone} is against the rule "groups: quiet" (a task there keeps apart from the group)`,
  );
});

it("a daemon of a group keeps away from those who keep apart from it, until they have gone", () => {
  const world = new World();
  racks(world, "a", "a");
  submit(world, "shy", {
    apart: [{ group: "noisy", by: "host.labels.rack" }],
    require: ['host.id == "h1"'],
  });
  submit(world, "watch", { groups: ["noisy"] }, { kind: "daemon", requests: resources(100, 16, 1) });
  expect(hostsOf(world, "watch")).toEqual(["-", "-"]);
  world.plan();
  world.exit("shy", 0, 0);
  world.plan();
  expect(hostsOf(world, "watch")).toEqual(["h1", "h2"]);
});

it("a host that is given the label takes what waits for it", () => {
  const world = new World();
  racks(world, "a");
  submit(world, "ssd", { require: ["has(host.labels.ssd)"] });
  expect(hostsOf(world, "ssd")).toEqual(["-"]);
  const hello = makeHello(resources(4000, 8192, 1000), "session-0000000002", [], { rack: "a", ssd: "yes" });
  world.append(unwrap(decideHello(world.state, "h1" as HostId, hello)));
  world.plan();
  expect(hostsOf(world, "ssd")).toEqual(["h1"]);
});

it("books whatever dimension a host has, and tells what no host has", () => {
  const world = new World();
  world.host("plain");
  submit(world, "train", undefined, {
    requests: { ...resources(1000, 1024, 10), more: { gpu: 2, diskBytes: 2 ** 30 } },
  });
  expect(explain(world, "train").sentence).toBe(
    "0 of 1 host can take media/train[0]: plain is too small (disk: 1 GiB more than it has in all)",
  );
  world.host("big", { ...resources(4000, 8192, 1000), more: { gpu: 3, diskBytes: 2 ** 40 } });
  world.plan();
  expect(hostsOf(world, "train")).toEqual(["big"]);
  expect(reservedOn(world.state, "big" as HostId).more).toEqual({ gpu: 2, diskBytes: 2 ** 30 });
  submit(world, "second", undefined, { requests: { ...resources(1000, 1024, 10), more: { gpu: 2 } } });
  expect(explain(world, "second").outcome).toMatchObject({
    hosts: [
      { hostId: "big", reason: "exhausted", dimension: "gpu", free: 1, short: 1 },
      { hostId: "plain", reason: "too_small", dimension: "gpu" },
    ],
  });
  const replayed = createState();
  for (const { sequence, transaction } of world.log) fold(replayed, sequence, transaction);
  expect(replayed.dimensions).toEqual(world.state.dimensions);
});

it("books bandwidth both ways, says what is short in its unit, and what to do where no host knows its own", () => {
  const world = new World();
  const asking = (more: Record<string, number>, count = 1) => ({
    requests: { ...resources(100, 128, 10), more },
    count,
  });
  world.host("h1");
  submit(world, "up", undefined, asking({ netEgressBits: 4e8 }, 3));
  expect(explain(world, "up").sentence).toBe(
    "0 of 1 host can take media/up[0]: h1 has no network egress (where the kernel tells no speed of its link, its agent's --network does)",
  );
  world.host("h2", { ...resources(4000, 8192, 1000), more: { netIngressBits: 1e8, netEgressBits: 1e9 } });
  world.plan();
  expect(hostsOf(world, "up")).toEqual(["h2", "h2", "-"]);
  expect(reservedOn(world.state, "h2" as HostId).more).toEqual({ netEgressBits: 8e8 });
  const third = unwrap(why(world.state, "media" as ProjectName, "up" as JobName, 2, world.nowMs));
  expect(third.sentence).toContain("h2 lacks network egress (200 Mbit/s short)");
  submit(world, "down", undefined, asking({ netIngressBits: 2.5e8 }));
  expect(explain(world, "down").sentence).toContain(
    "h2 is too small (network ingress: 150 Mbit/s more than it has in all)",
  );
});
