// The benchmark's contract on Node's socket.io. `ws` uses its native addons when they are there; by default they are
// not installed, and WS_NO_BUFFER_UTIL=1 WS_NO_UTF_8_VALIDATE=1 makes it so.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.on("echo", (text, ack) => ack(text));
  socket.on("bin", (bytes, ack) => ack(bytes));
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack();
  });
  socket.on("cast", (payload, ack) => {
    io.emit("msg", payload);
    ack();
  });
  socket.on("room", (room, payload, ack) => {
    io.to(room).emit("msg", payload);
    ack();
  });
});

http.listen(Number(process.argv[2] ?? 0), "127.0.0.1", 4096);
