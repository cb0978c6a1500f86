//! Looking things up by the ids of the other layer, and handles that go anywhere.

mod support;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use support::{Client, until};
use wirebird::{Namespace, Operator, Server, Socket};

/// R7, R19: from the session to its sockets, and the list of namespaces.
#[tokio::test]
async fn sockets_are_found_by_their_session() {
    let io = Server::new();
    io.of("/other").on_connect(async || ());
    let client = Client::open(&io);
    let ids = [client.join("/").await, client.join("/other").await];
    let session = client.conn.session().id();
    let found = io.sockets_of_session(session.as_str());
    assert_eq!(found.iter().map(|socket| socket.id().to_string()).collect::<Vec<_>>(), ids);
    assert!(io.sockets_of_session(&ids[0]).is_empty(), "a public id is no session id");
    let mut names: Vec<_> = io.namespaces().iter().map(|namespace| namespace.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["/", "/other"]);
}

/// F-INT-07, F-ROM-10: from one id to the other and back, for the members of rooms too, as they are at that moment.
#[tokio::test]
async fn ids_of_sockets_and_sessions_lead_to_each_other() {
    let io = Server::new();
    io.of("/other").on_connect(async || ());
    let (one, two) = (Client::open(&io), Client::open(&io));
    let (first, second) = (io.socket(one.join("/").await).unwrap(), io.socket(two.join("/").await).unwrap());
    let same_client = io.of("/other").socket(one.join("/other").await).unwrap();
    let session = one.conn.session().id();
    assert_eq!(io.socket_of_session(session.as_str()), Some(first.clone()));
    assert_eq!(io.of("/other").socket_of_session(session.as_str()), Some(same_client.clone()));
    assert_eq!(io.of("/other").socket_of_session(two.conn.session().id().as_str()), None);
    assert_eq!(io.socket_of_session(first.id().as_str()), None, "a public id is no session id");
    assert_eq!(io.socket_of_session("unknown"), None);
    assert_eq!(first.engine_session().id(), session);
    assert_eq!(same_client.engine_session().id(), session);

    first.join("a").unwrap();
    second.join("b").unwrap();
    let participants = |operator: Operator| -> Vec<_> {
        let sockets = operator.sockets();
        let mut ids: Vec<_> =
            sockets.iter().map(|socket| (socket.id(), socket.engine_session().id())).collect();
        ids.sort_by_key(|(id, _)| *id);
        ids
    };
    let all = [(first.id(), session), (second.id(), two.conn.session().id())];
    assert_eq!(participants(io.to("a")), all[..1]);
    let mut sorted = all;
    sorted.sort_by_key(|(id, _)| *id);
    assert_eq!(participants(io.to(["a", "b", "a"])), sorted);
    assert_eq!(participants(io.all()), sorted);
    assert!(participants(io.to("nobody")).is_empty());

    // Whether it is connected, by its id.
    assert!(io.socket(second.id()).is_some() && io.of("/other").socket(second.id()).is_none());
    two.break_off();
    until("the end", || io.socket(second.id()).is_none()).await;
    assert_eq!(participants(io.all()), all[..1]);
}

/// F-INT-01, F-INT-03: how many are connected, to which namespace and by which transport, and what waits for each.
#[tokio::test]
async fn connections_are_counted() {
    let io = Server::new();
    io.of("/other").on_connect(async || ());
    assert_eq!((io.socket_count(), io.engine().session_count()), (0, 0));
    let (one, two) = (Client::open(&io), Client::open(&io));
    let first = io.socket(one.join("/").await).unwrap();
    one.join("/other").await;
    two.join("/").await;
    assert_eq!((io.socket_count(), io.of("/other").socket_count()), (2, 1));
    assert_eq!(io.engine().session_count(), 2);
    assert_eq!(first.transport().to_string(), "websocket");
    let transports = io.engine().sessions().iter().map(|session| session.transport()).collect::<Vec<_>>();
    assert_eq!(transports, [first.transport(); 2]);
    first.emit("waits", ()).unwrap();
    first.emit("waits", ()).unwrap();
    assert_eq!(first.engine_session().queued().0, 2);
    one.take();
    assert_eq!(first.engine_session().queued().0, 0);
    one.break_off();
    until("the end", || io.engine().session_count() == 1).await;
    assert_eq!((io.socket_count(), io.of("/other").socket_count()), (1, 0));
}

/// R17: a runtime of the application's choice drives the server, also for clients in memory.
#[test]
fn a_runtime_can_be_given() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let io = Server::builder().runtime(runtime.handle().clone()).build();
    io.on("wait", async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        "waited"
    });
    let client = Client::open(&io);
    runtime.block_on(async {
        client.join("/").await;
        assert_eq!(client.call(1, r#"["wait"]"#).await, [r#"31["waited"]"#]);
    });
}

/// R26: handles can be held anywhere.
#[test]
fn handles_are_safe_to_hold() {
    fn safe<T: Send + Sync + UnwindSafe + RefUnwindSafe + Clone + 'static>() {}
    safe::<Server>();
    safe::<Namespace>();
    safe::<Operator>();
    safe::<Socket>();
}
