//! What events are answered with.

use std::fmt;

use serde::Serialize;
use wirebird_proto::socket_io::RawArgs;

use crate::error::{EmitError, Error};
use crate::extract::EventContext;
use crate::packet::Encoded;

/// What an event is answered with: the arguments of its acknowledgement, or no acknowledgement.
///
/// Handlers return plain values, which become replies. [Layers](crate::EventLayer) get the reply of what is inside them,
/// and may make their own. A client that asked for no acknowledgement gets none, whatever the reply; that of its
/// handlers is [none](Reply::none) then.
#[derive(Default)]
pub struct Reply(Option<Encoded>);

impl Reply {
    /// Acknowledges with `data`: one argument, several for a tuple, none for `()`.
    ///
    /// # Errors
    /// When `data` cannot be put into a packet.
    pub fn new(data: impl Serialize) -> Result<Self, EmitError> {
        Ok(Self(Some(Encoded::args(&data)?)))
    }

    /// Acknowledges with arguments that are encoded already.
    pub fn raw(args: &RawArgs) -> Self {
        Self(Some(Encoded::raw_args(args)))
    }

    /// Acknowledges nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// The arguments that will be acknowledged, if any.
    pub fn args(&self) -> Option<RawArgs> {
        self.0.as_ref()?.to_args().ok()
    }

    /// What a handler returned.
    pub(crate) fn of(value: &impl Serialize, context: &EventContext) -> Result<Self, Error> {
        if context.wants_ack() { Ok(Self::new(value)?) } else { Ok(Self::none()) }
    }

    /// As [`Reply::of`], for a value of which only its serialisation tells whether it is a `Result`: one whose error is
    /// no [`std::error::Error`], such as a `String`.
    pub(crate) fn of_value<T: Serialize>(value: &T, context: &EventContext) -> Result<Self, Error> {
        if !std::any::type_name::<T>().starts_with("core::result::Result<") {
            return Self::of(value, context);
        }
        match Encoded::outcome(value)? {
            Ok(encoded) => Ok(Self(Some(encoded).filter(|_| context.wants_ack()))),
            Err(message) => Err(Error::msg(message)),
        }
    }

    /// What an error handler returned: its `()` acknowledges nothing, where an event handler's acknowledges without
    /// arguments.
    pub(crate) fn after_error(self) -> Self {
        Self(self.0.filter(|encoded| !encoded.json().is_empty()))
    }

    pub(crate) fn into_encoded(self) -> Option<Encoded> {
        self.0
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(encoded) => f.debug_tuple("Reply").field(&String::from_utf8_lossy(encoded.json())).finish(),
            None => f.write_str("Reply(none)"),
        }
    }
}
