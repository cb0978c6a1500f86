// As little of a balancer as there can be: new connections go to a server that says that it is ready, those of a session to
// the server that has it.
import http from "node:http";
import net from "node:net";

const IS_READY_EVERY_MS = 50;

export class Balancer {
  /** Which server has a session. */
  sessions = new Map();
  servers = [];

  static async start() {
    const balancer = new Balancer();
    balancer.http = http.createServer((request, response) => balancer.forward(request, response));
    balancer.http.on("upgrade", (request, socket, head) => balancer.upgrade(request, socket, head));
    await new Promise((resolve) => balancer.http.listen(0, "127.0.0.1", resolve));
    balancer.address = `http://127.0.0.1:${balancer.http.address().port}`;
    return balancer;
  }

  /** Sends clients to a server from now on, as long as it is ready. */
  add(server) {
    server.ready = true;
    this.servers.push(server);
    server.asking = setInterval(async () => {
      server.ready = await fetch(`${server.address}/ready`).then((answer) => answer.ok, () => false);
    }, IS_READY_EVERY_MS);
  }

  stop() {
    this.servers.forEach(({ asking }) => clearInterval(asking));
    this.http.close();
    this.http.closeAllConnections();
  }

  /** Where a request goes to; undefined if nobody takes it. */
  server(request) {
    const sid = new URL(request.url, this.address).searchParams.get("sid");
    return this.sessions.get(sid) ?? this.servers.find(({ ready }) => ready);
  }

  forward(request, response) {
    const server = this.server(request);
    if (!server) return response.writeHead(503).end();
    const { method, headers } = request;
    const there = http.request(server.address + request.url, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.on("data", (data) => {
        const opened = /^0\{"sid":"([^"]+)"/.exec(data);
        if (opened) this.sessions.set(opened[1], server);
      });
      answer.pipe(response);
    });
    there.on("error", () => response.headersSent ? response.destroy() : response.writeHead(502).end());
    response.on("close", () => there.destroy());
    request.pipe(there);
  }

  upgrade(request, socket, head) {
    const server = this.server(request);
    if (!server) return socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    const { hostname, port } = new URL(server.address);
    const there = net.connect(port, hostname, () => {
      const { rawHeaders } = request;
      let lines = `GET ${request.url} HTTP/1.1\r\n`;
      for (let at = 0; at < rawHeaders.length; at += 2) lines += `${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`;
      there.write(`${lines}\r\n`);
      there.write(head);
      there.pipe(socket).pipe(there);
    });
    for (const [one, other] of [[there, socket], [socket, there]]) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  }
}
