// A soak: mixed load by official clients, with random faults, and the question whether anything grows or gets lost.
//
//   SOAK_SECONDS  how long (default 60)
//   SOAK_SEED     the same faults again (default: by chance, and printed)
//   SOAK_CLIENTS  clients that stay from the beginning to the end (default 60)
//   SOAK_REPORT   a file for the samples, as JSON
//
// SIGUSR2 ends it early, with its verdict.
import { writeFileSync } from "node:fs";
import { Server, client, connected, pause, until } from "../faults/harness.mjs";
import { Mischief } from "./mischief.mjs";
import { Proxy } from "./proxy.mjs";
import { chance } from "./random.mjs";
import { Resident } from "./resident.mjs";
import { Samples } from "./samples.mjs";
import { Visitors } from "./visitors.mjs";

const SECONDS = Number(process.env.SOAK_SECONDS ?? 60);
const SEED = Number(process.env.SOAK_SEED ?? Math.floor(Math.random() * 2 ** 31));
const CLIENTS = Number(process.env.SOAK_CLIENTS ?? 60);
/** A sample each so many seconds. */
const EVERY = SECONDS < 300 ? 5 : 10;

const ends = [];
const run = { after: (end) => ends.push(end) };
const random = chance(SEED);
let failed = 1;

try {
  console.log(`soak: ${SECONDS} s, ${CLIENTS} clients that stay, seed ${SEED}`);
  const server = await Server.start(run, {
    stderr: "inherit",
    // Panics are shown; that a handler fails whose client is cut off is as it should be.
    env: { RUST_LOG: process.env.RUST_LOG ?? "off" },
    args: [
      ...["--ping-interval", "2000", "--ping-timeout", "4000", "--upgrade-timeout", "2000"],
      ...["--connect-timeout", "3000", "--close-timeout", "3000", "--queue-bytes", `${1 << 20}`],
    ],
  });
  // What is there without clients, when one has come and gone.
  const empty = server.descriptors;
  const first = client(run, server.url);
  await connected([first]);
  first.disconnect();
  await server.emptied(empty, 40_000);
  const { tasks } = await server.stats();
  const proxy = await Proxy.start(run, server);

  // A fifth of those who stay come through a proxy, which is restarted now and then.
  const residents = Array.from({ length: CLIENTS }, (_, i) => new Resident(i, i % 5 === 4 ? proxy.url : server.url, random, i % 5 === 4));
  await until(() => residents.every((resident) => resident.ready), "all are connected", 30_000);
  residents.forEach((resident) => resident.start());
  const visitors = new Visitors(server, random);
  const mischief = new Mischief(server, random, proxy);
  const samples = new Samples(server, residents, visitors);
  let over = false;
  process.once("SIGUSR2", () => (over = true));
  const end = performance.now() + SECONDS * 1000;
  while (!over && performance.now() < end) {
    await pause(Math.min(EVERY * 1000, end - performance.now()));
    const line = await samples.take();
    if (SECONDS <= 120 || samples.list.length % 6 === 0) console.log(line);
  }

  const problems = [];
  const check = async (what, promise) => {
    try {
      await promise;
    } catch (error) {
      problems.push(`${what}: ${error.message}`);
    }
  };
  await check("mischief", mischief.stop());
  await check("visitors", visitors.stop());
  // Whatever the others left behind is gone by the longest of the timeouts, and those who stay still are.
  let left;
  const quiet = async () => {
    left = await server.stats();
    return left.sessions === CLIENTS && left.sockets === CLIENTS;
  };
  await check("those who stayed are alone", until(quiet, "sessions of others end", 20_000));
  if (!(await quiet())) problems.push(`${CLIENTS} are there, and the server has ${JSON.stringify(left)}`);
  for (const resident of residents) await check(`client ${resident.number}`, resident.finish());
  // Everybody in a house has heard everything that was said there.
  for (const { number, house, heard, moves } of residents.filter(({ moves }) => !moves)) {
    for (const other of residents.filter((other) => !moves && other.house === house)) {
      if ((heard.get(other.number) ?? -1) !== other.said - 1) {
        problems.push(`client ${number} heard ${heard.get(other.number)} last of ${other.number}, which said ${other.said}`);
      }
    }
  }
  problems.push(...residents.flatMap((resident) => resident.problems), ...visitors.problems, ...samples.problems());
  residents.forEach((resident) => resident.leave());
  await check("the end", server.emptied(empty, 40_000));
  await check("tasks", until(async () => (await server.stats()).tasks <= tasks, `no more than ${tasks} tasks are left`));

  console.log(samples.summary());
  const total = (what) => residents.reduce((sum, resident) => sum + resident.counts[what], 0);
  console.log(
    `${total("sent")} messages with an acknowledgement: ${total("acked")} acknowledged, ${total("told")} reported to their sender ` +
      `(only behind the proxy); ${total("heard")} deliveries of broadcasts, complete and in order; ${visitors.count} visitors; ` +
      `faults: ${mischief.summary()}`,
  );
  if (process.env.SOAK_REPORT) writeFileSync(process.env.SOAK_REPORT, JSON.stringify({ seed: SEED, seconds: SECONDS, samples: samples.list }, null, 1));
  for (const problem of problems.slice(0, 50)) console.log(`FAILED: ${problem}`);
  failed = problems.length ? 1 : 0;
} catch (error) {
  console.log(`FAILED: ${error.stack}`);
} finally {
  for (const end of ends.reverse()) await end();
}
process.exit(failed);
