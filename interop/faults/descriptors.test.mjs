// The server may open 200 descriptors, and more clients come than fit.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Server, client, clients, connected, pause, until } from "./harness.mjs";

describe("200 descriptors", () => {
  it("keeps those who are there, does not spin, and lets others in when some leave", { timeout: 120_000 }, async (t) => {
    const server = await Server.start(t, {
      wrapper: ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"],
      args: ["--ping-interval", "1000", "--ping-timeout", "3000"],
    });
    const before = server.descriptors;
    const early = await clients(t, server.url, 120, { transports: ["websocket"] });
    const left = [];
    early.forEach((socket) => socket.on("disconnect", (reason) => left.push(reason)));

    const late = Array.from({ length: 300 }, () => client(t, server.url, { transports: ["websocket"], reconnectionDelayMax: 1000 }));
    await until(() => server.descriptors >= 200, "no descriptor is left");
    // At its limit, for five pings: who is there is served, and waiting for a descriptor costs next to nothing.
    const [began, cpu] = [performance.now(), server.cpu];
    const asked = [];
    while (performance.now() - began < 5000) {
      for (const [i, socket] of early.slice(0, 10).entries()) {
        const sent = performance.now();
        assert.equal(await socket.timeout(5000).emitWithAck("echo", i), i);
        asked.push(performance.now() - sent);
      }
      await pause(100);
    }
    const busy = (server.cpu - cpu) / ((performance.now() - began) / 1000);
    assert.deepEqual(left, [], "nobody who was there is disconnected");
    assert.ok(busy < 0.3, `${busy} of a core while no descriptor is left`);
    const inside = late.filter((socket) => socket.connected).length;
    assert.ok(inside < 80, `${inside} got in besides`);

    // Places become free: all who still want in get in, in turns.
    early.forEach((socket) => socket.disconnect());
    await until(() => late.filter((socket) => socket.connected).length > inside + 60, "others get in");
    late.filter((socket) => socket.connected).forEach((socket) => socket.disconnect());
    const rest = late.filter((socket) => socket.active);
    while (rest.some((socket) => socket.active)) {
      const there = await until(() => {
        const list = rest.filter((socket) => socket.connected);
        return list.length && list;
      }, "others get in");
      there.forEach((socket) => socket.disconnect());
    }
    await server.emptied(before);
    await connected([client(t, server.url)]);
    asked.sort((a, b) => a - b);
    t.diagnostic(`${(busy * 100).toFixed(1)} % of a core; ${asked.length} echoes meanwhile, the slowest in ${asked.at(-1).toFixed(0)} ms`);
  });
});
