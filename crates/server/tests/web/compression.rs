//! Events that are compressed on their way, and those that are not.

use std::time::Duration;

use wirebird::{Deflate, MemoryCluster, Server, Socket};

use crate::http::Site;

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// A client on polling that reads gzip.
struct Client {
    site: Site,
    session: String,
}

impl Client {
    async fn connect(io: &Server) -> Self {
        let site = Site::alone(io).await;
        let session = format!("{POLLING}&sid={}", site.get(POLLING).await.sid());
        let client = Self { site, session };
        assert_eq!(client.site.request("POST", &client.session, &[], "40").await.status, 200);
        assert!(client.site.get(&client.session).await.text().starts_with("40{"));
        client
    }

    fn socket(&self, io: &Server) -> Socket {
        let sid = self.session.rsplit('=').next().unwrap();
        io.sockets_of_session(sid).remove(0)
    }

    /// Whether the next reply is compressed.
    async fn next_is_compressed(&self) -> bool {
        let gzip = [("Accept-Encoding", "gzip")];
        let response = self.site.request("GET", &self.session, &gzip, "").await;
        assert!(!response.body.is_empty());
        response.header("content-encoding") == Some("gzip")
    }
}

/// F-PRO-23, F-NOD-05: each way to emit can say that the event is not to be compressed.
#[tokio::test]
async fn every_emit_can_say_no() {
    let io = Server::new();
    let client = Client::connect(&io).await;
    let socket = client.socket(&io);
    let text = "x".repeat(5000);
    for compress in [true, false] {
        io.compress(compress).emit("to all", &text).unwrap();
        assert_eq!(client.next_is_compressed().await, compress);
        io.to(socket.id()).compress(compress).emit("to one", &text).unwrap();
        assert_eq!(client.next_is_compressed().await, compress);
        socket.compress(compress).emit("to it", &text).unwrap();
        assert_eq!(client.next_is_compressed().await, compress);
        let asked = socket.emit_with_ack::<()>("ask it", &text).compress(compress);
        let asked = tokio::spawn(async move { asked.timeout(Duration::from_millis(1)).await });
        assert_eq!(client.next_is_compressed().await, compress);
        assert!(asked.await.unwrap().is_err());
        let answers = io.compress(compress).emit_with_ack::<()>("ask all", &text).stream().unwrap();
        assert_eq!(client.next_is_compressed().await, compress);
        drop(answers);
    }
}

/// F-PRO-23: what is emitted for other servers takes the word along.
#[tokio::test]
async fn other_servers_are_told() {
    let cluster = MemoryCluster::new();
    let here = Server::builder().adapter(cluster.adapter()).build();
    let there = Server::builder().adapter(cluster.adapter()).build();
    let client = Client::connect(&there).await;
    for compress in [true, false] {
        here.compress(compress).emit("news", "x".repeat(5000)).unwrap();
        assert_eq!(client.next_is_compressed().await, compress);
    }
}

/// F-PRO-14: WebSocket messages are compressed when the option says so, as its values say.
#[tokio::test]
async fn per_message_deflate() {
    let target = "/socket.io/?EIO=4&transport=websocket";
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    let site = Site::alone(&Server::new()).await;
    assert_eq!(site.upgrade(target, &offer).await.header("sec-websocket-extensions"), None);
    for (_, site) in Site::each(&Server::builder().per_message_deflate(Deflate::default()).build()).await {
        let response = site.upgrade(target, &offer).await;
        let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, Some(agreed)));
    }
    for (deflate, what) in [
        (Deflate::default().level(0), "level"),
        (Deflate::default().client_max_window_bits(8), "bits"),
        (Deflate::default().server_max_window_bits(16), "bits"),
    ] {
        let error = Server::builder().per_message_deflate(deflate).try_build().unwrap_err().to_string();
        assert!(error.contains("per_message_deflate") && error.contains(what), "{error}");
    }
}
