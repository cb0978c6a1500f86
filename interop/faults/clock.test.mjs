// The clock of the machine is set, far ahead and far back, while clients are connected (with libfaketime).
import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Sender, Server, clients, connected, client, folder, pause, rises, until } from "./harness.mjs";

const library = readdirSync("/usr/lib")
  .map((name) => `/usr/lib/${name}/faketime/libfaketimeMT.so.1`)
  .find(existsSync);

const DAY = 86_400_000;

describe("the clock steps", () => {
  it("and no client notices", { timeout: 120_000, skip: library ? false : "there is no libfaketime here" }, async (t) => {
    const clock = join(folder(t), "clock");
    writeFileSync(clock, "+0");
    const server = await Server.start(t, {
      args: ["--ping-interval", "500", "--ping-timeout", "1500"],
      // The time of day is faked, and the clock that only goes forward is not, as when a machine's clock is set.
      env: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      },
    });
    /** By how many days the server's clock is wrong, as it says in its answers. */
    const wrong = async () => {
      const response = await fetch(`${server.url}/socket.io/?EIO=4&transport=nowhere`);
      return Math.round((Date.parse(response.headers.get("date")) - Date.now()) / DAY);
    };
    const before = server.descriptors;
    const sockets = await clients(t, server.url, 60);
    const left = [];
    sockets.forEach((socket) => socket.on("disconnect", (reason) => left.push(reason)));
    const senders = sockets.map((socket, i) => new Sender(socket, i, { every: 50 }));
    for (const days of [1, -1, 400, -10_000, 0]) {
      writeFileSync(clock, `${days >= 0 ? "+" : ""}${days}d`);
      await until(async () => (await wrong()) === days, `the clock is wrong by ${days} days`);
      // Long enough for a ping and its timeout.
      await pause(2200);
      await connected([client(t, server.url)]);
    }
    await Promise.all(senders.map((sender) => sender.stop()));
    assert.deepEqual(left, [], "nobody was disconnected");
    for (const { fate, acked } of senders) {
      assert.equal(acked.length, fate.length, "everything is acknowledged");
      assert.ok(rises(acked));
    }
    t.diagnostic(`5 steps, ${senders.reduce((sum, { fate }) => sum + fate.length, 0)} messages, all acknowledged`);
    sockets.forEach((socket) => socket.disconnect());
    await until(async () => (await server.stats()).sessions === 5, "those who came meanwhile are there");
    assert.ok(server.descriptors > before);
  });
});
