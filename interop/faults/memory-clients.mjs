// The clients of memory.test.mjs: 500 of which each fills a limit of the server. A process of their own, so that its own
// work is not what delays the others.
import { connect } from "node:net";
import { createRequire } from "node:module";

const WebSocket = createRequire(new URL("../js/package.json", import.meta.url))("ws");
const [address, clients, payload] = process.argv.slice(2);
const HOSTILE = Number(clients);
const PAYLOAD = Number(payload);
let opened = 0;

const text = (length) => "x".repeat(length);

/** A WebSocket that is connected to the namespace and answers pings; a new one takes its place when it is closed. */
function hostile(attack) {
  const open = () => {
    const socket = new WebSocket(`ws://${address}/socket.io/?EIO=4&transport=websocket`);
    opened++;
    socket.on("message", (data) => {
      const packet = data.toString();
      if (packet.startsWith("0")) socket.send("40");
      if (packet.startsWith("40")) attack(socket);
      if (packet === "2") socket.send("3");
    });
    socket.on("error", () => {});
    socket.on("close", () => setTimeout(open, 200));
  };
  open();
}

/** Asks for far more than it reads, again and again. */
const deaf = (socket) => {
  socket.send(`42["flood",80,${PAYLOAD}]`);
  socket._socket.pause();
  setTimeout(() => socket.terminate(), 3000);
};
/** A message that never ends. */
const fragments = (socket) => {
  socket.send(`42["echo","${text(PAYLOAD / 2)}`, { fin: false });
  socket.send(text(PAYLOAD / 2 - 100), { fin: false });
};
/** Attachments of which the last never comes. */
const attachments = (socket) => {
  const places = Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`);
  socket.send(`4510-["echo",${places}]`);
  for (let i = 0; i < 9; i++) socket.send(Buffer.alloc(PAYLOAD - 100));
};
/** Events that wait for a handler which takes its time. */
const events = (socket) => {
  for (let i = 0; i < 12; i++) socket.send(`42["sleep",2000,"${text(PAYLOAD - 100)}"]`);
};

/** A POST without its last byte, or a head without an end: not even a session. */
function half(i) {
  const socket = connect(Number(address.split(":")[1]), "127.0.0.1");
  socket.on("error", () => {});
  const head = "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n";
  socket.write(i % 2 ? `${head}Content-Length: ${PAYLOAD}\r\n\r\n${text(PAYLOAD - 1)}` : `${head}X: ${text(16_000)}`);
  opened++;
}

// Few who are deaf: what they ask for is work for the handler, and this is about memory.
const attacks = [deaf, ...Array(8).fill(fragments), ...Array(8).fill(attachments), ...Array(5).fill(events)];
for (let i = 0; i < HOSTILE; i++) {
  const attack = attacks[i % 25];
  if (attack) hostile(attack);
  else half(i);
}
// Each line of the standard input is answered with how many connections there were.
process.stdin.on("data", () => console.log(opened));
