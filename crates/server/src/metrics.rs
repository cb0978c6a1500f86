//! What a server has counted, as numbers and as text for those who collect them.

use std::fmt::{self, Write};

use bytestring::ByteString;
use wirebird_engine::{CloseReason, Engine, Limit, Refused, TransportKind};

use crate::core::Core;
use crate::handler_times::HandlerTimes;

/// What a server has counted since it was made, and how much there is of what at present: see
/// [`Server::metrics`](crate::Server::metrics). Making one looks at each namespace once, and at no connection.
///
/// ```
/// use wirebird::{Limit, Server, TransportKind};
///
/// let metrics = Server::new().metrics();
/// assert_eq!(metrics.sessions_on(TransportKind::WebSocket), 0);
/// assert_eq!(metrics.limit(Limit::Payload), 0);
/// assert!(metrics.to_openmetrics().ends_with("# EOF\n"));
/// ```
#[derive(Debug, Clone)]
pub struct Metrics {
    engine: wirebird_engine::Metrics,
    /// Sockets of the namespaces that the application has set up.
    sockets: Vec<(ByteString, u64)>,
    /// Those of all others.
    dynamic_sockets: u64,
    namespaces: u64,
    pending_events: u64,
    pending_bytes: u64,
    waiting_broadcasts: u64,
    events: [u64; 2],
    handler_times: Option<HandlerTimes>,
}

impl Metrics {
    /// The `Content-Type` of [`Metrics::to_openmetrics`].
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(crate) fn of(core: &Core, engine: &Engine) -> Self {
        let (mut sockets, mut dynamic_sockets) = (Vec::new(), 0);
        for namespace in &core.namespaces {
            let count = namespace.connected() as u64;
            if namespace.is_registered() || namespace.name == "/" {
                sockets.push((namespace.name.clone(), count));
            } else {
                dynamic_sockets += count;
            }
        }
        sockets.sort_unstable();
        let load = core.load.get();
        Self {
            engine: engine.metrics(),
            sockets,
            dynamic_sockets,
            namespaces: core.namespaces.len() as u64,
            pending_events: load.events as u64,
            pending_bytes: load.bytes as u64,
            waiting_broadcasts: core.shards.waiting_bytes() as u64,
            events: core.events.sums(),
            handler_times: core.options.handler_times.as_ref().map(|recorder| recorder.snapshot()),
        }
    }

    /// How often clients have run into a limit.
    pub fn limit(&self, limit: Limit) -> u64 {
        self.engine.limit(limit)
    }

    /// Connections (Engine.IO sessions) at present, those that still get their last packets included.
    pub fn sessions(&self) -> u64 {
        self.engine.sessions()
    }

    /// Connections at present on one transport.
    pub fn sessions_on(&self, transport: TransportKind) -> u64 {
        self.engine.sessions_on(transport)
    }

    /// Connections that were opened on one transport.
    pub fn opened(&self, transport: TransportKind) -> u64 {
        self.engine.opened(transport)
    }

    /// Connections that ended for one reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.engine.closed(reason)
    }

    /// Connections that moved from polling to another transport.
    pub fn upgrades(&self) -> u64 {
        self.engine.upgrades()
    }

    /// Events that clients have sent, those without a handler included.
    pub fn received_events(&self) -> u64 {
        self.events[0]
    }

    /// Events that were emitted: one that goes to a thousand clients counts once, on each server of a cluster.
    pub fn emitted_events(&self) -> u64 {
        self.events[1]
    }

    /// Bytes of the messages that clients have sent, without what transports add, and decompressed.
    pub fn received_bytes(&self) -> u64 {
        self.engine.received_bytes()
    }

    /// Messages for clients: events, acknowledgements, answers to CONNECT. One that goes to a thousand clients counts a thousand
    /// times, also where it is dropped later.
    pub fn sent_messages(&self) -> u64 {
        self.engine.sent_messages()
    }

    /// Bytes of those messages, before they are compressed.
    pub fn sent_bytes(&self) -> u64 {
        self.engine.sent_bytes()
    }

    /// How long handlers took, if [that is measured](crate::Builder::handler_times).
    pub fn handler_times(&self) -> Option<&HandlerTimes> {
        self.handler_times.as_ref()
    }

    /// Messages that were dropped or refused because a client reads too slowly, volatile ones included.
    pub fn dropped_messages(&self) -> u64 {
        self.engine.dropped_messages()
    }

    /// Messages in whose place a newer one went out, because the client had not taken them yet:
    /// [`Operator::conflate`](crate::Operator::conflate).
    pub fn conflated_messages(&self) -> u64 {
        self.engine.conflated_messages()
    }

    /// The requests that were refused, by cause; causes that there was none of are left out.
    pub fn refused(&self) -> &[Refused] {
        self.engine.refused()
    }

    /// Connected sockets, in all namespaces.
    pub fn sockets(&self) -> u64 {
        self.sockets.iter().map(|(_, count)| count).sum::<u64>() + self.dynamic_sockets
    }

    /// Connected sockets of a namespace that has handlers of its own; `None` for others, which are counted together as
    /// [`dynamic_sockets`](Metrics::dynamic_sockets): their names are up to clients.
    pub fn sockets_in(&self, namespace: &str) -> Option<u64> {
        self.sockets.iter().find(|(name, _)| name == namespace).map(|(_, count)| *count)
    }

    /// Connected sockets of the namespaces that have no handlers of their own, by patterns or
    /// [`Builder::namespaces`](crate::Builder::namespaces).
    pub fn dynamic_sockets(&self) -> u64 {
        self.dynamic_sockets
    }

    /// Namespaces that there are.
    pub fn namespaces(&self) -> u64 {
        self.namespaces
    }

    /// Events of clients that wait for handlers, or for them to end, and their bytes.
    pub fn pending(&self) -> (u64, u64) {
        (self.pending_events, self.pending_bytes)
    }

    /// Bytes of broadcasts that wait to be delivered.
    pub fn waiting_broadcasts(&self) -> u64 {
        self.waiting_broadcasts
    }

    /// All of it in the text format of [OpenMetrics](https://openmetrics.io), which Prometheus and others collect. Send it
    /// with the content type [`Metrics::CONTENT_TYPE`].
    pub fn to_openmetrics(&self) -> String {
        let mut text = Text(String::with_capacity(8 << 10));
        text.gauge("wirebird_sessions", "Engine.IO sessions at present.");
        for transport in TransportKind::ALL {
            text.sample(
                "wirebird_sessions",
                &[("transport", transport.as_str())],
                self.sessions_on(*transport),
            );
        }
        text.counter("wirebird_sessions_opened", "Engine.IO sessions that were opened.");
        for transport in TransportKind::ALL {
            let labels = [("transport", transport.as_str())];
            text.sample("wirebird_sessions_opened_total", &labels, self.opened(*transport));
        }
        text.counter("wirebird_sessions_closed", "Engine.IO sessions that ended.");
        for reason in CloseReason::ALL {
            let labels = [("reason", reason.name())];
            text.sample("wirebird_sessions_closed_total", &labels, self.closed(*reason));
        }
        text.counter("wirebird_upgrades", "Sessions that moved from polling to another transport.");
        text.sample("wirebird_upgrades_total", &[], self.upgrades());
        text.gauge(
            "wirebird_sockets",
            "Connected sockets; the empty namespace stands for all that clients made.",
        );
        for (namespace, count) in &self.sockets {
            text.sample("wirebird_sockets", &[("namespace", namespace)], *count);
        }
        text.sample("wirebird_sockets", &[("namespace", "")], self.dynamic_sockets);
        text.gauge("wirebird_namespaces", "Namespaces that there are.");
        text.sample("wirebird_namespaces", &[], self.namespaces);
        text.gauge("wirebird_pending_events", "Events that wait for handlers, or for them to end.");
        text.sample("wirebird_pending_events", &[], self.pending_events);
        text.gauge("wirebird_pending_bytes", "Bytes of the events that wait for handlers.");
        text.sample("wirebird_pending_bytes", &[], self.pending_bytes);
        text.gauge("wirebird_waiting_broadcast_bytes", "Bytes of broadcasts that wait to be delivered.");
        text.sample("wirebird_waiting_broadcast_bytes", &[], self.waiting_broadcasts());
        text.counter("wirebird_received_events", "Events that clients have sent.");
        text.sample("wirebird_received_events_total", &[], self.received_events());
        text.counter("wirebird_emitted_events", "Events that were emitted, to however many clients.");
        text.sample("wirebird_emitted_events_total", &[], self.emitted_events());
        text.counter("wirebird_received_bytes", "Bytes of the messages that clients have sent.");
        text.sample("wirebird_received_bytes_total", &[], self.received_bytes());
        text.counter("wirebird_sent_messages", "Messages for clients.");
        text.sample("wirebird_sent_messages_total", &[], self.sent_messages());
        text.counter("wirebird_sent_bytes", "Bytes of the messages for clients, before they are compressed.");
        text.sample("wirebird_sent_bytes_total", &[], self.sent_bytes());
        if let Some(times) = &self.handler_times {
            text.seconds("wirebird_handler_seconds", "How long the handlers of events took.", times);
        }
        text.counter("wirebird_dropped_messages", "Messages dropped because a client reads too slowly.");
        text.sample("wirebird_dropped_messages_total", &[], self.dropped_messages());
        text.counter("wirebird_conflated_messages", "Messages in whose place a newer one went out.");
        text.sample("wirebird_conflated_messages_total", &[], self.conflated_messages());
        text.counter(
            "wirebird_refused_requests",
            "Requests that were refused, by status, Engine.IO code and cause.",
        );
        for refused in self.refused() {
            let code = refused.code.map(|code| code.to_string()).unwrap_or_default();
            let labels = [("status", refused.status.as_str()), ("code", &code), ("cause", refused.cause)];
            text.sample("wirebird_refused_requests_total", &labels, refused.count);
        }
        text.counter("wirebird_limits_reached", "Times that clients ran into a limit.");
        for limit in Limit::ALL {
            text.sample("wirebird_limits_reached_total", &[("limit", limit.name())], self.limit(*limit));
        }
        text.0.push_str("# EOF\n");
        text.0
    }
}

struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.family(name, "counter", help);
    }

    /// A histogram.
    fn seconds(&mut self, name: &str, help: &str, times: &HandlerTimes) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in times.buckets() {
            self.sample(&bucket, &[("le", &format!("{:?}", bound.as_secs_f64()))], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], times.count());
        self.sample(&format!("{name}_count"), &[], times.count());
        let _ = writeln!(self.0, "{name}_sum {}", times.total().as_secs_f64());
    }

    // Text into a string cannot fail.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# TYPE {name} {kind}\n# HELP {name} {help}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", Escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// Text as the value of a label.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
