// A client on HTTP long-polling, written by hand: every request is seen, with the server that
// answered it and from which address it came.
import http from "node:http";

/** One request; `from` is the client's address, `at` the server if it is not the balancer. */
export const request = (method, path, { headers = {}, body = "", from = "127.0.0.1", at = process.env.WIREBIRD_URL } = {}) =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(at);
    const options = { hostname, port, method, path, headers, localAddress: from, agent: false };
    const sent = http.request(options, async (response) => {
      response.setEncoding("utf8");
      let text = "";
      for await (const part of response) text += part;
      resolve({ status: response.statusCode, headers: response.headers, text });
    });
    sent.on("error", reject);
    sent.end(body);
  });

export class Poller {
  #target = "/socket.io/?EIO=4&transport=polling";
  #cookies = new Map();
  #options;
  #acks = 0;
  /** The names of the servers that have answered. */
  servers = new Set();

  constructor(options = {}) {
    this.#options = options;
  }

  async #send(method, body) {
    const headers = { ...this.#options.headers };
    if (this.#cookies.size) headers.cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await request(method, this.#target, { ...this.#options, headers, body });
    for (const cookie of response.headers["set-cookie"] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      this.#cookies.set(name, value);
    }
    this.servers.add(response.headers["x-server"]);
    if (response.status !== 200) throw Object.assign(new Error(`${response.status} ${response.text}`), response);
    return response.text;
  }

  async open() {
    const { sid } = JSON.parse((await this.#send("GET")).slice(1));
    this.#target += `&sid=${sid}`;
    await this.#send("POST", "40");
    while (!(await this.#packets()).some((packet) => packet.startsWith("40")));
    return this;
  }

  async #packets() {
    const packets = (await this.#send("GET")).split("\x1e");
    if (packets.includes("2")) await this.#send("POST", "3");
    return packets;
  }

  /** Emits an event and waits for its acknowledgement. */
  async call(...event) {
    const id = this.#acks++;
    await this.#send("POST", `42${id}${JSON.stringify(event)}`);
    for (;;) {
      for (const packet of await this.#packets()) {
        if (packet.startsWith(`43${id}[`)) return JSON.parse(packet.slice(2 + `${id}`.length))[0];
      }
    }
  }
}
