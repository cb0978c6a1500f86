// A client that stays from the beginning to the end, and checks everything that it gets.
import { client, MODES, pause, until } from "../faults/harness.mjs";

/** Residents of one house hear each other. */
const HOUSE = 10;
const BLOBS = [0, 1, 125, 126, 1000, 65_536, 200_000].map((length) => Buffer.alloc(length, length % 251));
const TIMEOUT = 15_000;
const GRACE = 3000;

export class Resident {
  /** `moves`: its connection may break, because it is behind a proxy that is restarted. */
  constructor(number, url, random, moves) {
    Object.assign(this, { number, random, moves, running: true, ready: false, problems: [], inside: new Set(), left: new Map() });
    this.counts = { sent: 0, acked: 0, told: 0, heard: 0 };
    this.latencies = [];
    // What it said last, and what it heard last of each of its neighbours; those who move keep neither promise.
    this.said = 0;
    this.heard = new Map();
    this.repeated = { sent: 0, back: 0 };
    this.house = `house ${moves ? "of movers " : ""}${Math.floor(number / HOUSE)}`;
    const socket = client({ after: () => {} }, url, { transports: MODES[number % 3] });
    this.socket = socket;
    socket.on("connect", async () => {
      if (this.ready && !moves) this.fails("connected a second time");
      await this.ask("join", this.house);
      this.ready = true;
    });
    socket.on("disconnect", (reason) => {
      if (this.running && !moves) this.fails(`disconnected: ${reason}`);
    });
    socket.on("said", (room, value) => this.hears(room, value));
    socket.on("events", (n) => {
      if (n !== this.repeated.back++ && !moves) this.fails(`${n} came back in place of ${this.repeated.back - 1}`);
    });
    socket.on("question", (value, answer) => answer(value));
  }

  fails(what) {
    if (this.problems.length < 5) this.problems.push(`client ${this.number} (${this.socket.io.engine?.transport?.name}): ${what}`);
  }

  hears(room, { from, n }) {
    this.counts.heard++;
    if (room !== this.house) {
      // What was said before it left may still be on its way.
      const left = performance.now() - this.left.get(room) < GRACE;
      if (!left && !this.inside.has(room)) this.fails(`heard something of ${room}, which it is not in`);
      return;
    }
    const last = this.heard.get(from);
    if (last !== undefined && n !== last + 1 && !this.moves) this.fails(`of ${from} it heard ${n} after ${last}`);
    this.heard.set(from, n);
  }

  /** Sends with an acknowledgement, and returns the answer; what is not acknowledged is a failure unless it moves. */
  async ask(event, ...args) {
    this.counts.sent++;
    const began = performance.now();
    try {
      const answer = await this.socket.timeout(TIMEOUT).emitWithAck(event, ...args);
      this.counts.acked++;
      this.latencies.push(performance.now() - began);
      return answer;
    } catch (error) {
      this.counts.told++;
      if (!this.moves) this.fails(`"${event}": ${error.message}`);
      return undefined;
    }
  }

  start() {
    this.done = this.#live();
  }

  async #live() {
    while (this.running) {
      await pause(this.random.between(50, 350));
      await this.random.pick([this.#echo, this.#echo, this.#say, this.#say, this.#repeat, this.#blob, this.#answer, this.#wander]).call(this);
    }
  }

  async #echo() {
    const value = { n: this.counts.sent, text: "é".repeat(this.random.below(200)) };
    const answer = await this.ask("echo", value);
    if (answer !== undefined && JSON.stringify(answer) !== JSON.stringify(value)) this.fails("another echo");
  }

  async #say() {
    await this.ask("say", this.house, { from: this.number, n: this.said++ });
  }

  async #repeat() {
    for (let i = this.random.below(20); i >= 0; i--) this.socket.emit("events", this.repeated.sent++);
  }

  async #blob() {
    const blob = this.random.pick(BLOBS);
    const answer = await this.ask("binary", blob);
    if (answer !== undefined && !blob.equals(Buffer.from(answer))) this.fails(`a blob of ${blob.length} bytes came back changed`);
  }

  async #answer() {
    const n = this.random.below(1000);
    const answer = await this.ask("ask", n);
    if (answer !== undefined && answer !== n) this.fails(`${answer} in place of ${n}`);
  }

  async #wander() {
    if (this.moves) return;
    const room = `square ${this.random.below(5)}`;
    if (this.inside.has(room)) {
      await this.ask("leave", room);
      this.inside.delete(room);
      this.left.set(room, performance.now());
    } else {
      this.inside.add(room);
      await this.ask("join", room);
      await this.ask("say", room, { from: this.number, n: 0 });
    }
  }

  /** Stops, and waits for what is still to come. */
  async finish() {
    this.running = false;
    await this.done;
    if (this.moves) return;
    await until(() => this.repeated.back === this.repeated.sent, `${this.repeated.sent} events come back, not ${this.repeated.back}`);
    await until(() => (this.heard.get(this.number) ?? -1) === this.said - 1, "it hears the last that it said");
  }

  leave() {
    this.socket.disconnect();
  }
}
