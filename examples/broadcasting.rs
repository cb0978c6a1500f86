//! To whom an event goes: the others in a room, all but some, those who can take it now; who is there, and what they
//! answer. In a cluster everything here concerns the sockets of all servers.

use std::time::Duration;

use wirebird::extract::Data;
use wirebird::{AckStream, Error, Incomplete, Server, Socket};
use wirebird_examples::listen;

/// Joins a room under a name that others can see, and tells those who are there already.
async fn enter(socket: Socket, Data((name, room)): Data<(String, String)>) -> Result<(), Error> {
    socket.set_data(&name)?;
    socket.join(&room)?;
    socket.to(&room).emit("entered", name)?;
    Ok(())
}

/// The rooms are still there to be told that somebody leaves them.
async fn leaving(socket: Socket) -> Result<(), Error> {
    let name: Option<String> = socket.data()?;
    socket.to(socket.rooms()).emit("left", name)?;
    Ok(())
}

/// Who is in a room, on whichever server.
async fn who(socket: Socket, Data(room): Data<String>) -> Result<Vec<String>, Error> {
    let found = socket.namespace().to(room).fetch_sockets().await;
    // Those of servers that answer in time are better than none.
    let sockets = found.unwrap_or_else(|Incomplete { answers, .. }| answers);
    let mut names = sockets.iter().map(|socket| socket.data()).collect::<Result<Vec<String>, _>>()?;
    names.sort();
    Ok(names)
}

/// To the members of several rooms, each once, but not to those of others, and not to the sender.
async fn tell(
    socket: Socket,
    Data((rooms, but_not, text)): Data<(Vec<String>, Vec<String>, String)>,
) -> Result<(), Error> {
    socket.to(rooms).except(but_not).emit("told", text)?;
    Ok(())
}

/// For those who can take it now: a client that is behind gets the next position instead.
async fn point(socket: Socket, Data((x, y)): Data<(f32, f32)>) -> Result<(), Error> {
    socket.broadcast().volatile().emit("pointer", (x, y))?;
    Ok(())
}

/// Asks everybody else in a room for a number, and passes the best bid so far on as the bids come in.
async fn auction(socket: Socket, Data((room, item)): Data<(String, String)>) -> Result<(usize, u32), Error> {
    let bidders = socket.to(&room).timeout(Duration::from_secs(2));
    let asked = bidders.count();
    let mut bids: AckStream<u32> = bidders.emit_with_ack("your bid?", &item).stream()?;
    let mut best = 0;
    while let Some((_, bid)) = bids.next().await {
        // Who does not answer in time, or with something else, bids nothing.
        if let Some(bid) = bid.ok().filter(|bid| *bid > best) {
            best = bid;
            socket.namespace().to(&room).emit("best bid", (&item, best))?;
        }
    }
    Ok((asked, best))
}

/// Moves everybody from one room into another.
async fn merge(socket: Socket, Data((from, into)): Data<(String, String)>) -> Result<(), Error> {
    let namespace = socket.namespace();
    namespace.to(&from).join(into);
    namespace.close_room(from)?;
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on("enter", enter);
    io.on("who", who);
    io.on("tell", tell);
    io.on("point", point);
    io.on("auction", auction);
    io.on("merge", merge);
    io.on_disconnecting(leaving);
    io.serve_listener(listen().await?).await
}
