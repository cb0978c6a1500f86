//! Acknowledgements across servers, and looking things up by the ids of the other layer.

mod support;

use std::future::IntoFuture;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use support::{Client, settle};
use wirebird::{AckError, MemoryCluster, Namespace, Operator, Server, Socket};

fn server(cluster: &MemoryCluster) -> Server {
    Server::builder().adapter(cluster.adapter()).build()
}

/// F-ACK-14, pain 7, R20: a socket of another server can be asked by its id.
#[tokio::test(start_paused = true)]
async fn a_socket_of_another_server_acknowledges() {
    let cluster = MemoryCluster::new();
    let (here, there, third) = (server(&cluster), server(&cluster), server(&cluster));
    here.engine().attach_runtime();
    let client = Client::open(&there);
    let id = client.join("/").await;
    let bystander = Client::open(&third);
    bystander.join("/").await;

    let ask = here.to(id.as_str()).emit_with_ack::<(String, u8)>("question", (1, "two"));
    let ask = tokio::spawn(ask.into_future());
    assert_eq!(client.next().await, r#"20["question",1,"two"]"#);
    client.send(r#"30["answer",7]"#);
    let answers = ask.await.unwrap().unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].0.as_str(), id);
    assert_eq!(answers[0].1.as_ref().unwrap(), &("answer".to_owned(), 7));

    // One that does not answer, and one that nobody knows.
    for id in [id.as_str(), "AAAAAAAAAAAAAAAAAAAA"] {
        let ask = here.to(id).emit_with_ack::<u8>("question", ()).timeout(Duration::from_secs(1));
        let answers = ask.await.unwrap();
        assert!(matches!(answers[..], [(_, Err(AckError::Timeout))]), "{answers:?}");
    }
    settle().await;
    assert!(bystander.take().is_empty());
}

/// R20: what is still waited for when the server closes fails at once.
#[tokio::test]
async fn closing_ends_the_wait_for_other_servers() {
    let cluster = MemoryCluster::new();
    let (here, _there) = (server(&cluster), server(&cluster));
    let ask = here.to("AAAAAAAAAAAAAAAAAAAA").emit_with_ack::<u8>("question", ()).no_timeout();
    let ask = tokio::spawn(ask.into_future());
    settle().await;
    here.close().await;
    let answers = ask.await.unwrap().unwrap();
    assert!(matches!(answers[..], [(_, Err(AckError::Disconnected))]), "{answers:?}");
}

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
