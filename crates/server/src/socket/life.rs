//! A socket's life: connecting, handling events, leaving.

use std::sync::Arc;

use wirebird_engine::{Expire, Millis, Outgoing, SendError};
use wirebird_proto::socket_io::{HeaderKind, RawArgs};

use super::{Gate, Socket, SocketInner};
use crate::acks::{AckResult, AckSink};
use crate::dispatch::{AckSender, Completion, IncomingEvent};
use crate::error::{AckError, ConnectError, EmitError};
use crate::guard;
use crate::mailbox::{Accepted, Admitted, Job, Load, QueuedEvent, Stage, Visit};
use crate::options::millis;
use crate::packet::control;
use crate::reason::DisconnectReason;

/// Timer tokens of a socket.
const ACKS: u64 = 0;
const GRACE: u64 = 1;

impl SocketInner {
    pub(crate) fn stage(&self) -> Stage {
        self.mailbox.lock().stage()
    }

    /// Whether the socket is connected and not about to leave.
    pub(crate) fn is_connected(&self) -> bool {
        self.stage() == Stage::Open
    }

    // ---- connecting ----

    /// The CONNECT packet, with what the application adds to it.
    pub(crate) fn connect_packet(
        &self,
        extra: Option<serde_json::Map<String, serde_json::Value>>,
    ) -> Outgoing {
        let json = match extra {
            None => format!("{{\"sid\":\"{}\"}}", self.id),
            Some(mut members) => {
                members.insert("sid".into(), self.id.as_str().into());
                serde_json::Value::Object(members).to_string()
            }
        };
        control(HeaderKind::Connect, &self.namespace.name, &json)
    }

    /// The connect handler accepted.
    pub(crate) fn accept(self: &Arc<Self>, extra: Option<serde_json::Map<String, serde_json::Value>>) {
        let accepted = {
            let mut mailbox = self.mailbox.lock();
            let accepted = mailbox.accept();
            if accepted == Accepted::Open {
                self.namespace.count_connected();
            }
            accepted
        };
        match accepted {
            Accepted::Over => return,
            // Disconnected by its own connect handler: that is a refusal.
            Accepted::Disconnected => return self.refuse(ConnectError::rejected()),
            Accepted::Open | Accepted::Left(_) => {}
        }
        tracing::debug!(target: "wirebird::socketio", nsp = %self.namespace.name, sid = %self.id, "connected");
        if let Some(observer) = &self.core.observer {
            guard("observer", || observer.connected(&Socket(self.clone())));
        }
        if let Accepted::Left(reason) = accepted {
            self.observe_end(reason);
            self.begin_end(reason);
        } else {
            // In order: an earlier socket of this client and namespace may have its farewell still to come.
            let connect = self.connect_packet(extra);
            guard("delivery", || self.in_order(move |socket| socket.open_gate(connect)));
            let left = self.mailbox.lock().told();
            if let Some(reason) = left {
                self.observe_end(reason);
            }
            self.mailbox.lock().accepted();
        }
        self.client.connect_done(true);
        self.pump();
    }

    /// The connect handler refused, or failed.
    pub(crate) fn refuse(self: &Arc<Self>, error: ConnectError) {
        let dropped = {
            let mut mailbox = self.mailbox.lock();
            if mailbox.stage() != Stage::Connecting {
                return;
            }
            mailbox.end()
        };
        tracing::debug!(
            target: "wirebird::socketio",
            nsp = %self.namespace.name, message = error.message(), "connection refused"
        );
        let farewell = if self.core.options.always_connect {
            control(HeaderKind::Disconnect, &self.namespace.name, "")
        } else {
            control(HeaderKind::ConnectError, &self.namespace.name, &error.to_json())
        };
        self.observe_sent(&farewell);
        self.client.part(self, || {
            let open = self.shut_gate() != Gate::Shut;
            open.then(|| self.session.begin_send(farewell).1)
        });
        self.client.uncount(&self.core, dropped);
        self.remove();
        self.client.connect_done(false);
    }

    // ---- events ----

    pub(crate) fn receive(self: &Arc<Self>, event: QueuedEvent) {
        if let Some(observer) = &self.core.observer {
            guard("observer", || observer.event_received(&Socket(self.clone()), &event.name, &event.args));
        }
        let load = event.load();
        let admitted = {
            let mut mailbox = self.mailbox.lock();
            let admitted = mailbox.admit(event, self.namespace.concurrency());
            if let Admitted::Queued = admitted {
                self.client.count(&self.core, load);
            }
            admitted
        };
        match admitted {
            Admitted::Now(event, visit) => {
                self.dispatch(event, load, Some(visit));
                self.settle(visit, load);
            }
            Admitted::Queued => {
                self.client.restrain(&self.core);
                self.pump();
            }
            Admitted::Never => {}
        }
    }

    fn dispatch(self: &Arc<Self>, event: QueuedEvent, load: Load, visit: Option<Visit>) {
        let incoming = IncomingEvent {
            name: event.name,
            args: event.args,
            ack: AckSender::new(self.clone(), event.ack),
            completion: Completion::event(self.clone(), load, visit),
            socket: Socket(self.clone()),
        };
        self.namespace.dispatch(&self.core, "event", |dispatcher| dispatcher.event(incoming));
    }

    /// The event that was handed on at once is back from its handler, or the handler waits: from then on it counts as kept.
    fn settle(self: &Arc<Self>, visit: Visit, load: Load) {
        let next = {
            let mut mailbox = self.mailbox.lock();
            if mailbox.settle(visit) {
                self.client.count(&self.core, load);
            }
            mailbox.next(self.namespace.concurrency())
        };
        self.client.restrain(&self.core);
        self.run(next);
    }

    /// Runs what can run. Whoever finds somebody else at it leaves it to them.
    pub(crate) fn pump(self: &Arc<Self>) {
        let next = {
            let mut mailbox = self.mailbox.lock();
            if !mailbox.begin_pumping() {
                return;
            }
            mailbox.next(self.namespace.concurrency())
        };
        self.run(next);
    }

    fn run(self: &Arc<Self>, mut next: Option<Job>) {
        while let Some(job) = next {
            match job {
                Job::Event(event) => {
                    let load = event.load();
                    self.dispatch(event, load, None);
                }
                Job::Disconnect(reason) => {
                    let (socket, completion) = (Socket(self.clone()), Completion::disconnect(self.clone()));
                    self.namespace.dispatch(&self.core, "disconnect", |dispatcher| {
                        dispatcher.disconnect(socket, reason, completion);
                    });
                }
            }
            next = self.mailbox.lock().next(self.namespace.concurrency());
        }
    }

    pub(crate) fn event_done(self: &Arc<Self>, load: Load, visit: Option<Visit>) {
        let (kept, next) = {
            let mut mailbox = self.mailbox.lock();
            let kept = mailbox.done(visit);
            let next =
                if mailbox.begin_pumping() { mailbox.next(self.namespace.concurrency()) } else { None };
            (kept, next)
        };
        if kept {
            self.client.uncount(&self.core, load);
        }
        self.run(next);
    }

    // ---- acknowledgements ----

    /// Keeps a sink for the acknowledgement of an event that is about to be sent, and returns the event's id. When no
    /// more can be kept the sink is told at once.
    pub(crate) fn expect_ack(&self, sink: AckSink, timeout: Option<Millis>) -> Option<u64> {
        let engine = self.session.engine();
        let deadline = timeout.map(|timeout| engine.now() + timeout);
        let inserted = self.acks.lock().insert(sink, deadline, self.core.options.max_pending_acks);
        match inserted {
            Ok((id, timer)) => {
                if let Some(at) = timer {
                    engine.schedule(at, self.me.clone(), ACKS);
                }
                Some(id)
            }
            Err((sink, error)) => {
                resolve(sink, Err(error));
                None
            }
        }
    }

    /// Sends the packet that `make` makes of an id, and hands its acknowledgement to `sink`, or why there is none.
    pub(crate) fn emit_expecting(
        self: &Arc<Self>,
        sink: AckSink,
        timeout: Option<Millis>,
        make: impl FnOnce(u64) -> Outgoing,
    ) -> Option<u64> {
        let id = self.expect_ack(sink, timeout)?;
        if self.send(make(id)) == Err(SendError::Full)
            && let Some(sink) = self.take_ack(id)
        {
            resolve(sink, Err(AckError::Emit(EmitError::Full)));
        }
        Some(id)
    }

    pub(crate) fn acknowledged(&self, id: u64, args: RawArgs) {
        match self.take_ack(id) {
            Some(sink) => resolve(sink, Ok(args)),
            None => tracing::debug!(
                target: "wirebird::socketio",
                nsp = %self.namespace.name, id, "the client acknowledged an event that was not waiting for it"
            ),
        }
    }

    pub(crate) fn take_ack(&self, id: u64) -> Option<AckSink> {
        self.acks.lock().take(id)
    }

    fn expire_acks(&self, now: Millis) {
        let (due, next) = self.acks.lock().expire(now);
        let engine = self.session.engine();
        if let Some(at) = next {
            engine.schedule(at, self.me.clone(), ACKS);
        }
        if !due.is_empty() {
            engine.offload(move || due.into_iter().for_each(|sink| resolve(sink, Err(AckError::Timeout))));
        }
    }

    // ---- leaving ----

    /// The socket ends. Only the first call counts: it returns true, and the disconnect handler runs once, after the
    /// handlers of the events that came before.
    pub(crate) fn leave(self: &Arc<Self>, reason: DisconnectReason) -> bool {
        let (stage, accepting) = {
            let mut mailbox = self.mailbox.lock();
            if !mailbox.leave(reason) {
                return false;
            }
            (mailbox.stage(), mailbox.is_accepting())
        };
        if stage == Stage::Connecting {
            // Its connect handler is still at it, or has not begun; what happens then is up to its answer.
            if reason != DisconnectReason::ServerDisconnect {
                self.client.forget(self);
                self.shut_gate();
                if self.client.withdraw(self) {
                    let dropped = self.mailbox.lock().end();
                    self.client.uncount(&self.core, dropped);
                    self.remove();
                }
            }
            self.fail_acks();
            return true;
        }
        self.namespace.count_disconnected();
        if !accepting {
            self.observe_end(reason);
        }
        self.begin_end(reason);
        self.pump();
        true
    }

    fn observe_end(self: &Arc<Self>, reason: DisconnectReason) {
        if let Some(observer) = &self.core.observer {
            guard("observer", || observer.disconnected(&Socket(self.clone()), reason));
        }
    }

    /// From now on nothing reaches the client, and nothing is expected of it.
    fn begin_end(self: &Arc<Self>, reason: DisconnectReason) {
        // A disconnect handler to come is kept for the client as an event is: coming and going costs it as much.
        self.client.count(&self.core, self.leaving_load());
        self.client.restrain(&self.core);
        self.namespace.rooms.freeze(self);
        if reason == DisconnectReason::ServerDisconnect {
            let farewell = control(HeaderKind::Disconnect, &self.namespace.name, "");
            self.in_order(move |socket| {
                socket.observe_sent(&farewell);
                socket.client.part(socket, || socket.shut_gate_after(farewell));
            });
        } else {
            self.client.forget(self);
            self.shut_gate();
        }
        self.fail_acks();
        let idle = {
            let mut mailbox = self.mailbox.lock();
            mailbox.may_end();
            mailbox.is_idle()
        };
        if !idle {
            let engine = self.session.engine();
            engine.schedule(
                engine.now() + millis(self.core.options.disconnect_grace),
                self.me.clone(),
                GRACE,
            );
        }
    }

    /// Acknowledgements will not come any more.
    fn fail_acks(&self) {
        let sinks = self.acks.lock().close();
        for sink in sinks {
            resolve(sink, Err(AckError::Disconnected));
        }
    }

    fn give_up_waiting(self: Arc<Self>) {
        let dropped = self.mailbox.lock().give_up_waiting();
        if dropped.events > 0 {
            tracing::warn!(
                target: "wirebird::socketio",
                nsp = %self.namespace.name, dropped = dropped.events,
                "a handler of a disconnected socket has not finished; the events behind it are dropped"
            );
            self.client.uncount(&self.core, dropped);
        }
        self.pump();
    }

    fn leaving_load(&self) -> Load {
        Load::one(self.auth.as_deref().map_or(0, str::len))
    }

    pub(crate) fn disconnect_done(self: &Arc<Self>) {
        let (stage, dropped) = {
            let mut mailbox = self.mailbox.lock();
            (mailbox.stage(), mailbox.end())
        };
        if stage == Stage::Gone {
            return;
        }
        self.client.uncount(&self.core, dropped);
        self.client.uncount(&self.core, self.leaving_load());
        self.remove();
    }

    /// The server has closed: the socket's handlers are not waited for.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let (stage, dropped) = {
            let mut mailbox = self.mailbox.lock();
            (mailbox.stage(), mailbox.end())
        };
        match stage {
            Stage::Gone => return,
            Stage::Open => self.namespace.count_disconnected(),
            Stage::Leaving => self.client.uncount(&self.core, self.leaving_load()),
            Stage::Connecting => {}
        }
        self.client.forget(self);
        self.client.uncount(&self.core, dropped);
        self.shut_gate();
        self.remove();
    }

    /// Nothing of the socket is left behind.
    fn remove(self: &Arc<Self>) {
        self.namespace.rooms.freeze(self);
        self.namespace.sockets.remove(&self.id);
        self.fail_acks();
        self.membership.lock().clear();
        let data = std::mem::take(&mut *self.data.lock());
        drop(data);
        self.release_slot();
        self.core.drop_if_unused(&self.namespace);
    }

    pub(super) fn release_slot(&self) {
        let slot = self.slot.lock().take();
        if let Some(slot) = slot {
            self.namespace.dispatch(&self.core, "released", |dispatcher| dispatcher.released(slot));
        }
    }
}

impl Expire for SocketInner {
    fn expire(self: Arc<Self>, token: u64, now: Millis) {
        if token == ACKS {
            return self.expire_acks(now);
        }
        let engine = self.session.engine();
        engine.offload(move || self.give_up_waiting());
    }
}

/// Tells a sink, which is code of the application.
fn resolve(sink: AckSink, result: AckResult) {
    guard("ack", || sink(result));
}
