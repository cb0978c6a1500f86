// Clients that come, do a few things and go.
import { client, MODES, connected, pause } from "../faults/harness.mjs";

const AT_ONCE = 5;

export class Visitors {
  constructor(server, random) {
    Object.assign(this, { server, random, running: true, count: 0, problems: [], latencies: [] });
    this.done = Promise.all(Array.from({ length: AT_ONCE }, () => this.#come()));
  }

  async #come() {
    while (this.running) {
      const began = performance.now();
      const socket = client({ after: () => {} }, this.server.url, { transports: this.random.pick(MODES), reconnection: false });
      try {
        await connected([socket]);
        this.latencies.push(performance.now() - began);
        await socket.timeout(15_000).emitWithAck("join", `visitors ${this.random.below(3)}`);
        for (let i = this.random.below(5); i >= 0; i--) {
          await socket.timeout(15_000).emitWithAck("say", `visitors ${this.random.below(3)}`, i);
          await pause(this.random.between(0, 100));
        }
        this.count++;
      } catch (error) {
        if (this.problems.length < 10) this.problems.push(`a visitor: ${error.message}`);
      }
      socket.disconnect();
      await pause(this.random.between(0, 300));
    }
  }

  stop() {
    this.running = false;
    return this.done;
  }
}
