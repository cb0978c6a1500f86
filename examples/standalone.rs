//! The smallest server: no framework, rooms and a chat.
use wirebird::{Server, Socket, extract::Data};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    io.on("chat", async |socket: Socket, Data((room, text)): Data<(String, String)>| {
        socket.to(room).emit("chat", (socket.id(), text))
    });
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:5000".into());
    println!("listening on http://{addr}");
    io.serve(addr).await
}
