// The disk that logs go to is full: nobody but the log notices.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Sender, Server, client, clients, connected, folder, pause, rises } from "./harness.mjs";

/** Everything that can be logged is logged to `stderr`, while clients come, talk and go. */
async function talk(t, stderr) {
  const server = await Server.start(t, { stderr, env: { RUST_LOG: "trace" } });
  const before = server.descriptors;
  const sockets = await clients(t, server.url, 30);
  const left = [];
  sockets.forEach((socket) => socket.on("disconnect", (reason) => left.push(reason)));
  const senders = sockets.map((socket, i) => new Sender(socket, i, { every: 50 }));
  for (let i = 0; i < 10; i++) {
    const visitor = client(t, server.url);
    await connected([visitor]);
    // A refused request and a handler that fails are warned of.
    await fetch(`${server.url}/socket.io/?EIO=4&transport=polling&sid=unknown`);
    visitor.emit("note", "no number");
    await pause(100);
    visitor.disconnect();
  }
  await Promise.all(senders.map((sender) => sender.stop()));
  assert.deepEqual(left, [], "nobody was disconnected");
  for (const { fate, acked } of senders) {
    assert.equal(acked.length, fate.length, "everything is acknowledged");
    assert.ok(rises(acked));
  }
  sockets.forEach((socket) => socket.disconnect());
  await server.emptied(before);
  assert.ok(server.alive);
  return senders.reduce((sum, { fate }) => sum + fate.length, 0);
}

describe("a full disk for logs", { concurrency: true }, () => {
  it("which every write to fails", { timeout: 60_000 }, async (t) => {
    const sent = await talk(t, openSync("/dev/full", "w"));
    t.diagnostic(`${sent} messages, all acknowledged`);
  });

  const path = `/tmp/wirebird-full-${process.pid}`;
  const mount = () => {
    mkdirSync(path);
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path]).status === 0) return true;
    spawnSync("rmdir", [path]);
    return false;
  };
  const mounted = mount();
  it("that fills up meanwhile", { timeout: 60_000, skip: mounted ? false : "mounting needs root" }, async (t) => {
    t.after(() => {
      execFileSync("umount", ["-l", path]);
      execFileSync("rmdir", [path]);
    });
    const log = join(path, "log");
    const sent = await talk(t, openSync(log, "a"));
    assert.equal(readFileSync(log).length, 64 << 10, "the disk is full");
    assert.throws(() => writeFileSync(join(path, "more"), "x".repeat(5000)), { code: "ENOSPC" });
    t.diagnostic(`${sent} messages, all acknowledged`);
  });
});
