//! Messages between two people: text, typing notices, receipts, history.

use serde::Deserialize;
use wirebird::extract::{Data, Session, State};
use wirebird::{EmitError, Error, Namespace, Socket};

use crate::people::{Body, History, Message, People, Step};
use crate::{Me, Refused, tabs_of};

const MAX_TEXT: usize = 2000;

#[derive(Deserialize)]
pub(crate) struct Draft {
    to: String,
    text: String,
}

/// The acknowledgement is the message as it was accepted, with its id and time.
pub(crate) async fn message(
    socket: Socket,
    Session(Me(me)): Session<Me>,
    State(people): State<People>,
    Data(draft): Data<Draft>,
) -> Result<Message, Error> {
    let text = draft.text.trim();
    if text.is_empty() || text.chars().count() > MAX_TEXT {
        return Err(Refused("a message has 1 to 2000 characters").into());
    }
    let message = people.add(&me, &draft.to, Body::Text(text.to_owned()))?;
    deliver(&socket, &people, &message)?;
    Ok(message)
}

/// Hands a message to the sender's other tabs and to the recipient's. It is delivered when one of those acknowledges it.
pub(crate) fn deliver(socket: &Socket, people: &People, message: &Message) -> Result<(), EmitError> {
    socket.to(tabs_of(&message.from)).emit("message", message)?;
    let all = socket.namespace();
    let mut answers = all.to(tabs_of(&message.to)).emit_with_ack::<()>("message", message).stream()?;
    let (people, id, from, to) = (people.clone(), message.id, message.from.clone(), message.to.clone());
    // Not `socket.spawn`: it goes on when the sender has left.
    tokio::spawn(async move {
        while let Some((_, answer)) = answers.next().await {
            if answer.is_ok() {
                return got_to(&all, &people, &to, &from, id, Step::Delivered);
            }
        }
        Ok(())
    });
    Ok(())
}

/// Tells both how far a reader has got with what a writer wrote.
fn got_to(
    all: &Namespace,
    people: &People,
    reader: &str,
    writer: &str,
    id: u64,
    step: Step,
) -> Result<(), EmitError> {
    match people.mark(reader, writer, id, step) {
        Some(receipt) => {
            all.to([tabs_of(reader), tabs_of(writer)]).emit("receipt", (reader, writer, receipt))
        }
        None => Ok(()),
    }
}

pub(crate) async fn read(
    all: Namespace,
    Session(Me(me)): Session<Me>,
    State(people): State<People>,
    Data((writer, id)): Data<(String, u64)>,
) -> Result<(), Error> {
    Ok(got_to(&all, &people, &me, &writer, id, Step::Read)?)
}

/// May be lost: there will soon be another, or a message.
pub(crate) async fn typing(
    socket: Socket,
    Session(Me(me)): Session<Me>,
    Data(to): Data<String>,
) -> Result<(), Error> {
    Ok(socket.to(tabs_of(&to)).volatile().emit("typing", me)?)
}

/// The last messages of a chat are delivered with it.
pub(crate) async fn history(
    all: Namespace,
    Session(Me(me)): Session<Me>,
    State(people): State<People>,
    Data(other): Data<String>,
) -> Result<History, Error> {
    let history = people.history(&me, &other);
    got_to(&all, &people, &me, &other, u64::MAX, Step::Delivered)?;
    Ok(history)
}
