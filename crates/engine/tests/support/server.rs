use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use wirebird_engine::http::{Listener, serve};
use wirebird_engine::{CloseReason, Config, Engine, Handler, Id, Message, Refusal, Session};

use super::within;

/// A call of the handler.
#[derive(Debug, Clone)]
pub enum Event {
    Open(Weak<Session>),
    Text(Id, String),
    Binary(Id, Vec<u8>),
    Upgraded(Id),
    Close(Id, CloseReason),
    Refused(u16, Option<u8>, String),
}

/// What the application does with a message; it is recorded anyway.
pub type OnMessage = dyn Fn(&Arc<Session>, &Message) + Send + Sync;

/// A handler that records its calls.
pub struct App {
    events: mpsc::UnboundedSender<Event>,
    on_message: Box<OnMessage>,
}

impl App {
    pub fn new(
        on_message: impl Fn(&Arc<Session>, &Message) + Send + Sync + 'static,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        (Arc::new(Self { events, on_message: Box::new(on_message) }), receiver)
    }

    fn record(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl Handler for App {
    fn open(&self, session: &Arc<Session>) {
        self.record(Event::Open(Arc::downgrade(session)));
    }

    fn message(&self, session: &Arc<Session>, message: Message) {
        self.record(match &message {
            Message::Text(text) => Event::Text(session.id(), text.to_string()),
            Message::Binary(data) => Event::Binary(session.id(), data.to_vec()),
            _ => panic!("a message of an unknown kind"),
        });
        (self.on_message)(session, &message);
    }

    fn upgraded(&self, session: &Arc<Session>) {
        self.record(Event::Upgraded(session.id()));
    }

    fn close(&self, session: &Arc<Session>, reason: CloseReason) {
        self.record(Event::Close(session.id(), reason));
    }

    fn refused(&self, refusal: &Refusal<'_>) {
        self.record(Event::Refused(refusal.status.as_u16(), refusal.code, refusal.message.to_owned()));
    }
}

/// A handler's reaction that does nothing.
pub fn quiet(_: &Arc<Session>, _: &Message) {}

/// A configuration made by `change`.
pub fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// An engine that no runtime and no listener drives.
pub fn inline(
    config: Config,
    on_message: impl Fn(&Arc<Session>, &Message) + Send + Sync + 'static,
) -> (Engine, mpsc::UnboundedReceiver<Event>) {
    let (app, events) = App::new(on_message);
    (Engine::new(config, app).expect("a valid configuration"), events)
}

/// An engine behind a listener on a free port of the loopback address.
pub struct TestServer {
    pub engine: Engine,
    pub addr: SocketAddr,
    pub events: mpsc::UnboundedReceiver<Event>,
    _shutdown: oneshot::Sender<()>,
}

impl TestServer {
    /// A server with a heartbeat that does not disturb.
    pub async fn start() -> Self {
        Self::with(Config::default(), quiet).await
    }

    /// A server whose application does nothing with messages.
    pub async fn start_with(config: Config) -> Self {
        Self::with(config, quiet).await
    }

    pub async fn with(
        config: Config,
        on_message: impl Fn(&Arc<Session>, &Message) + Send + Sync + 'static,
    ) -> Self {
        let (app, events) = App::new(on_message);
        Self::with_handler(config, app, events).await
    }

    pub async fn with_handler(
        config: Config,
        handler: Arc<dyn Handler>,
        events: mpsc::UnboundedReceiver<Event>,
    ) -> Self {
        let engine = Engine::new(config, handler).expect("a valid configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (shutdown, stopped) = oneshot::channel::<()>();
        let served = Listener::new(engine.clone());
        tokio::spawn(serve(listener, served, async move {
            let _ = stopped.await;
        }));
        Self { engine, addr, events, _shutdown: shutdown }
    }

    /// The server of a test about echoes.
    pub async fn echo(config: Config) -> Self {
        Self::with(config, |session, message| {
            let _ = session.send(match message {
                Message::Text(text) => wirebird_engine::Outgoing::text(text),
                Message::Binary(data) => wirebird_engine::Outgoing::binary(data),
                _ => return,
            });
        })
        .await
    }

    pub fn session(&self, sid: &str) -> Arc<Session> {
        self.engine.session(sid).expect("the session is there")
    }

    /// The next call of the handler.
    pub async fn event(&mut self) -> Event {
        within("a call of the handler", self.events.recv()).await.expect("the handler lives")
    }

    /// The next text message, whatever else happens before.
    pub async fn text(&mut self) -> String {
        loop {
            if let Event::Text(_, text) = self.event().await {
                return text;
            }
        }
    }

    /// The next binary message, whatever else happens before.
    pub async fn binary(&mut self) -> Vec<u8> {
        loop {
            if let Event::Binary(_, data) = self.event().await {
                return data;
            }
        }
    }

    /// The reason with which the next session ends.
    pub async fn closed(&mut self) -> CloseReason {
        loop {
            if let Event::Close(_, reason) = self.event().await {
                return reason;
            }
        }
    }

    pub async fn upgraded(&mut self) {
        while !matches!(self.event().await, Event::Upgraded(_)) {}
    }

    /// What the handler was told and nobody has looked at yet.
    pub fn pending_events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Checks that the handler is told nothing for a while.
    pub async fn silent_for(&mut self, time: Duration) {
        if let Ok(event) = tokio::time::timeout(time, self.events.recv()).await {
            panic!("unexpected call of the handler: {event:?}");
        }
    }
}
