//! A socket's life: connecting and leaving.

use std::sync::Arc;

use wirebird_engine::{Expire, Limit, Millis, Outgoing};
use wirebird_proto::socket_io::HeaderKind;

use super::events::{ACKS, resolve};
use super::recovery::ARRIVE;
use super::{Gate, Socket, SocketInner};
use crate::dispatch::{Completion, Work};
use crate::error::{AckError, ConnectError};
use crate::guard;
use crate::mailbox::{Accepted, Load, Stage};
use crate::old;
use crate::options::millis;
use crate::packet::control;
use crate::reason::DisconnectReason;
use crate::room::Room;
use crate::rooms::Change;

/// The timer token of a disconnected socket's handlers.
const GRACE: u64 = 1;

impl SocketInner {
    pub(crate) fn stage(&self) -> Stage {
        self.mailbox.lock().stage()
    }

    /// Whether the socket is connected and not about to leave.
    pub(crate) fn is_connected(&self) -> bool {
        self.stage() == Stage::Open
    }

    /// Whether it counts among the sockets of its namespace: connected, or with its disconnecting handler at work.
    pub(crate) fn is_listed(&self) -> bool {
        self.mailbox.lock().is_listed()
    }

    /// Whether nothing is under way: no handler of it runs or waits, and the client owes no acknowledgement.
    pub(crate) fn is_quiet(&self) -> bool {
        let idle = {
            let mailbox = self.mailbox.lock();
            match mailbox.stage() {
                Stage::Connecting => false,
                Stage::Open => mailbox.is_idle(),
                Stage::Leaving | Stage::Gone => true,
            }
        };
        idle && self.acks.lock().is_empty()
    }

    /// Whether it has been told to end, also before it was accepted.
    pub(crate) fn is_ending(&self) -> bool {
        self.mailbox.lock().reason().is_some()
    }

    // ---- connecting ----

    /// The CONNECT packet, with what the application adds to it; old clients get none of that.
    pub(crate) fn connect_packet(
        &self,
        extra: Option<serde_json::Map<String, serde_json::Value>>,
    ) -> Outgoing {
        let json = match extra {
            _ if old::is_old(&self.session) => String::new(),
            None if self.core.recoveries.is_none() => format!("{{\"sid\":\"{}\"}}", self.id),
            extra => {
                let mut members = extra.unwrap_or_default();
                members.insert("sid".into(), self.id.as_str().into());
                if let Some(pid) = self.private_id() {
                    members.insert("pid".into(), (*pid).into());
                }
                serde_json::Value::Object(members).to_string()
            }
        };
        control(&self.core, HeaderKind::Connect, &self.namespace.name, &json)
    }

    /// The connect handler accepted.
    pub(crate) fn accept(self: &Arc<Self>, extra: Option<serde_json::Map<String, serde_json::Value>>) {
        let accepted = {
            let mut mailbox = self.mailbox.lock();
            let accepted = mailbox.accept();
            if matches!(accepted, Accepted::Open | Accepted::Left(_)) {
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
            self.watch();
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
            nsp = %self.namespace.name, sid = %self.id, reason = error.message(), "connection refused"
        );
        let farewell = if self.core.options.always_connect {
            control(&self.core, HeaderKind::Disconnect, &self.namespace.name, "")
        } else {
            old::refusal(&self.core, &self.session, &self.namespace.name, &error)
        };
        self.observe_sent(&farewell);
        self.client.part(self, || {
            let open = self.shut_gate() != Gate::Shut;
            open.then(|| self.session.begin_send(farewell, None).1)
        });
        self.client.uncount(&self.core, dropped);
        self.remove();
        self.client.connect_done(false);
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
            self.cancel_tasks();
            return true;
        }
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
        self.keep_for_recovery(reason);
        // A disconnect handler to come is kept for the client as an event is: coming and going costs it as much.
        self.client.count(&self.core, self.leaving_load());
        self.client.restrain(&self.core);
        if reason == DisconnectReason::ServerDisconnect {
            let farewell = control(&self.core, HeaderKind::Disconnect, &self.namespace.name, "");
            self.in_order(move |socket| {
                socket.observe_sent(&farewell);
                socket.client.part(socket, || socket.shut_gate_after(farewell));
            });
        } else {
            self.client.forget(self);
            self.shut_gate();
        }
        self.fail_acks();
        self.cancel_tasks();
        let (socket, completion) = (Socket(self.clone()), Completion::new(self.clone(), Work::Disconnecting));
        self.namespace.dispatch(&self.core, "disconnecting", |dispatcher| {
            dispatcher.disconnecting(socket, reason, completion);
        });
        let idle = {
            let mailbox = self.mailbox.lock();
            mailbox.is_idle() && !mailbox.is_listed()
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

    /// The disconnecting handler is done, or has had its time: the socket leaves its rooms and its namespace.
    pub(crate) fn disconnecting_done(self: &Arc<Self>) {
        if !self.mailbox.lock().is_listed() {
            return;
        }
        self.leave_rooms();
        if self.mailbox.lock().may_end() {
            self.namespace.count_disconnected();
            self.pump();
        }
    }

    /// The socket leaves all its rooms, for good.
    pub(super) fn leave_rooms(self: &Arc<Self>) {
        for (room, change) in self.namespace.rooms.freeze(self) {
            self.observe_left(&room, change);
        }
    }

    pub(super) fn observe_left(self: &Arc<Self>, room: &Room, change: Change) {
        let Some(observer) = self.core.observer.as_ref().filter(|_| change != Change::None) else { return };
        let socket = Socket(self.clone());
        guard("observer", || observer.left(&socket, room));
        if change == Change::Room {
            guard("observer", || observer.room_deleted(&socket.namespace(), room));
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
        self.disconnecting_done();
        let dropped = self.mailbox.lock().give_up_waiting();
        if dropped.events > 0 {
            tracing::warn!(
                target: "wirebird::socketio",
                nsp = %self.namespace.name, dropped = dropped.events,
                "a handler of a disconnected socket has not finished; the events behind it are dropped"
            );
            self.client.uncount(&self.core, dropped);
            self.session.count_limit(Limit::HandlerTime);
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
        let (listed, stage, dropped) = {
            let mut mailbox = self.mailbox.lock();
            (mailbox.is_listed(), mailbox.stage(), mailbox.end())
        };
        if listed {
            self.namespace.count_disconnected();
        }
        match stage {
            Stage::Gone => return,
            Stage::Open => {}
            Stage::Leaving => self.client.uncount(&self.core, self.leaving_load()),
            Stage::Connecting => {
                self.client.withdraw(self);
            }
        }
        self.client.forget(self);
        self.client.uncount(&self.core, dropped);
        self.shut_gate();
        self.remove();
    }

    /// Nothing of the socket is left behind.
    fn remove(self: &Arc<Self>) {
        self.leave_rooms();
        // A socket that was recovered has the same id.
        self.namespace.sockets.remove_if(&self.id, |_, socket| std::ptr::eq(&**socket, &**self));
        self.fail_acks();
        self.membership.lock().clear();
        self.hand_over();
        self.keep_nothing();
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
        match token {
            ARRIVE => engine.offload(move || self.client.next_connect()),
            _ => engine.offload(move || self.give_up_waiting()),
        }
    }
}
