//! What the operator reads of the HTTP side: every refusal says why, and nothing says a secret.

use tracing::Level;
use wirebird::engine::{CloseReason, Id, IdError, IdGenerator};
use wirebird::extract::{Auth, Data};
use wirebird::{Builder, ConnectError, Error, PeerAddr, Server, Socket, TransportKind};

use crate::http::{Site, WebSocket, until};
use crate::log::{Line, Log};
use crate::support::{Client, settle};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
/// The page that tells operators what each cause means.
const PAGE: &str = include_str!("../../../../docs/src/debugging.md");

/// Provokes refusals, and looks at what is said of each.
struct Provoked {
    io: Server,
    site: Site,
    log: Log,
}

impl Provoked {
    async fn new(builder: Builder, log: &Log) -> Self {
        let io = builder.build();
        Self { site: Site::alone(&io).await, io, log: log.clone() }
    }

    /// Sends a request and finds the line that explains its answer. The page for operators must have its cause in a
    /// line with its status.
    async fn line(&self, request: (&str, &str, &[(&str, &str)], &str), status: u16, cause: &str) -> Line {
        self.log.take();
        let (method, target, headers, body) = request;
        let response = self.site.request(method, target, headers, body).await;
        assert_eq!(response.status, status, "{cause}: {response:?}");
        self.explained(status, cause)
    }

    /// The line that explains the last answer.
    #[track_caller]
    fn explained(&self, status: u16, cause: &str) -> Line {
        let lines = self.log.take_own(Level::DEBUG);
        let refused: Vec<_> = lines.iter().filter(|line| line.message() == "request refused").collect();
        assert_eq!(refused.len(), 1, "one line for {cause}: {lines:#?}");
        let line = refused[0].clone();
        assert_eq!((line.level, line.target.as_str()), (Level::DEBUG, "wirebird::engineio"));
        assert_eq!(line.field("cause"), Some(&*format!("{cause:?}")), "{line:?}");
        assert_eq!(line.field("status"), Some(&*status.to_string()));
        assert!(line.field("peer").unwrap().starts_with("127.0.0.1:"), "{line:?}");
        assert!(line.field("detail").is_some_and(|detail| detail.len() > 10), "{line:?}");
        let listed = PAGE
            .lines()
            .any(|row| row.starts_with(&format!("| {status} ")) && row.contains(&format!("| `{cause}` |")));
        assert!(listed, "docs/src/debugging.md does not list {cause} with {status}");
        line
    }

    async fn open(&self) -> String {
        self.site.get(POLLING).await.sid()
    }
}

/// F-LOG-02: every refusal is explained by one line, with what the client asked for and where it is; the page for
/// operators lists it.
#[tokio::test]
async fn every_refusal_is_explained() {
    let (log, _guard) = Log::start();
    let builder = || Server::builder().max_payload(100).max_head(2000);
    let it = Provoked::new(
        builder().allow_request(async |request| match request.query("no") {
            Some(_) => Err("not today".into()),
            None => Ok(()),
        }),
        &log,
    )
    .await;
    let none: &[(&str, &str)] = &[];

    let line = it.line(("GET", "/socket.io/?EIO=4", none, ""), 400, "unknown-transport").await;
    assert_eq!((line.field("method"), line.field("transport")), (Some("GET"), None));
    let line =
        it.line(("GET", "/socket.io/?EIO=4&transport=smoke", none, ""), 400, "unknown-transport").await;
    assert_eq!((line.field("transport"), line.field("code")), (Some("\"smoke\""), Some("0")));

    let gone = format!("{POLLING}&sid=abcdefghijklmnopqrst");
    let line = it.line(("GET", &gone, none, ""), 400, "unknown-session").await;
    assert_eq!((line.field("sid"), line.field("code")), (Some("\"abcd\""), Some("1")));

    it.line(("POST", POLLING, none, ""), 400, "handshake-method").await;
    let own = format!("{POLLING}&sid={}", it.open().await);
    it.line(("DELETE", &own, none, ""), 405, "method").await;

    let evil = [("Host", "good.org"), ("Origin", "https://evil.org")];
    let line = it.line(("GET", POLLING, &evil, ""), 400, "origin").await;
    assert_eq!(line.field("origin"), Some("\"https://evil.org\""));
    assert!(line.field("detail").unwrap().contains("http://good.org"), "{line:?}");

    let line = it.line(("GET", WEBSOCKET, none, ""), 400, "websocket-handshake").await;
    assert!(line.field("detail").unwrap().contains("Upgrade"), "{line:?}");

    let upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade")];
    it.line(("GET", &own, &upgrade, ""), 400, "upgrade-on-polling").await;
    it.line(("GET", &format!("{POLLING}&no=1"), none, ""), 403, "forbidden").await;
    let line = it.line(("GET", "/socket.io/?EIO=2&transport=polling", none, ""), 400, "version").await;
    assert_eq!(line.field("code"), Some("5"));
    it.line(("POST", &own, none, &"4".repeat(101)), 413, "body-too-large").await;
    it.line(("GET", POLLING, &[("X-Large", &*"x".repeat(2000))], ""), 431, "head-too-large").await;

    // Those that end the session, or come after its upgrade.
    let binary = [("Content-Type", "application/octet-stream")];
    it.line(("POST", &own, &binary, "4x"), 400, "binary-post").await;
    let sid = it.open().await;
    let own = format!("{POLLING}&sid={sid}");
    let (site, target) = (it.site, own.clone());
    let held = tokio::spawn(async move { site.get(&target).await.status });
    let session = it.io.engine().session(&sid).unwrap();
    until("the poll to be held", || session.is_writable()).await;
    it.line(("GET", &own, none, ""), 400, "overlap").await;
    assert_eq!(held.await.unwrap(), 200);

    let sid = it.open().await;
    let mut ws = WebSocket::open(it.site, &format!("{WEBSOCKET}&sid={sid}")).await;
    ws.take_over().await;
    let session = it.io.engine().session(&sid).unwrap();
    until("the upgrade", || session.transport() == TransportKind::WebSocket).await;
    it.line(("GET", &format!("{POLLING}&sid={sid}"), none, ""), 400, "other-transport").await;

    // Those that need other options.
    let it = Provoked::new(builder().allow_upgrades(false), &log).await;
    let target = format!("{WEBSOCKET}&sid={}", it.open().await);
    log.take();
    assert_eq!(it.site.upgrade(&target, &[]).await.status, 400);
    it.explained(400, "no-upgrades");

    let jsonp = format!("{POLLING}&j=0");
    let it = Provoked::new(builder(), &log).await;
    it.line(("GET", &jsonp, none, ""), 400, "no-jsonp").await;
    let it = Provoked::new(builder().jsonp(true), &log).await;
    it.line(("GET", &format!("{POLLING}&j=alert(1)"), none, ""), 400, "callback").await;

    let it = Provoked::new(builder().max_sessions(1), &log).await;
    it.open().await;
    it.line(("GET", POLLING, none, ""), 503, "full").await;

    struct NoIds;
    impl IdGenerator for NoIds {
        fn generate(&self) -> Result<Id, IdError> {
            Err(IdError)
        }
    }
    let it = Provoked::new(builder().ids(NoIds), &log).await;
    it.line(("GET", POLLING, none, ""), 503, "no-id").await;
    it.io.engine().begin_close();
    log.take();
    let request = ::http::Request::get(POLLING)
        .extension(PeerAddr("127.0.0.1:1".parse().unwrap()))
        .body(http_body_util::Empty::<bytes::Bytes>::new());
    assert_eq!(it.io.handle(request.unwrap()).await.status(), 503);
    it.explained(503, "closing");
}

/// F-LOG-02: what a request does to a session that it ends is explained, too, with the beginning of the session's id.
#[tokio::test]
async fn ends_of_sessions_are_explained() {
    let (log, _guard) = Log::start();
    let it = Provoked::new(Server::builder().max_payload(100), &log).await;
    let said = |text: &str, sid: &str| {
        let lines = log.take_own(Level::DEBUG);
        let line = lines.iter().find(|line| line.message().contains(text));
        let line = line.unwrap_or_else(|| panic!("nothing about {text:?}: {lines:#?}"));
        assert!(line.field("sid").is_some_and(|shown| shown.contains(&sid[..4])), "{line:?}");
        assert!(PAGE.contains(text), "docs/src/debugging.md does not mention {text:?}");
    };
    for (body, text) in [("9", "undecodable packet"), ("2", "a heartbeat in the wrong direction")] {
        let sid = it.open().await;
        said("session opened", &sid);
        it.site.request("POST", &format!("{POLLING}&sid={sid}"), &[], body).await;
        said(text, &sid);
    }
    let mut ws = WebSocket::open(it.site, WEBSOCKET).await;
    let open: serde_json::Value = serde_json::from_str(&ws.text().await[1..]).unwrap();
    ws.send(&format!("4{}", "x".repeat(110))).await;
    until("the end of the session", || it.io.engine().session_count() == 0).await;
    let sid = open["sid"].as_str().unwrap();
    said("refused WebSocket data", sid);
    assert!(PAGE.contains("a client sent a message over the limit"));
}

/// F-LOG-02, F-SCL-01: clients whose session has just ended, by themselves or by the server, are no reason to warn of the
/// balancer; sessions of another server are, once a minute.
#[tokio::test]
async fn only_sessions_from_elsewhere_are_warned_of() {
    let (log, _guard) = Log::start();
    let (here, elsewhere) =
        (Provoked::new(Server::builder(), &log).await, Provoked::new(Server::builder(), &log).await);
    let ask = async |method, sid: &str| {
        let target = format!("{POLLING}&sid={sid}");
        let response = here.site.request(method, &target, &[], "3").await;
        assert_eq!(response.status, 400, "{response:?}");
        let lines = log.take();
        assert!(lines.iter().any(|line| line.field("cause") == Some("\"unknown-session\"")), "{lines:#?}");
        let warned = lines.iter().filter(|line| line.level == Level::WARN);
        warned.map(|line| line.message().to_owned()).collect::<Vec<_>>()
    };
    // The client closes, and sends what it was about to send.
    let sid = here.open().await;
    let closed = here.site.request("POST", &format!("{POLLING}&sid={sid}"), &[], "1").await;
    assert_eq!(closed.status, 200);
    for method in ["GET", "POST"] {
        assert_eq!(ask(method, &sid).await, [""; 0], "{method}");
    }
    // The server closes: what the client sends before it knows is refused while the session is still there.
    let sid = here.open().await;
    here.io.engine().session(&sid).unwrap().close(CloseReason::ForcedServerClose);
    assert!(here.io.engine().session(&sid).is_some());
    assert_eq!(ask("POST", &sid).await, [""; 0]);
    // Another server's.
    let sid = elsewhere.open().await;
    let warned = ask("GET", &sid).await;
    assert!(
        warned.len() == 1 && warned[0].contains("the balancer has to keep a client on one"),
        "{warned:?}"
    );
    assert_eq!(ask("POST", &sid).await, [""; 0], "once a minute");
}

/// F-LOG-01, F-OPT-02, F-OPT-03, F-LOG-03, F-LOG-04, F-SEC-02: in a busy scenario, with everything logged, credentials, cookies and session
/// ids are nowhere; payloads only at trace, and clipped; of session ids the beginning at debug.
#[tokio::test]
async fn secrets_are_nowhere() {
    let (log, _guard) = Log::start();
    let cookie = "theme=dark; session=cookie-secret";
    let io = Server::builder()
        .cookie(wirebird::Cookie::named("io"))
        .allow_request(async |request| match request.header("authorization") {
            Some(_) => Ok(()),
            None => Err("who are you?".into()),
        })
        .build();
    io.on_connect(async |Auth(auth): Auth<serde_json::Value>| match auth["token"].as_str() {
        Some("auth-secret-good") => Ok(()),
        _ => Err(ConnectError::new("not you")),
    });
    io.of("/typed").on_connect(async |Auth(_): Auth<u32>| ());
    io.on("say", async |socket: Socket, Data(text): Data<String>| {
        socket.namespace().emit("said", text).unwrap();
        Err::<(), _>(Error::msg("no ink"))
    });
    io.on("number", async |Data(_): Data<u32>| "ok");
    io.on("ask", async |socket: Socket| socket.emit_with_ack::<String>("question", "payload-secret").await);
    let headers =
        [("Cookie", cookie), ("Authorization", "Bearer header-secret"), ("X-Api-Key", "header-secret")];
    let site = Site::alone(&io).await;
    let mut sids = Vec::new();
    for way in ["polling", "websocket", "refused"] {
        let refused = [("Cookie", cookie)];
        let opened = if way == "refused" {
            site.request("GET", &format!("{POLLING}&token=query-secret"), &refused, "").await
        } else {
            site.request("GET", &format!("{POLLING}&token=query-secret"), &headers, "").await
        };
        if way == "refused" {
            assert_eq!(opened.status, 403);
            continue;
        }
        let sid = opened.sid();
        let session = format!("{POLLING}&sid={sid}");
        let packets = [
            r#"40{"token":"auth-secret-good"}"#,
            r#"40/typed,{"token":"auth-secret-typed"}"#,
            r#"42["say","payload-secret"]"#,
            r#"420["number","payload-secret"]"#,
            r#"42["nobody handles this","payload-secret"]"#,
            r#"42["ask"]"#,
        ];
        if way == "polling" {
            let body = packets.join("\u{1e}");
            assert_eq!(site.request("POST", &session, &headers, &body).await.text(), "ok");
            site.get(&session).await;
            site.request("POST", &session, &headers, r#"430["payload-secret"]"#).await;
            site.request("POST", &session, &headers, r#"42["broken","payload-secret"#).await;
            // It is closed when it has fetched what is left for it.
            site.get(&session).await;
        } else {
            let mut ws = WebSocket::open(site, &format!("{WEBSOCKET}&sid={sid}")).await;
            ws.take_over().await;
            for packet in packets {
                ws.send(packet).await;
            }
            ws.text().await;
            ws.send("payload-secret").await;
        }
        sids.push(sid);
    }
    let memory = Client::open(&io);
    memory.send(r#"0{"token":"auth-secret-bad"}"#);
    assert_eq!(memory.next().await, r#"4{"message":"not you"}"#);
    settle().await;
    until("the sessions to end", || io.engine().session_count() == 1).await;
    sids.push(memory.conn.session().id().to_string());
    io.close_within(std::time::Duration::ZERO).await;

    let lines = log.take();
    let own = |line: &&Line| line.target.starts_with("wirebird");
    assert!(lines.iter().filter(own).count() > 30, "a busy scenario: {lines:#?}");
    for line in &lines {
        let text = format!("{line:?}");
        for secret in ["cookie-secret", "header-secret", "auth-secret", "query-secret"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(line.level == Level::TRACE || !text.contains("payload-secret"), "{text}");
        for sid in &sids {
            assert!(!text.contains(sid.as_str()), "a session id in {text}");
            assert!(line.level >= Level::DEBUG || !text.contains(&sid[..4]), "a session's id in {text}");
        }
    }
    for line in lines.iter().filter(own) {
        let known = ["wirebird::socketio", "wirebird::engineio"];
        assert!(known.contains(&line.target.as_str()), "another target: {line:?}");
    }
    let about = |message: &str, fields: &[&str]| {
        let line = lines.iter().find(|line| line.message() == message);
        let line = line.unwrap_or_else(|| panic!("no line says {message:?}"));
        fields.iter().for_each(|field| assert!(line.field(field).is_some(), "no {field} in {line:?}"));
    };
    about("connected", &["nsp", "sid"]);
    about("connection refused", &["nsp", "sid", "reason"]);
    about("event received", &["nsp", "sid", "event", "args"]);
    about("event emitted", &["nsp", "event"]);
    about("an event without a handler", &["nsp", "event"]);
    about("a handler failed", &["nsp", "sid", "event", "error"]);
    about("disconnected", &["nsp", "sid", "reason"]);
    about("session opened", &["sid", "transport", "peer"]);
    about("session closed", &["sid", "reason"]);
}

/// F-LOG-03: what is shown of payloads at trace is clipped, and cannot forge a line.
#[tokio::test]
async fn payloads_are_clipped() {
    let (log, _guard) = Log::start();
    let io = Server::new();
    io.on("say", async |socket: Socket, Data(text): Data<String>| socket.emit("said", text));
    let client = Client::open(&io);
    client.join("/").await;
    client.send(format!("2[\"say\",\n\"{}\"]", "x".repeat(100_000)));
    client.next().await;
    let lines = log.take_own(Level::TRACE);
    assert!(lines.iter().any(|line| line.message() == "event received"));
    for line in lines {
        let text = format!("{line:?}");
        assert!(text.len() < 1000 && !text.contains("\n"), "{text}");
    }
}
