//! Promises that need no server of a special kind: what is encoded how often, what happens to handles that are left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use wirebird::testing::{TestClient, settle};
use wirebird::{Adapter, Local, Operation, Server};

/// Counts how often it is serialised.
struct Counted<'a>(&'a AtomicUsize);

impl Serialize for Counted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_str("text")
    }
}

/// F-PRF-01, F-EMT-14: a broadcast is encoded once, however many receive it.
#[tokio::test(start_paused = true)]
async fn a_broadcast_is_encoded_once() {
    let io = Server::new();
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(TestClient::connect(&io).await.unwrap());
    }
    let times = AtomicUsize::new(0);
    io.emit("news", Counted(&times)).unwrap();
    for client in &clients {
        assert_eq!(client.expect("news").await.unwrap().data::<String>().unwrap(), "text");
    }
    assert_eq!(times.load(Ordering::Relaxed), 1);
}

/// Pain 29: whatever is done with a socket that is gone has no effect, and is no panic.
#[tokio::test(start_paused = true)]
async fn a_socket_that_is_gone_can_be_used() {
    let io = Server::new();
    let client = TestClient::connect(&io).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    socket.join("room").unwrap();
    drop(client);
    settle().await;
    assert!(!socket.is_connected());
    socket.emit("event", 1).unwrap();
    assert!(!socket.emit_volatile("event", 1).unwrap());
    assert!(socket.emit_with_ack::<()>("event", 1).await.is_err_and(|error| error.is_disconnected()));
    assert!(socket.join("other").is_err());
    assert!(!socket.leave("room"));
    assert!(socket.rooms().is_empty() && !socket.in_room("room"));
    assert!(socket.session().get::<u8>().is_none());
    socket.disconnect();
    socket.disconnect_transport();
    assert_eq!(io.socket_count(), 0);
    assert!(matches!(io.to("room").emit("event", 1), Ok(())));
}

/// F-MSQ-15, F-OPT-01, pain 26: an adapter of one's own is told of each operation, with binary data and all arguments, and applies
/// those of others.
#[tokio::test(start_paused = true)]
async fn an_adapter_can_be_written() {
    /// Sends every operation to another server.
    #[derive(Clone, Default)]
    struct Wire(Arc<Mutex<(Option<Local>, Option<Local>)>>);
    struct End(Wire, bool);

    impl Adapter for End {
        fn attach(&self, local: Local) {
            let mut ends = self.0.0.lock();
            *(if self.1 { &mut ends.0 } else { &mut ends.1 }) = Some(local);
        }

        fn publish(&self, operation: Operation) {
            let other = {
                let ends = self.0.0.lock();
                if self.1 { ends.1.clone() } else { ends.0.clone() }
            };
            if let Some(other) = other {
                other.apply(operation).unwrap();
            }
        }
    }

    let wire = Wire::default();
    let (here, there) = (End(wire.clone(), true), End(wire, false));
    let one = Server::builder().adapter(here).build();
    let other = Server::builder().adapter(there).build();
    let client = TestClient::connect(&other).await.unwrap();
    let data = (1, "two", bytes::Bytes::from_static(&[3]), vec![4]);
    one.emit("tuple", &data).unwrap();
    let event = client.expect("tuple").await.unwrap();
    let (a, b, c, d): (u8, String, bytes::Bytes, Vec<u8>) = event.data().unwrap();
    assert_eq!((a, &*b, c, d), (1, "two", bytes::Bytes::from_static(&[3]), vec![4]));
    one.to(client.id()).join("room");
    one.to("room").emit("to the room", ()).unwrap();
    assert_eq!(client.expect("to the room").await.unwrap().args().len(), 0);
    one.to("room").disconnect();
    settle().await;
    assert!(!client.is_connected());
}
