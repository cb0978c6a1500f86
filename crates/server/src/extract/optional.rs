//! Arguments that may be missing.

use serde::de::DeserializeOwned;

use super::{Auth, Context, Data, EventContext, Extension, FromContext, Path, Session, State};
use crate::dispatch::AckSender;
use crate::error::Error;

/// Something that a handler can take as an `Option`, which is `None` when it is not there. What is there but is not what
/// the handler takes stays an error.
///
/// | argument | `None` when |
/// |---|---|
/// | `Option<`[`Session<T>`]`>` | the session has no `T` |
/// | `Option<`[`Extension<T>`]`>` | no middleware put a `T` into the request |
/// | `Option<`[`State<S>`]`>` | the server was not given an `S` |
/// | `Option<`[`Auth<T>`]`>` | the client sent nothing along |
/// | `Option<`[`Data<T>`]`>` | the event has no arguments, or its only one is `null` |
/// | `Option<`[`Path<T>`]`>` | the namespace was not opened by a pattern |
/// | `Option<`[`AckSender`]`>` | the client does not wait for an acknowledgement |
///
/// ```
/// use wirebird::{Server, extract::Session};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// Server::new().on("who am I?", async |user: Option<Session<User>>| match user {
///     Some(Session(User(name))) => name,
///     None => "a guest".into(),
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an optional argument of this kind of handler",
    note = "see the table in `wirebird::extract::OptionalFromContext`; parts of the data may be missing by `Data<Option<T>>`"
)]
pub trait OptionalFromContext<C>: Sized {
    /// Takes it out of the context, if it is there.
    ///
    /// # Errors
    /// As [`FromContext::from_context`], when it is there and cannot be taken.
    fn optional_from_context(context: &C) -> Result<Option<Self>, Error>;
}

impl<C, T: OptionalFromContext<C>> FromContext<C> for Option<T> {
    fn from_context(context: &C) -> Result<Self, Error> {
        T::optional_from_context(context)
    }
}

impl<C: Context, T: Clone + Send + Sync + 'static> OptionalFromContext<C> for Session<T> {
    fn optional_from_context(context: &C) -> Result<Option<Self>, Error> {
        Ok(context.socket().session().get().map(Self))
    }
}

impl<C: Context, T: Clone + Send + Sync + 'static> OptionalFromContext<C> for Extension<T> {
    fn optional_from_context(context: &C) -> Result<Option<Self>, Error> {
        Ok(context.socket().handshake().extension().cloned().map(Self))
    }
}

impl<C: Context, S: Clone + Send + Sync + 'static> OptionalFromContext<C> for State<S> {
    fn optional_from_context(context: &C) -> Result<Option<Self>, Error> {
        Ok(context.socket().0.core.state.get().cloned().map(Self))
    }
}

impl<C: Context, T: DeserializeOwned> OptionalFromContext<C> for Auth<T> {
    fn optional_from_context(context: &C) -> Result<Option<Self>, Error> {
        match context.socket().0.auth.as_deref().map(str::trim_ascii) {
            None | Some("null") => Ok(None),
            Some(_) => Self::from_context(context).map(Some),
        }
    }
}

impl<T: DeserializeOwned> OptionalFromContext<EventContext> for Data<T> {
    fn optional_from_context(context: &EventContext) -> Result<Option<Self>, Error> {
        match context.0.args.json().trim_ascii() {
            "" => Ok(None),
            "null" => {
                context.take_args(1);
                Ok(None)
            }
            _ => Self::from_context(context).map(Some),
        }
    }
}

impl<C: Context, T: DeserializeOwned> OptionalFromContext<C> for Path<T> {
    fn optional_from_context(context: &C) -> Result<Option<Self>, Error> {
        match context.socket().0.namespace.params() {
            None => Ok(None),
            Some(_) => Self::from_context(context).map(Some),
        }
    }
}

impl OptionalFromContext<EventContext> for AckSender {
    fn optional_from_context(context: &EventContext) -> Result<Option<Self>, Error> {
        if context.wants_ack() { Self::from_context(context).map(Some) } else { Ok(None) }
    }
}
