// A server with little memory, and 500 clients of which each fills a limit: what they hold together stays below it.
//
// Rust ends a process that gets no memory. The limits of the server are what keeps it from that.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Sender, Server, clients, pause, rises } from "./harness.mjs";

const MIB = 1 << 20;
const ALLOWED = 256 * MIB;
const PAYLOAD = 50_000;
const HOSTILE = 500;
const QUEUE = 256 << 10;

describe("a memory limit", () => {
  it("that 500 hostile clients do not reach", { timeout: 120_000 }, async (t) => {
    const server = await Server.start(t, {
      wrapper: ["prlimit", `--data=${ALLOWED}`],
      args: [
        ...["--max-payload", `${PAYLOAD}`, "--queue-bytes", `${QUEUE}`, "--pending-bytes", `${QUEUE}`],
        ...["--pending-bytes-of-all", `${32 * MIB}`, "--max-sessions", `${HOSTILE + 50}`],
      ],
    });
    const before = server.descriptors;
    const healthy = await clients(t, server.url, 20);
    const left = [];
    healthy.forEach((socket) => socket.on("disconnect", (reason) => left.push(reason)));
    const senders = healthy.map((socket, i) => new Sender(socket, i, { every: 100, timeout: 60_000 }));
    const began = server.memory;
    const script = fileURLToPath(new URL("memory-clients.mjs", import.meta.url));
    const child = spawn(process.execPath, [script, server.address, `${HOSTILE}`, `${PAYLOAD}`], { stdio: ["pipe", "pipe", "inherit"] });
    t.after(() => child.kill("SIGKILL"));
    const opened = async () => {
      child.stdin.write("\n");
      return Number((await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()).value);
    };
    let most = 0;
    for (let i = 0; i < 80; i++) {
      assert.ok(server.alive, "the server has ended");
      most = Math.max(most, server.memory);
      await pause(100);
    }
    const { sessions } = await server.stats();
    assert.ok(sessions >= HOSTILE * 0.6, `${sessions} are there`);
    const connections = await opened();
    assert.ok(connections > HOSTILE, "those who were closed have come again");
    // What they hold is not nothing, or the attack is none.
    assert.ok(most > began + 40 * MIB, `${most} bytes at most, ${began} before`);

    await Promise.all(senders.map((sender) => sender.stop()));
    assert.deepEqual(left, [], "the others were not disconnected");
    for (const { fate, acked } of senders) {
      assert.equal(acked.length, fate.length, "everything of the others is acknowledged");
      assert.ok(rises(acked));
    }
    child.kill("SIGKILL");
    healthy.forEach((socket) => socket.disconnect());
    await server.emptied(before);
    const mib = (bytes) => (bytes / MIB).toFixed(0);
    t.diagnostic(
      `${HOSTILE} hostile clients, ${connections} connections: ${mib(began)} MiB before, ${mib(most)} at most, ` +
        `${mib(ALLOWED)} allowed; nothing of the others lost`,
    );
  });
});
