//! What other servers want of this one.

use std::fmt;
use std::sync::{Arc, Weak};

use wirebird_proto::socket_io::RawArgs;

use super::{AckRequest, Operation, ReplyTo, Target};
use crate::acks::AckSink;
use crate::core::Core;
use crate::error::{AckError, EmitError};
use crate::namespace::Namespace;
use crate::operator::Operator;
use crate::options::millis;
use crate::packet::Encoded;
use crate::questions::Answer;
use crate::server_events;

/// Applies what other servers publish to the sockets of this one, and answers what they ask.
///
/// What comes in is not trusted: answers to questions that were not asked, second answers of one server, and
/// acknowledgements of sockets that nobody asked are passed over.
#[derive(Clone)]
pub struct Local(Weak<Core>);

impl Local {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self(Arc::downgrade(core))
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// Applies an operation to this server's sockets alone. Namespaces that do not exist here are passed over. Answers
    /// are published.
    ///
    /// # Errors
    /// When an event has a reserved name.
    pub fn apply(&self, operation: Operation) -> Result<(), EmitError> {
        let Some(core) = self.0.upgrade() else { return Ok(()) };
        let questions = &core.questions;
        match operation {
            Operation::Emit { target, event, args, ack: None } => {
                if let Some(operator) = operator(&core, target) {
                    operator.emit_raw(&event, &args)?;
                }
            }
            Operation::Emit { target, event, args, ack: Some(request) } => {
                emit_for(&core, target, &event, &args, request)?;
            }
            Operation::Join { target, rooms } => {
                if let Some(operator) = operator(&core, target) {
                    operator.join(rooms);
                }
            }
            Operation::Leave { target, rooms } => {
                if let Some(operator) = operator(&core, target) {
                    operator.leave(rooms);
                }
            }
            Operation::Disconnect { target, close } => match operator(&core, target) {
                Some(operator) if close => operator.disconnect_transports(),
                Some(operator) => operator.disconnect(),
                None => {}
            },
            Operation::FetchSockets { reply_to, target } => {
                let sockets = operator(&core, target).map(|operator| operator.snapshots_here());
                let server = core.server_id().clone();
                core.publish(Operation::Sockets { reply_to, server, sockets: sockets.unwrap_or_default() });
            }
            Operation::ServerEvent { namespace, event, args, reply_to } => {
                server_events::handle(&core, &namespace, event, args, reply_to);
            }
            Operation::Addressed { reply_to, server, sockets } if is_mine(&core, &reply_to) => {
                questions.addressed(reply_to.id, server, sockets);
            }
            Operation::Acknowledged { reply_to, socket, args } if is_mine(&core, &reply_to) => {
                questions.acknowledged(reply_to.id, socket, args.ok_or(AckError::Disconnected));
            }
            Operation::Sockets { reply_to, server, sockets } if is_mine(&core, &reply_to) => {
                questions.answered(reply_to.id, server, Answer::Sockets(sockets));
            }
            Operation::ServerAnswer { reply_to, server, args } if is_mine(&core, &reply_to) => {
                questions.answered(reply_to.id, server, Answer::Value(args));
            }
            Operation::Addressed { .. }
            | Operation::Acknowledged { .. }
            | Operation::Sockets { .. }
            | Operation::ServerAnswer { .. } => {}
        }
        Ok(())
    }
}

fn is_mine(core: &Core, reply_to: &ReplyTo) -> bool {
    reply_to.server == core.server_id()
}

fn operator(core: &Arc<Core>, target: Target) -> Option<Operator> {
    let inner = core.namespaces.get(&target.namespace).map(|entry| entry.value().clone())?;
    Some(Operator::for_target(Namespace { core: core.clone(), inner }, target))
}

/// Emits an event of another server, which wants to know what the sockets acknowledge.
fn emit_for(
    core: &Arc<Core>,
    target: Target,
    event: &str,
    args: &RawArgs,
    request: AckRequest,
) -> Result<(), EmitError> {
    let encoded = Encoded::raw_event(event, args)?.compress(target.compress);
    let name = target.namespace.clone();
    let operator = operator(core, target);
    if let Some(operator) = &operator {
        operator.tell_emitted(&encoded);
    }
    let shared = encoded.into_shared(core, &name)?;
    let sockets = operator.map(|operator| operator.connected()).unwrap_or_default();
    let AckRequest { reply_to, timeout } = request;
    // Whoever asked learns of the sockets before they can answer.
    core.publish(Operation::Addressed {
        reply_to: reply_to.clone(),
        server: core.server_id().clone(),
        sockets: sockets.iter().map(|socket| socket.id).collect(),
    });
    for socket in sockets {
        let (weak, reply_to, id) = (Arc::downgrade(core), reply_to.clone(), socket.id);
        let sink: AckSink = Box::new(move |result| {
            // Whoever asked has a clock of its own.
            if let Some(core) = weak.upgrade()
                && !matches!(result, Err(AckError::Timeout))
            {
                core.publish(Operation::Acknowledged { reply_to, socket: id, args: result.ok() });
            }
        });
        socket.emit_expecting(sink, timeout.map(millis), |id| shared.with_id(&name, id));
    }
    Ok(())
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}
