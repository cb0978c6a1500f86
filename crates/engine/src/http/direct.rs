//! HTTP/1.1 as Socket.IO clients speak it, straight on the stream. That is nearly all there is to do; a request that is
//! in any way unusual is left to hyper, with the connection and everything that was read of it: another path, method
//! or version, another way to say where a body ends, and what is not quite HTTP.

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, Method, Response};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::body::LINGER;
use super::compress::Encoding;
use super::head::{self, Head, MAX_HEAD, Scan};
use super::serve::is_proxy;
use super::{Reply, Step, begin, find_peer, is_endpoint, refuse, refused_by};
use crate::admission::Permit;
use crate::cors::CorsHeaders;
use crate::engine::Engine;
use crate::limit::Limit;
use crate::polling::{self, Misuse, Post};
use crate::read_buffer;
use crate::refusal::Cause;
use crate::stream::WebSocket;

/// Bytes read at once.
const READ: usize = 16 << 10;
/// A body up to this size is written together with its head.
pub(super) const SMALL_BODY: usize = 16 << 10;

/// What becomes of a connection.
pub(super) enum Next<S> {
    /// It carries a WebSocket from now on. Also given is what was read beyond the request.
    WebSocket(WebSocket, S, Bytes),
    /// Somebody else has to serve it. Also given is what was read.
    Unusual(S, Bytes),
}

/// Serves a connection as long as its requests are usual ones. `known` is put into the extensions of each. Unless `usual`,
/// none is: the first is given away.
///
/// # Errors
/// When the connection ends.
pub(super) async fn run<S>(engine: &Engine, stream: S, known: &Extensions, usual: bool) -> io::Result<Next<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut connection = Connection {
        stream,
        input: Vec::new(),
        patience: Patience::new(),
        served: false,
        usual,
        is_proxy: is_proxy(engine.config(), known),
        polled: false,
    };
    let websocket = match connection.run(engine, known).await {
        Ok(websocket) => websocket,
        Err(error) => {
            let _ = timeout(LINGER, connection.stream.shutdown()).await;
            return Err(error);
        }
    };
    let Connection { stream, input, .. } = connection;
    Ok(match websocket {
        Some(websocket) => Next::WebSocket(websocket, stream, input.into()),
        None => Next::Unusual(stream, input.into()),
    })
}

struct Connection<S> {
    stream: S,
    /// What was read and not handled yet.
    input: Vec<u8>,
    patience: Patience,
    /// A request has been answered: the connection may be idle.
    served: bool,
    /// Requests to the engine are answered here.
    usual: bool,
    /// Whether the connection is that of many clients.
    is_proxy: bool,
    /// The last answer was that to a poll.
    polled: bool,
}

/// A request to the engine, taken out of what was read.
enum Incoming {
    Poll(polling::Poll, Reply),
    Post(Post, Reply, Upload),
    /// What has been looked at, and is refused.
    Refused(Box<Parts>, Box<Cause>, Upload),
    /// What has to be looked at more closely.
    Other(Box<Parts>, Upload),
}

/// The body of a request.
struct Upload {
    length: usize,
    /// All of it, if it has come with the head.
    body: Option<Bytes>,
}

impl Upload {
    /// How much is to be read past when nobody wants it.
    fn unread(&self) -> usize {
        if self.body.is_some() { 0 } else { self.length }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Connection<S> {
    /// Runs until a WebSocket is accepted, or until there is an unusual request.
    async fn run(&mut self, engine: &Engine, known: &Extensions) -> io::Result<Option<WebSocket>> {
        while let Some(incoming) = self.request(engine).await? {
            match incoming {
                Incoming::Poll(poll, reply) => self.poll(poll, reply).await?,
                Incoming::Post(post, reply, upload) => self.post(engine, post, reply, upload).await?,
                Incoming::Refused(mut parts, cause, upload) => {
                    parts.extensions = known.clone();
                    find_peer(engine, &mut parts);
                    let response =
                        refuse(engine, &parts, &cause, &CorsHeaders::without_origin(&engine.config().cors));
                    self.respond(&response).await?;
                    self.pass_over(upload.unread()).await?;
                }
                Incoming::Other(mut parts, upload) => {
                    parts.extensions = known.clone();
                    // Boxed: it is needed once in a while.
                    let step = Box::pin(begin(engine, &mut parts));
                    match self.beside(step).await? {
                        Step::Respond(response) => {
                            self.respond(&response).await?;
                            self.pass_over(upload.unread()).await?;
                        }
                        Step::Poll(poll, reply) => self.poll(poll, reply).await?,
                        Step::Post(post, reply) => self.post(engine, post, reply, upload).await?,
                        Step::WebSocket(websocket, reply) => {
                            let answer = head::of_response(&reply.switching());
                            let websocket = websocket.with_permit(known.get::<Permit>().cloned());
                            if websocket.is_new() {
                                return Ok(Some(websocket.with_answer(answer)));
                            }
                            self.write(answer, &[]).await?;
                            return Ok(Some(websocket));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// The next request; `None` when it is unusual.
    async fn request(&mut self, engine: &Engine) -> io::Result<Option<Incoming>> {
        let config = engine.config();
        let mut idle = self.served && self.input.is_empty();
        let polled = mem::take(&mut self.polled) && !self.is_proxy;
        let for_head = (config.header_timeout, Some(Limit::HeaderTime));
        let (time, mut limit) = if idle { config.idle_time(polled) } else { for_head };
        self.patience.begin(Instant::now() + time);
        self.served = true;
        // What came in small pieces is not looked at again for each of them.
        let mut seen = 0;
        poll_fn(|cx| {
            loop {
                let news = &self.input[seen..];
                let worth = seen == 0 || news.contains(&b'\n') || self.input.len() >= MAX_HEAD;
                if !news.is_empty() && worth {
                    if let Poll::Ready(incoming) = self.take(engine) {
                        return Poll::Ready(Ok(incoming));
                    }
                    seen = self.input.len();
                }
                if self.poll_fill(cx)?.is_pending() {
                    ready!(self.patience.poll_over(cx));
                    if let Some(limit) = limit {
                        engine.count_limit(limit, None);
                    }
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                if mem::take(&mut idle) {
                    limit = for_head.1;
                    self.patience.begin(Instant::now() + for_head.0);
                }
            }
        })
        .await
    }

    /// Takes a request out of what was read, when its head is there. An unusual one stays there.
    fn take(&mut self, engine: &Engine) -> Poll<Option<Incoming>> {
        let head = match Head::scan(&self.input) {
            Scan::Head(head) if self.usual && is_endpoint(engine, head.path) => head,
            Scan::Head(_) | Scan::Unusual => return Poll::Ready(None),
            Scan::NotYet => return Poll::Pending,
        };
        let start = head.bytes.len();
        let end = start.checked_add(head.length).filter(|end| *end <= self.input.len());
        let body = end.map(|end| Bytes::copy_from_slice(&self.input[start..end]));
        let upload = Upload { length: head.length, body };
        let Some(incoming) = look(engine, &head, upload) else { return Poll::Ready(None) };
        let used = end.unwrap_or(start);
        if used == self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..used);
        }
        Poll::Ready(Some(incoming))
    }

    async fn poll(&mut self, mut poll: polling::Poll, reply: Reply) -> io::Result<()> {
        let body = self.beside(&mut poll).await?;
        let written = match reply.plain_poll(&body) {
            Some(head) => self.write(head, body.bytes()).await,
            None => self.respond(&reply.poll(body)).await,
        };
        if let Err(error) = &written {
            poll.undelivered(error.kind());
        }
        self.polled = true;
        written
    }

    async fn post(
        &mut self,
        engine: &Engine,
        mut post: Post,
        reply: Reply,
        upload: Upload,
    ) -> io::Result<()> {
        let unread = upload.unread();
        let body = match upload.body {
            Some(body) => Ok(Some(body)),
            None => match timeout(engine.config().body_timeout, self.body(&post, upload.length)).await {
                Ok(body) => body,
                Err(_) => return self.body_is_late(engine, post, reply).await,
            },
        };
        let body = match body {
            Ok(Some(body)) => body,
            ended => {
                drop(post);
                self.respond(&reply.posted(false)).await?;
                ended?;
                return self.pass_over(unread).await;
            }
        };
        let valid = self.beside(post.deliver(body)).await?;
        post.finish();
        match reply.plain_posted().filter(|_| valid) {
            Some(response) => self.write(response, &[]).await,
            None => self.respond(&reply.posted(valid)).await,
        }
    }

    /// The body of a POST has had its time: the client is told, and the connection ends.
    #[cold]
    async fn body_is_late(&mut self, engine: &Engine, post: Post, reply: Reply) -> io::Result<()> {
        let session = post.session().clone();
        drop(post);
        engine.shared().counters.refused(&Cause::BodyTimeout);
        session.count_limit(Limit::BodyTime);
        self.respond(&reply.too_slow()).await?;
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Waits for an answer, unless the client goes away meanwhile. What it sends already is read once.
    async fn beside<T>(&mut self, answer: impl Future<Output = T>) -> io::Result<T> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            while self.input.is_empty() {
                ready!(self.poll_fill(cx))?;
            }
            Poll::Pending
        })
        .await
    }

    /// Reads the body of a POST; `None` when the session ends meanwhile.
    async fn body(&mut self, post: &Post, length: usize) -> io::Result<Option<Bytes>> {
        let mut abandoned = pin!(Post::abandoned(post.session().clone()));
        poll_fn(|cx| {
            while self.input.len() < length {
                if self.poll_fill(cx)?.is_pending() {
                    return abandoned.as_mut().poll(cx).map(|()| Ok(None));
                }
            }
            let rest = self.input.split_off(length);
            let body = std::mem::replace(&mut self.input, rest);
            Poll::Ready(Ok(Some(body.into())))
        })
        .await
    }

    /// Reads past what is left of a refused body, for a while.
    async fn pass_over(&mut self, length: usize) -> io::Result<()> {
        let mut left = length;
        let all = poll_fn(|cx| {
            loop {
                let here = left.min(self.input.len());
                self.input.drain(..here);
                left -= here;
                if left == 0 {
                    return Poll::Ready(Ok::<(), io::Error>(()));
                }
                ready!(self.poll_fill(cx))?;
            }
        });
        if length == 0 {
            return Ok(());
        }
        timeout(LINGER, all).await??;
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Ok(())
    }

    /// Reads once. The end of the stream is an error.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = read_buffer::with(|buffer| {
            let mut read = ReadBuf::new(&mut buffer[..READ]);
            Pin::new(&mut self.stream).poll_read(cx, &mut read).map_ok(|()| {
                self.input.extend_from_slice(read.filled());
                !read.filled().is_empty()
            })
        });
        match ready!(result) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    async fn respond(&mut self, response: &Response<Bytes>) -> io::Result<()> {
        self.write(head::of_response(response), response.body()).await
    }

    /// Writes an answer. The stream fails when the client does not take it.
    async fn write(&mut self, mut head: Vec<u8>, body: &[u8]) -> io::Result<()> {
        let small = body.len() <= SMALL_BODY;
        if small {
            head.extend_from_slice(body);
        }
        self.stream.write_all(&head).await?;
        if !small {
            self.stream.write_all(body).await?;
        }
        self.stream.flush().await
    }
}

/// Looks at a request: most are polls and POSTs of which nothing but the session matters. `None` when it is unusual.
fn look(engine: &Engine, head: &Head<'_>, upload: Upload) -> Option<Incoming> {
    let config = engine.config();
    let usual = config.transports.polling && config.headers.is_none() && upload.length <= config.max_payload;
    let small = head.query.len() < config.max_url
        && head.headers <= config.max_headers
        && head.bytes.len() <= config.max_head;
    // The path of a file of the client is longer.
    let endpoint = head.path.len() <= config.path.len() + 1;
    let asked = head.polled_session().filter(|_| usual && small && endpoint);
    let Some(session) = asked.and_then(|id| engine.session(id)) else {
        return Some(Incoming::Other(Box::new(head.parts()?), upload));
    };
    let misuse = if !session.check_heartbeat() {
        Misuse::Gone
    } else if head.method == Method::GET {
        match polling::Poll::begin(&session) {
            Ok(poll) => {
                let encoding = Encoding::negotiate(config, head.accept_encoding);
                return Some(Incoming::Poll(poll, Reply::without_origin(engine, encoding)));
            }
            Err(misuse) => misuse,
        }
    } else {
        match Post::begin(&session) {
            Ok(post) => {
                let reply = Reply::without_origin(engine, Encoding::negotiate(config, None));
                return Some(Incoming::Post(post, reply, upload));
            }
            Err(misuse) => misuse,
        }
    };
    Some(Incoming::Refused(Box::new(head.parts()?), Box::new(refused_by(misuse, &session)), upload))
}

/// The time that the head of a request may take, or that the connection may be idle before it. The timer is not set anew
/// for each request: when it fires too early, it is set again, and when too late, now.
struct Patience {
    end: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new() -> Self {
        Self { end: Instant::now(), timer: None }
    }

    fn begin(&mut self, end: Instant) {
        self.end = end;
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = self.end;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, DuplexStream};

    use super::*;
    use crate::config::Config;
    use crate::engine::Handler;
    use crate::message::Message;
    use crate::reason::CloseReason;
    use crate::session::Session;

    const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
    const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(75);

    struct Silent;

    impl Handler for Silent {
        fn message(&self, _: &Arc<Session>, _: Message) {}
        fn close(&self, _: &Arc<Session>, _: CloseReason) {}
    }

    /// A client of a connection, and what becomes of that.
    struct Client {
        engine: Engine,
        stream: DuplexStream,
        served: tokio::task::JoinHandle<io::Result<Next<DuplexStream>>>,
    }

    impl Client {
        fn new() -> Self {
            let config = Config { ping_interval: HEADER_TIMEOUT * 3, ..Config::default() };
            let engine = Engine::new(config, Arc::new(Silent)).unwrap();
            engine.attach_runtime();
            let (stream, other) = tokio::io::duplex(1 << 20);
            let serving = engine.clone();
            let served = tokio::spawn(async move { run(&serving, other, &Extensions::new(), true).await });
            Self { engine, stream, served }
        }

        async fn send(&mut self, text: &str) {
            self.stream.write_all(text.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        async fn receive(&mut self) -> String {
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer).await.unwrap();
            String::from_utf8(buffer[..read].to_vec()).unwrap()
        }

        async fn open(&mut self) -> Arc<Session> {
            self.send("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\r\n").await;
            assert!(self.receive().await.starts_with("HTTP/1.1 200 OK\r\n"));
            self.engine.sessions().remove(0)
        }
    }

    fn request(method: &str, session: &Session, rest: &str) -> String {
        let id = session.id();
        format!("{method} /socket.io/?EIO=4&transport=polling&sid={id} HTTP/1.1\r\n{rest}")
    }

    #[tokio::test]
    async fn requests_in_pieces_and_all_at_once() {
        let mut client = Client::new();
        let session = client.open().await;
        let post = request("POST", &session, "Content-Length: 2\r\n\r\n40");
        for byte in post.chars() {
            client.send(&byte.to_string()).await;
        }
        assert!(client.receive().await.ends_with("\r\n\r\nok"));
        client.send(&format!("{post}{post}")).await;
        assert_eq!(client.receive().await.matches("\r\n\r\nok").count(), 2);
        session.close(CloseReason::ForcedClose);
        client.send(&request("GET", &session, "\r\n")).await;
        assert!(client.receive().await.ends_with("\r\n\r\n1"));
    }

    #[tokio::test]
    async fn a_refused_body_is_read_past() {
        let mut client = Client::new();
        let session = client.open().await;
        client.send(&request("POST", &session, "Content-Length: 2000000\r\n\r\n")).await;
        assert!(client.receive().await.starts_with("HTTP/1.1 413 "));
        for _ in 0..2000 {
            client.stream.write_all(&[b'x'; 1000]).await.unwrap();
        }
        client.send(&request("POST", &session, "Content-Length: 1\r\n\r\n3")).await;
        assert!(client.receive().await.ends_with("\r\n\r\nok"));
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_its_session() {
        for beginning in ["GET", "POST"] {
            let mut client = Client::new();
            let session = client.open().await;
            let length = if beginning == "POST" { "Content-Length: 2\r\n" } else { "" };
            client.send(&request(beginning, &session, &format!("{length}\r\n"))).await;
            assert!(session.is_open());
            let Client { stream, served, .. } = client;
            drop(stream);
            assert!(served.await.unwrap().is_err());
            assert_eq!(session.close_reason(), Some(CloseReason::TransportError));
        }
    }

    #[tokio::test]
    async fn unusual_requests_are_given_away_unchanged() {
        let mut client = Client::new();
        client.open().await;
        let unusual = "GET /elsewhere HTTP/1.1\r\nHost: a\r\n\r\nmore";
        client.send(unusual).await;
        let Ok(Next::Unusual(_, read)) = client.served.await.unwrap() else { panic!() };
        assert_eq!(read, unusual);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_half_a_minute_and_a_pause_more() {
        let mut client = Client::new();
        let session = client.open().await;
        // A poll may be held for longer.
        client.send(&request("GET", &session, "\r\n")).await;
        tokio::time::sleep(HEADER_TIMEOUT * 2).await;
        session.close(CloseReason::ForcedClose);
        assert!(client.receive().await.ends_with("\r\n\r\n1"));
        // Another poll follows at once, if the client is there.
        client.send(&request("GET", &session, "\r\n")).await;
        assert!(client.receive().await.starts_with("HTTP/1.1 400 "));
        let second = Duration::from_secs(1);
        tokio::time::sleep(KEEP_ALIVE_TIMEOUT - second).await;
        client.send("GET ").await;
        tokio::time::sleep(HEADER_TIMEOUT - second).await;
        assert!(!client.served.is_finished());
        assert_eq!(client.engine.metrics().limit(Limit::HeaderTime), 0);
        tokio::time::sleep(2 * second).await;
        assert_eq!(client.engine.metrics().limit(Limit::HeaderTime), 1);
        let error = client.served.await.unwrap().err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
