//! Clients over HTTP/3, on loopback.

use std::time::Duration;

use tokio::time::timeout;
use wirebird::extract::{Data, State};
use wirebird::{Builder, DisconnectReason, Server, Socket, TransportKind, Transports};
use wirebird_proto::webtransport::{Frame, FrameDecoder, write_frame};
use wirebird_webtransport::{Identity, ServerConfig, WebTransport};
use wtransport::endpoint::ConnectOptions;
use wtransport::quinn::TransportConfig;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};

const PATIENCE: Duration = Duration::from_secs(10);

fn builder() -> Builder {
    Server::builder().transports(Transports::ALL.with_webtransport())
}

/// Serves on a free port of loopback; the address of the endpoint.
fn listen(io: &Server) -> String {
    let identity = Identity::self_signed(["localhost"]).unwrap();
    let config = ServerConfig::builder().with_bind_address("127.0.0.1:0".parse().unwrap());
    let webtransport = WebTransport::bind(io, config.with_identity(identity).build()).unwrap();
    let url = format!("https://{}/socket.io/", webtransport.local_addr().unwrap());
    tokio::spawn(webtransport.serve());
    url
}

struct Client {
    _connection: Connection,
    send: SendStream,
    recv: RecvStream,
    decoder: FrameDecoder,
}

impl Client {
    async fn request(url: &str, origin: Option<&str>) -> Option<Connection> {
        let config = ClientConfig::builder().with_bind_address("127.0.0.1:0".parse().unwrap());
        let endpoint = Endpoint::client(config.with_no_cert_validation().build()).unwrap();
        let mut options = ConnectOptions::builder(url);
        if let Some(origin) = origin {
            options = options.add_header("origin", origin);
        }
        endpoint.connect(options.build()).await.ok()
    }

    async fn open(url: &str, first: &str) -> Self {
        let connection = Self::request(url, None).await.expect("a connection");
        let (send, recv) = connection.open_bi().await.unwrap().await.unwrap();
        let mut client = Self { _connection: connection, send, recv, decoder: FrameDecoder::new(1_000_000) };
        client.text(first).await;
        client
    }

    /// Opens a session and joins `/`.
    async fn connect(url: &str) -> Self {
        let mut client = Self::open(url, "0").await;
        let open = client.next().await;
        assert!(open.starts_with("0{") && open.contains(r#""upgrades":[]"#), "{open}");
        client.text("40").await;
        assert!(client.next().await.starts_with("40{"));
        client
    }

    async fn text(&mut self, text: &str) {
        self.frame(&Frame::Text(text.into())).await;
    }

    async fn frame(&mut self, frame: &Frame) {
        let mut out = Vec::new();
        write_frame(frame, &mut out);
        self.send.write_all(&out).await.unwrap();
    }

    /// The next frame; `None` at the end of the stream.
    async fn next_frame(&mut self) -> Option<Frame> {
        let read = async {
            let mut buffer = vec![0; 4096];
            loop {
                if let Some(frame) = self.decoder.next_frame().unwrap() {
                    return Some(frame);
                }
                let read = self.recv.read(&mut buffer).await.ok()??;
                self.decoder.extend(&buffer[..read]);
            }
        };
        timeout(PATIENCE, read).await.expect("a frame in time")
    }

    async fn next(&mut self) -> String {
        match self.next_frame().await {
            Some(Frame::Text(text)) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

/// F-PRO-17: events both ways, acknowledged, with binary data, over several frames and large ones.
#[tokio::test(flavor = "multi_thread")]
async fn events_go_both_ways() {
    let io = builder().build();
    io.on("echo", async |Data(value): Data<wirebird::Value>| value);
    io.on("transport", async |socket: Socket| socket.transport().to_string());
    let mut client = Client::connect(&listen(&io)).await;
    client.text(r#"421["echo","hello"]"#).await;
    assert_eq!(client.next().await, r#"431["hello"]"#);
    client.text(r#"422["transport"]"#).await;
    assert_eq!(client.next().await, r#"432["webtransport"]"#);
    client.text(r#"451-3["echo",{"_placeholder":true,"num":0}]"#).await;
    client.frame(&Frame::Binary(vec![1, 2, 3].into())).await;
    assert_eq!(client.next().await, r#"461-3[{"_placeholder":true,"num":0}]"#);
    assert_eq!(client.next_frame().await, Some(Frame::Binary(vec![1, 2, 3].into())));
    let long = "x".repeat(300_000);
    client.text(&format!(r#"424["echo","{long}"]"#)).await;
    assert_eq!(client.next().await, format!(r#"434["{long}"]"#));
}

/// F-PRO-17, F-PRO-05: from polling to WebTransport, with what waits, in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_polling_session_moves_here() {
    let io = builder().build();
    let url = listen(&io);
    let service = io.clone();
    let request = async move |method: &str, query: &str, body: &'static str| {
        let uri = format!("http://localhost/socket.io/?EIO=4&transport=polling{query}");
        let request = http::Request::builder().method(method).uri(uri);
        let body = http_body_util::Full::new(bytes::Bytes::from_static(body.as_bytes()));
        let response = service.handle(request.body(body).unwrap()).await;
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let open = request("GET", "", "").await;
    assert!(open.contains(r#""upgrades":["websocket","webtransport"]"#), "{open}");
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap();
    assert_eq!(request("POST", &format!("&sid={sid}"), "40").await, "ok");
    assert!(request("GET", &format!("&sid={sid}"), "").await.starts_with("40{"));

    let mut client = Client::open(&url, &format!(r#"0{{"sid":"{sid}"}}"#)).await;
    client.text("2probe").await;
    assert_eq!(client.next().await, "3probe");
    (0..3).for_each(|number| io.emit("number", number).unwrap());
    client.text("5").await;
    for number in 0..3 {
        assert_eq!(client.next().await, format!(r#"42["number",{number}]"#));
    }
    assert_eq!(io.sockets()[0].transport(), TransportKind::WebTransport);
}

/// F-PRO-17: the path, the origin and the application decide on a request; a session that does not exist is not opened.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_checked() {
    let io = builder()
        .cors_allowed_origins(["https://example.com"])
        .allow_request(async |request: std::sync::Arc<wirebird::Handshake>| {
            if request.query("ticket").as_deref() == Some("good") { Ok(()) } else { Err("no ticket".into()) }
        })
        .build();
    let url = listen(&io);
    let good = format!("{url}?ticket=good");
    assert!(Client::request(&good, Some("https://example.com")).await.is_some());
    assert!(Client::request(&good, Some("https://evil.example")).await.is_none());
    assert!(Client::request(&url, Some("https://example.com")).await.is_none());
    assert!(
        Client::request(&good.replace("socket.io", "other"), Some("https://example.com")).await.is_none()
    );
    for first in [r#"0{"sid":"AAAAAAAAAAAAAAAAAAAA"}"#, "4hello", "0["] {
        assert_eq!(Client::open(&good, first).await.next_frame().await, None, "{first}");
    }
    assert_eq!(io.engine().session_count(), 0);
}

/// F-PRO-10, F-PRO-17: what is no frame ends that session with a parse error, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_end_the_session() {
    let (told, mut reasons) = tokio::sync::mpsc::unbounded_channel();
    let io = builder().state(told).max_payload(1000).build();
    io.on("echo", async |Data(value): Data<String>| value);
    io.on_disconnect(
        async |reason: DisconnectReason, State(told): State<tokio::sync::mpsc::UnboundedSender<_>>| {
            let _ = told.send(reason);
        },
    );
    let url = listen(&io);
    let mut other = Client::connect(&url).await;
    for bytes in
        [&[0][..], &[126, 4, 0], &[127, 255, 255, 255, 255, 255, 255, 255, 255], &[2, 0xff, 0xff], &[1, b'x']]
    {
        let mut client = Client::connect(&url).await;
        client.send.write_all(bytes).await.unwrap();
        let reason = timeout(PATIENCE, reasons.recv()).await.unwrap();
        assert_eq!(reason, Some(DisconnectReason::ParseError), "{bytes:?}");
        while client.next_frame().await.is_some() {}
    }
    other.text(r#"421["echo","still here"]"#).await;
    assert_eq!(other.next().await, r#"431["still here"]"#);
    drop(other);
    let reason = timeout(PATIENCE, reasons.recv()).await.unwrap();
    assert_eq!(reason, Some(DisconnectReason::TransportClose));
}

/// F-PRO-22: closing the server tells clients, and ends the listener.
#[tokio::test(flavor = "multi_thread")]
async fn the_listener_closes_with_the_server() {
    let io = builder().build();
    let identity = Identity::self_signed(["localhost"]).unwrap();
    let config = ServerConfig::builder().with_bind_address("127.0.0.1:0".parse().unwrap());
    let webtransport = WebTransport::bind(&io, config.with_identity(identity).build()).unwrap();
    let url = format!("https://{}/socket.io/", webtransport.local_addr().unwrap());
    let serving = tokio::spawn(webtransport.serve());
    let mut client = Client::connect(&url).await;
    io.emit("last words", ()).unwrap();
    io.close().await;
    assert_eq!(client.next().await, r#"42["last words"]"#);
    while let Some(frame) = client.next_frame().await {
        assert!(matches!(&frame, Frame::Text(text) if text == "41" || text == "1"), "{frame:?}");
    }
    drop(client);
    timeout(PATIENCE, serving).await.expect("the listener ends").unwrap();
}

/// F-PRO-06: it has to be offered.
#[tokio::test]
async fn a_server_that_does_not_offer_it_cannot_listen() {
    let config = ServerConfig::builder().with_bind_address("127.0.0.1:0".parse().unwrap());
    let config = config.with_identity(Identity::self_signed(["localhost"]).unwrap()).build();
    let error = WebTransport::bind(&Server::new(), config).unwrap_err();
    assert!(error.to_string().contains("with_webtransport"), "{error}");
}

/// F-SEC-01: a client that asks and then takes no answer holds neither its connection nor the end of the server.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_answer_is_let_go() {
    let (asked, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let gate = move |_| {
        let _ = asked.send(());
        async { Ok(()) }
    };
    let io = builder().upgrade_timeout(Duration::from_millis(300)).allow_request(gate).build();
    let identity = Identity::self_signed(["localhost"]).unwrap();
    let config = ServerConfig::builder().with_bind_address("127.0.0.1:0".parse().unwrap());
    let webtransport = WebTransport::bind(&io, config.with_identity(identity).build()).unwrap();
    let url = format!("https://{}/socket.io/", webtransport.local_addr().unwrap());
    let served = tokio::spawn(webtransport.serve());

    // One byte at a time, and none any more once the server has the request.
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(1_u32.into()).keep_alive_interval(Some(Duration::from_millis(100)));
    let config = ClientConfig::builder().with_bind_address("127.0.0.1:0".parse().unwrap());
    let mut config = config.with_no_cert_validation().build();
    config.quic_config_mut().transport_config(std::sync::Arc::new(transport));
    let endpoint = Endpoint::client(config).unwrap();
    let mut connecting = Box::pin(endpoint.connect(&url));
    let asked = async {
        tokio::select! {
            biased;
            _ = requests.recv() => true,
            _ = &mut connecting => false,
        }
    };
    assert!(timeout(PATIENCE, asked).await.expect("a request in time"));

    timeout(PATIENCE, io.close()).await.expect("no session is left");
    timeout(PATIENCE, served).await.expect("the listener ends").unwrap();
    drop(connecting);
}
