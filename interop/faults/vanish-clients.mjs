// The clients of vanish.test.mjs: connected in all modes; some have stopped reading, so that data for them waits; to
// others the server does not listen, because too many of their events wait.
import { Agent, request } from "node:http";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

const { io } = createRequire(new URL("../js/package.json", import.meta.url))("socket.io-client");
const POLLERS = 10;
const url = process.argv[2];
const open = (transports) => io(url, { transports, forceNew: true, reconnection: false });
const repeat = (n, make) => Array.from({ length: n }, make);

/** Polls over one connection that is kept, as browsers do. Resolves when a poll is held. */
async function poller() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (query, method = "GET", body = "") =>
    new Promise((resolve, reject) => {
      const options = { agent, method, headers: method === "POST" ? { "content-length": body.length } : {} };
      const sent = request(`${url}/socket.io/?EIO=4&transport=polling${query}`, options, async (response) => {
        let text = "";
        for await (const chunk of response) text += chunk;
        resolve(text);
      });
      sent.on("error", reject).end(body);
    });
  const query = `&sid=${JSON.parse((await ask("")).slice(1)).sid}`;
  await ask(query, "POST", "40");
  await ask(query);
  (async () => {
    while ((await ask(query)) === "2") await ask(query, "POST", "3");
  })().catch(() => {});
}

const idle = repeat(30, (_, i) => open([["websocket"], ["polling"], ["polling", "websocket"]][i % 3]));
const deaf = repeat(10, () => open(["websocket"]));
const busy = repeat(5, () => open(["websocket"]));
const all = [...idle, ...deaf, ...busy];
while (!all.every((socket) => socket.connected)) await pause(10);
while (!idle.every((socket, i) => socket.io.engine.transport.name === (i % 3 === 1 ? "polling" : "websocket"))) await pause(10);
for (const socket of deaf) {
  // More than the kernels on both sides hold, and less than half of the server's queue: beyond that it is `write_timeout` that counts.
  socket.io.engine.transport.ws._socket.pause();
  socket.emit("flood", 60, 100_000);
}
for (const socket of busy) {
  // More than the server takes of one client, behind one that takes long.
  for (let i = 0; i < 15_000; i++) socket.emit("sleep", 600_000, null);
}
await Promise.all(repeat(POLLERS, poller));
await pause(300);
console.log(JSON.stringify({ clients: all.length + POLLERS, unsent: deaf.length, busy: busy.length }));
setInterval(() => {}, 1000);
