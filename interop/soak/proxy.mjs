// A plain TCP proxy that can be restarted: all of its connections are reset.
import { connect, createServer } from "node:net";

export class Proxy {
  static async start(run, server) {
    const proxy = new Proxy();
    const [host, port] = server.address.split(":");
    proxy.open = new Set();
    const listener = createServer((client) => {
      const upstream = connect(Number(port), host);
      const pair = { reset: () => [client, upstream].forEach((socket) => socket.resetAndDestroy()) };
      proxy.open.add(pair);
      for (const [from, to] of [[client, upstream], [upstream, client]]) {
        from.setNoDelay(true);
        from.pipe(to);
        from.on("error", () => {});
        from.on("close", () => {
          to.destroy();
          proxy.open.delete(pair);
        });
      }
    });
    await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
    run.after(() => {
      proxy.restart();
      listener.close();
    });
    proxy.url = `http://127.0.0.1:${listener.address().port}`;
    return proxy;
  }

  restart() {
    for (const pair of this.open) pair.reset();
  }
}
