//! The events of a socket on their way to handlers, and the acknowledgements that it owes.

use std::sync::Arc;

use wirebird_engine::{Limit, Millis, Outgoing, SendError};
use wirebird_proto::socket_io::RawArgs;

use super::{Socket, SocketInner};
use crate::acks::{AckResult, AckSink};
use crate::dispatch::{AckSender, Completion, IncomingEvent, Work};
use crate::error::{AckError, EmitError};
use crate::guard;
use crate::guard::clipped;
use crate::lanes::Lane;
use crate::listeners::Listeners;
use crate::mailbox::{Admitted, Job, Load, QueuedEvent, Visit};
use crate::packet::Encoded;
use crate::router;

/// The timer token of owed acknowledgements.
pub(super) const ACKS: u64 = 0;

impl SocketInner {
    pub(crate) fn receive(self: &Arc<Self>, event: QueuedEvent) {
        self.core.events.add(0, [1]);
        if let Some(observer) = &self.core.observer {
            guard("observer", || observer.event_received(&Socket(self.clone()), &event.name, &event.args));
        }
        tracing::trace!(
            target: "wirebird::socketio",
            nsp = %self.namespace.name,
            sid = %self.id,
            event = ?clipped(&event.name),
            args = ?clipped(event.args.json()),
            attachments = event.args.attachments().len(),
            "event received"
        );
        let load = event.load();
        let lane = router::lane(self, &event.name);
        let mut mailbox = self.mailbox.lock();
        match mailbox.admit(lane.as_ref(), self.namespace.concurrency()) {
            Admitted::Now(visit) => {
                drop(mailbox);
                let ended = self.call.make(visit, || self.dispatch(event, load, Some(visit), lane));
                self.settle(visit, load, ended);
            }
            Admitted::Later => {
                mailbox.queue(event, lane.as_ref());
                self.client.count(&self.core, load);
                drop(mailbox);
                self.client.restrain(&self.core);
                self.pump();
            }
            // Without the lock: what is dropped may be the last of a large buffer.
            Admitted::Never => drop(mailbox),
        }
    }

    fn dispatch(
        self: &Arc<Self>,
        event: QueuedEvent,
        load: Load,
        visit: Option<Visit>,
        lane: Option<Arc<Lane>>,
    ) {
        if self.namespace.is_heard(Listeners::hear_incoming) {
            self.tell_incoming(&event);
        }
        let incoming = IncomingEvent {
            name: event.name,
            args: event.args,
            ack: AckSender::new(self.clone(), event.ack),
            completion: Completion::new(self.clone(), Work::Event(load.bytes, visit, lane)),
            socket: Socket(self.clone()),
        };
        self.namespace.dispatch(&self.core, "event", |dispatcher| dispatcher.event(incoming));
    }

    #[cold]
    fn tell_incoming(self: &Arc<Self>, event: &QueuedEvent) {
        let socket = Socket(self.clone());
        for listeners in self.namespace.listeners() {
            listeners.tell_incoming(&socket, &event.name, &event.args);
        }
    }

    /// The event that was handed on at once is back from its handler, or the handler waits: from then on it counts as kept.
    fn settle(self: &Arc<Self>, visit: Visit, load: Load, ended: bool) {
        let next = {
            let mut mailbox = self.mailbox.lock();
            if ended {
                mailbox.done(Some(visit), None);
            } else if mailbox.settle(visit) {
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
                    self.dispatch(event, load, None, None);
                }
                Job::InLane(event, lane) => {
                    let load = event.load();
                    self.dispatch(*event, load, None, Some(lane));
                }
                Job::Disconnect(reason) => {
                    let (socket, completion) =
                        (Socket(self.clone()), Completion::new(self.clone(), Work::Disconnect));
                    self.namespace.dispatch(&self.core, "disconnect", |dispatcher| {
                        dispatcher.disconnect(socket, reason, completion);
                    });
                }
            }
            next = self.mailbox.lock().next(self.namespace.concurrency());
        }
    }

    pub(crate) fn event_done(self: &Arc<Self>, load: Load, visit: Option<Visit>, lane: Option<&Arc<Lane>>) {
        let (kept, next) = {
            let mut mailbox = self.mailbox.lock();
            let kept = mailbox.done(visit, lane);
            let next =
                if mailbox.begin_pumping() { mailbox.next(self.namespace.concurrency()) } else { None };
            (kept, next)
        };
        if kept {
            self.client.uncount(&self.core, load);
        }
        self.run(next);
    }

    /// Acknowledges an event of the client.
    pub(crate) fn send_ack(self: &Arc<Self>, id: u64, encoded: Encoded) -> Result<(), EmitError> {
        let message = encoded.into_ack(&self.core, &self.namespace.name, id)?;
        match self.send(message) {
            Err(SendError::Full) => {
                tracing::warn!(
                    target: "wirebird::socketio",
                    nsp = %self.namespace.name, id, "an acknowledgement is lost: the client's queue is full"
                );
                Err(EmitError::Full)
            }
            _ => Ok(()),
        }
    }

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
                if matches!(error, AckError::TooMany) {
                    self.session.count_limit(Limit::PendingAcks);
                }
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
        make: impl FnOnce(u64) -> Result<Outgoing, EmitError>,
    ) -> Option<u64> {
        let id = self.expect_ack(sink, timeout)?;
        let sent = make(id).and_then(|message| match self.send(message) {
            Err(SendError::Full) => Err(EmitError::Full),
            _ => Ok(()),
        });
        if let Err(error) = sent
            && let Some(sink) = self.take_ack(id)
        {
            resolve(sink, Err(AckError::Emit(error)));
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

    pub(super) fn expire_acks(&self, now: Millis) {
        let (due, next) = self.acks.lock().expire(now);
        let engine = self.session.engine();
        if let Some(at) = next {
            engine.schedule(at, self.me.clone(), ACKS);
        }
        if !due.is_empty() {
            due.iter().for_each(|_| self.session.count_limit(Limit::AckTime));
            engine.offload(move || due.into_iter().for_each(|sink| resolve(sink, Err(AckError::Timeout))));
        }
    }
}

/// Tells a sink, which is code of the application.
pub(super) fn resolve(sink: AckSink, result: AckResult) {
    guard("ack", || sink(result));
}
