//! A session that is used from several threads until somebody ends it: what is common to those who try it with real threads,
//! and those who decide about their order (`model/tests/session.rs`).

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use wirebird_engine::http::{Step, begin};
use wirebird_engine::{CloseReason, Engine, Handler, Message, Outgoing, Session};

/// The application: it notes what it is told, and answers.
#[derive(Default)]
pub struct App {
    messages: Mutex<Vec<u32>>,
    closed: Mutex<Vec<CloseReason>>,
}

impl Handler for App {
    fn message(&self, session: &Arc<Session>, message: Message) {
        let Message::Text(text) = message else { panic!("{message:?}") };
        self.messages.lock().unwrap().push(text.parse().unwrap());
        let _ = session.send(Outgoing::text(&format!("c{text}")));
    }

    fn close(&self, _: &Arc<Session>, reason: CloseReason) {
        self.closed.lock().unwrap().push(reason);
    }
}

impl App {
    /// It has ended once, nothing came twice or out of order, and whoever was told of an end that the server made has
    /// everything. `sent` is how many of the messages `a1`, `a2`, … were taken; `got` is what the client has, and `told` whether
    /// it has read to the end.
    pub fn check(&self, sent: [(char, u32); 2], got: &[String], told: bool) {
        let closed = self.closed.lock().unwrap().clone();
        assert_eq!(closed.len(), 1, "{closed:?}");
        let messages = self.messages.lock().unwrap().clone();
        assert!(messages.iter().copied().eq(1..=messages.len() as u32), "{messages:?}");
        let drained = matches!(closed[0], CloseReason::ForcedClose | CloseReason::ServerShutdown);
        for (name, sent) in sent {
            let own = got.iter().filter_map(|text| text.strip_prefix(name)?.parse::<u32>().ok());
            let own: Vec<u32> = own.collect();
            assert!(own.iter().copied().eq(1..=own.len() as u32), "{name}: {got:?}");
            assert!(own.len() <= sent as usize, "{name}, {sent}: {got:?}");
            assert!(!drained || !told || own.len() == sent as usize, "{name}, {sent}: {got:?}");
        }
    }
}

/// How it ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Application,
    Shutdown,
    ClientClose,
    /// No pong comes.
    Silence,
    /// The connection breaks.
    Break,
}

impl End {
    pub const ALL: [Self; 5] =
        [Self::Application, Self::Shutdown, Self::ClientClose, Self::Silence, Self::Break];
}

/// A request of a polling client, up to where its body would be read, or its answer waited for.
pub fn request(engine: &Engine, method: &str, query: &str) -> Step {
    let uri = format!("/socket.io/?EIO=4&transport=polling{query}");
    let mut parts = http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
    let begun = std::pin::pin!(begin(engine, &mut parts));
    match begun.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(step) => step,
        Poll::Pending => panic!("a request that waits"),
    }
}
