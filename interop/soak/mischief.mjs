// Random faults: clients that break off, that do half of what they should, and a server that stands still for a moment.
import { connect } from "node:net";
import { pause, WebSocket } from "../faults/harness.mjs";

const SESSION = "/socket.io/?EIO=4&transport=";

export class Mischief {
  constructor(server, random, proxy) {
    Object.assign(this, { server, random, proxy, running: true, counts: {} });
    const often = ["reset", "vanish", "halfUpgrade", "abandonedPoll", "slowReader", "silent", "nonsense", "tooLarge", "overlap", "halfRequest"];
    this.done = Promise.all([
      ...[0, 1, 2, 3].map(() => this.#repeat(() => random.pick(often), 50, 400)),
      this.#repeat(() => "standStill", 5000, 15_000),
      this.#repeat(() => "proxyRestart", 10_000, 20_000),
    ]);
  }

  async #repeat(which, low, high) {
    for (;;) {
      // In pieces, so that it ends when it is to end.
      for (let left = this.random.between(low, high); left > 0 && this.running; left -= 500) await pause(Math.min(left, 500));
      if (!this.running) return;
      const name = which();
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      await this[name]().catch(() => {});
    }
  }

  stop() {
    this.running = false;
    return this.done;
  }

  summary() {
    return Object.entries(this.counts).map(([name, n]) => `${name} ${n}`).sort().join(", ");
  }

  async #webSocket(connects = true) {
    const socket = new WebSocket(`ws://${this.server.address}${SESSION}websocket`);
    socket.on("error", () => {});
    await new Promise((resolve, reject) => {
      socket.on("message", (data) => {
        const packet = data.toString();
        if (packet.startsWith("0") && connects) socket.send("40");
        if (packet.startsWith(connects ? "40" : "0")) resolve();
      });
      socket.on("close", reject);
    });
    return socket;
  }

  #request(query = "", options = {}) {
    return fetch(`${this.server.url}${SESSION}polling${query}`, options).then((response) => response.text());
  }

  async #session() {
    return JSON.parse((await this.#request()).slice(1)).sid;
  }

  async reset() {
    const socket = await this.#webSocket();
    socket.send('42["join","visitors 0"]');
    socket.send(`42["echo","${"x".repeat(this.random.below(50_000))}"]`);
    socket._socket.resetAndDestroy();
  }

  async vanish() {
    const socket = await this.#webSocket();
    socket.send('42["join","visitors 1"]');
    socket._socket.destroy();
  }

  /** Leaves an upgrade where it stands: after the request, after the probe, or after the probe and a reset. */
  async halfUpgrade() {
    const sid = await this.#session();
    await this.#request(`&sid=${sid}`, { method: "POST", body: "40" });
    const socket = new WebSocket(`ws://${this.server.address}${SESSION}websocket&sid=${sid}`);
    socket.on("error", () => {});
    await new Promise((resolve) => socket.on("open", resolve).on("close", resolve));
    const far = this.random.below(3);
    if (far > 0) socket.send("2probe");
    await pause(this.random.between(0, 100));
    if (far === 2) socket._socket.resetAndDestroy();
    else setTimeout(() => socket.terminate(), 5000);
  }

  async abandonedPoll() {
    const sid = await this.#session();
    const stop = new AbortController();
    const poll = this.#request(`&sid=${sid}`, { signal: stop.signal });
    setTimeout(() => stop.abort(), this.random.between(0, 50));
    await poll;
  }

  /** Asks for more than its queue holds and does not read. */
  async slowReader() {
    const socket = await this.#webSocket();
    socket._socket.pause();
    socket.send(`42["flood",100,${1 + this.random.below(100_000)}]`);
    setTimeout(() => socket.terminate(), this.random.between(1000, 8000));
  }

  /** Opens a session and says nothing more, not even a pong. */
  async silent() {
    if (this.random.below(2)) await this.#session();
    else setTimeout((socket) => socket.terminate(), 10_000, await this.#webSocket(false));
  }

  async nonsense() {
    const socket = await this.#webSocket();
    socket.send(this.random.pick(["4", "49", "42", '42["', "42[]", '42["connect"]', "451-", "x", "", Buffer.from([1, 2, 3]), '42{"a":1}']));
    setTimeout(() => socket.terminate(), 200);
  }

  async tooLarge() {
    const socket = await this.#webSocket();
    socket.send("4".padEnd(1_000_001, "2"));
    setTimeout(() => socket.terminate(), 500);
  }

  /** Two polls at a time: the session ends. */
  async overlap() {
    const sid = await this.#session();
    await Promise.all([this.#request(`&sid=${sid}`), this.#request(`&sid=${sid}`)]);
  }

  async halfRequest() {
    const socket = connect(Number(this.server.address.split(":")[1]), "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`POST ${SESSION}polling HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n4`);
    setTimeout(() => socket.destroy(), this.random.between(100, 5000));
  }

  async standStill() {
    this.server.signal("SIGSTOP");
    await pause(this.random.between(50, 1500));
    this.server.signal("SIGCONT");
  }

  async proxyRestart() {
    this.proxy.restart();
  }
}
