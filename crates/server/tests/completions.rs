//! Wherever and whenever the completion of an event is dropped, the events behind it are handled, and the end of the socket.

mod support;

use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use parking_lot::Mutex;
use support::Client;
use wirebird::{
    Completion, Concurrency, ConnectRequest, ConnectResponder, DisconnectReason, Dispatcher, IncomingEvent,
    Server, Socket,
};

/// What the dispatcher has seen and keeps, and the clients that it feeds.
#[derive(Default)]
struct App {
    kept: Mutex<Vec<Completion>>,
    handled: Mutex<Vec<String>>,
    left: Mutex<usize>,
    clients: OnceLock<[Client; 2]>,
}

impl App {
    fn drop_kept(&self) {
        let kept = std::mem::take(&mut *self.kept.lock());
        drop(kept);
    }
}

struct Host(Weak<App>);

impl Dispatcher for Host {
    fn connect(&self, _: ConnectRequest, responder: ConnectResponder) {
        responder.accept();
    }

    fn event(&self, event: IncomingEvent) {
        let Some(app) = self.0.upgrade() else { return };
        let (word, number) = event.name.split_once(' ').unwrap();
        app.handled.lock().push(number.to_owned());
        let feed = |client: usize| {
            let packet = format!(r#"2["release {number}-{client}"]"#);
            app.clients.get().unwrap()[client].send(packet);
        };
        match word {
            "keep" => app.kept.lock().push(event.completion),
            "release" => app.drop_kept(),
            "early" => {
                drop(event.completion);
                feed(0);
                app.drop_kept();
            }
            "nested" => {
                feed(1);
                feed(0);
            }
            "elsewhere" => thread::scope(|scope| {
                let completion = event.completion;
                scope.spawn(|| drop(completion));
            }),
            _ => panic!("as the test wants it"),
        }
    }

    fn disconnect(&self, _: Socket, _: DisconnectReason, _: Completion) {
        if let Some(app) = self.0.upgrade() {
            *app.left.lock() += 1;
        }
    }
}

/// F-EVT-13, F-DIS-01: completions that are dropped in the call of their event, in that of another event of the same socket
/// or of another socket, on another thread, later, or by a panic.
#[test]
fn no_event_is_stuck_behind_a_completion() {
    let words = ["keep", "keep", "release", "early", "nested", "elsewhere", "panic"];
    for seed in 0..100_u64 {
        let app = Arc::<App>::default();
        let several = Concurrency::Concurrent(1 + seed as usize % 3);
        let io =
            Server::builder().concurrency(several).dispatcher(Arc::new(Host(Arc::downgrade(&app)))).build();
        let clients = [Client::inline(&io), Client::inline(&io)];
        for client in &clients {
            client.send("0");
        }
        let _ = app.clients.set(clients);
        let clients = app.clients.get().unwrap();
        let (mut sent, mut dice) = (Vec::new(), seed);
        for number in 0..30 {
            dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (word, client) = (words[(dice >> 33) as usize % words.len()], (dice >> 50) as usize % 2);
            match word {
                "early" => sent.push(format!("{number}-0")),
                "nested" => sent.extend([format!("{number}-0"), format!("{number}-1")]),
                _ => {}
            }
            sent.push(number.to_string());
            clients[client].send(format!(r#"2["{word} {number}"]"#));
        }
        while !app.kept.lock().is_empty() {
            app.drop_kept();
        }
        let mut handled = app.handled.lock().clone();
        handled.sort();
        sent.sort();
        assert_eq!(handled, sent, "seed {seed}");
        assert_eq!(*app.left.lock(), 0, "seed {seed}");
        clients[0].conn.close();
        clients[1].send("1");
        assert_eq!(*app.left.lock(), 2, "seed {seed}");
        assert_eq!(io.of("/").sockets().len(), 0, "seed {seed}");
    }
}
