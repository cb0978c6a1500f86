//! Looking things up by the ids of the other layer, and handles that go anywhere.

mod support;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use support::Client;
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
