//! Acknowledgements in both directions: what clients get for their events, and what they answer to ours.

use std::thread;
use std::time::Duration;

use wirebird::extract::Data;
use wirebird::{AckError, AckSender, AckStream, Error, Server, Socket, SocketId};
use wirebird_examples::listen;

/// The simplest acknowledgement is what a handler returns; a tuple is several arguments.
async fn divide(Data((a, b)): Data<(u32, u32)>) -> Result<(u32, u32), Error> {
    match (a.checked_div(b), a.checked_rem(b)) {
        (Some(quotient), Some(remainder)) => Ok((quotient, remainder)),
        _ => Err(Error::msg("division by zero")),
    }
}

/// Takes the acknowledgement along, to be sent later and from elsewhere. The next event need not wait for it.
async fn slow_sum(Data(numbers): Data<Vec<u64>>, ack: AckSender) {
    thread::spawn(move || {
        let sum: u64 = numbers.iter().sum();
        if let Err(error) = ack.send(sum) {
            eprintln!("the sum was not sent: {error}");
        }
    });
}

/// Asks the client back and waits for its answer. Only this client's later events wait meanwhile.
async fn greet(socket: Socket) -> Result<String, Error> {
    let name: String = socket.emit_with_ack("your name?", ()).timeout(Duration::from_secs(5)).await?;
    Ok(format!("hello {name}"))
}

/// Asks everybody in a room, and waits for all answers. Whoever does not answer in time is an error in the list.
async fn vote(socket: Socket, Data((room, question)): Data<(String, String)>) -> Result<String, Error> {
    let everybody = socket.namespace().to(room);
    let ballots: Vec<(SocketId, Result<bool, AckError>)> =
        everybody.emit_with_ack("vote", question).timeout(Duration::from_secs(5)).await?;
    let yes = ballots.iter().filter(|(_, ballot)| matches!(ballot, Ok(true))).count();
    let no = ballots.iter().filter(|(_, ballot)| matches!(ballot, Ok(false))).count();
    Ok(format!("{yes} yes, {no} no, {} did not vote", ballots.len() - yes - no))
}

/// As before, but the answers are passed on one by one as they come.
async fn live_vote(
    socket: Socket,
    Data((room, question)): Data<(String, String)>,
) -> Result<&'static str, Error> {
    let everybody = socket.namespace().to(room);
    let mut ballots: AckStream<bool> =
        everybody.emit_with_ack("vote", question).timeout(Duration::from_secs(5)).stream()?;
    while let Some((voter, ballot)) = ballots.next().await {
        match ballot {
            Ok(yes) => socket.emit("ballot", (voter, yes))?,
            Err(error) if error.is_timeout() => socket.emit("no ballot", voter)?,
            Err(error) => eprintln!("{voter} did not vote: {error}"),
        }
    }
    Ok("the polls are closed")
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = Server::new();
    io.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
    io.on("divide", divide);
    io.on("slow sum", slow_sum);
    io.on("greet me", greet);
    io.on("start vote", vote);
    io.on("start live vote", live_vote);
    io.serve_listener(listen().await?).await
}
