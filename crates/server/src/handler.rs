//! Which functions can be handlers.
//!
//! Each trait has a parameter `M` that nobody names: it tells apart functions of different arguments and results.

use std::future::Future;

use serde::Serialize;

use crate::error::{ConnectError, Error};
use crate::extract::{ConnectContext, DisconnectContext, EventContext, FromContext};
use crate::reply::Reply;
use crate::settings::Settings;
use crate::task::BoxFuture;
use crate::tasks::Never;

/// A handler of events: an async function of up to eight [extractors](crate::extract) that returns anything that
/// serialises, or a `Result` of it.
///
/// What it returns is the acknowledgement: a tuple is several arguments, `()` none. An error goes to the error handler:
/// anything that turns into an [`Error`] (every `std::error::Error` does), or anything that serialises, such as a
/// `String`. For an error type that is both, the compiler cannot choose: return `Result<_, wirebird::Error>` then.
#[diagnostic::on_unimplemented(
    message = "this function cannot handle events",
    note = "a handler is an async function or closure; its arguments are extractors (`wirebird::extract`), up to eight",
    note = "it returns something that implements `serde::Serialize`, or a `Result` of it; if in doubt, `Result<_, wirebird::Error>`",
    note = "a closure that captures cannot lend to its future: clone what the future needs, or take it with `extract::State`",
    note = "to be told which argument it is, make it a function with the attribute `#[wirebird::event]`"
)]
pub trait EventHandler<M>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, context: EventContext) -> BoxFuture<Result<Reply, Error>>;

    /// What was said about it beside what it does; asked for once.
    #[doc(hidden)]
    fn take_settings(&mut self) -> Settings {
        Settings::default()
    }
}

/// A handler of connections: an async function of up to eight [extractors](crate::extract) that returns `()`, `bool`
/// (`false` refuses), or a `Result<(), E>` whose error refuses. There is no `Ok(false)`, so that the compiler knows what
/// `Ok` would hold in a handler that only fails; [`ConnectError::rejected`] is the error that says the same.
#[diagnostic::on_unimplemented(
    message = "this function cannot handle connections",
    note = "a connect handler is an async function or closure of extractors (`wirebird::extract`; `Data` is for events only)",
    note = "it returns `()`, `bool` or `Result<(), E>`, where `E` is a `std::error::Error`, `wirebird::Error` or `ConnectError`",
    note = "in the place of `Ok(false)` stands `Err(ConnectError::rejected())`, in the place of `Ok(true)` `Ok(())`"
)]
pub trait ConnectHandler<M>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, context: ConnectContext) -> BoxFuture<Result<(), ConnectError>>;
}

/// A handler of disconnections: an async function of up to eight [extractors](crate::extract) that returns `()` or a
/// `Result<(), E>`.
#[diagnostic::on_unimplemented(
    message = "this function cannot handle disconnections",
    note = "a disconnect handler is an async function or closure of extractors that returns `()` or `Result<(), E>`"
)]
pub trait DisconnectHandler<M>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, context: DisconnectContext) -> BoxFuture<Result<(), Error>>;
}

/// A handler of errors: an async function of the [`Error`], and of the [`EventContext`] if it likes. What it returns
/// is the acknowledgement of the event that failed, `()` none. An error that it returns, or a panic, goes to the next
/// error handler: the namespace's function, the value that was registered for it, the server's function; then to the log.
#[diagnostic::on_unimplemented(
    message = "this function cannot handle errors",
    note = "an error handler is an async function or closure of `wirebird::Error`, and `EventContext` if it likes"
)]
pub trait ErrorHandler<M>: Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, error: Error, context: EventContext) -> BoxFuture<Result<Reply, Error>>;
}

/// Marks handlers that return a value.
#[doc(hidden)]
#[derive(Debug)]
pub struct Returns;

/// Marks handlers that return a `Result`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fallible;

/// Marks handlers that never return: `async || todo!()`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Diverges;

/// What connect and disconnect handlers can return.
#[diagnostic::on_unimplemented(
    message = "a connect or disconnect handler cannot return `{Self}`",
    note = "it returns `()` or `Result<(), E>`, where `E` is a `std::error::Error`, `wirebird::Error` or `wirebird::ConnectError`; a connect handler may return `bool` too"
)]
pub trait Outcome<E> {
    /// As a result.
    #[doc(hidden)]
    fn outcome(self) -> Result<(), E>;
}

impl<E> Outcome<E> for () {
    fn outcome(self) -> Result<(), E> {
        Ok(())
    }
}

impl Outcome<ConnectError> for bool {
    fn outcome(self) -> Result<(), ConnectError> {
        if self { Ok(()) } else { Err(ConnectError::rejected()) }
    }
}

impl<E, F: Into<E>> Outcome<E> for Result<(), F> {
    fn outcome(self) -> Result<(), E> {
        self.map_err(Into::into)
    }
}

/// Takes the arguments of a handler out of its context, or returns why they are not there.
macro_rules! take {
    ($context:ident; $($arg:ident),*) => {
        $(#[allow(non_snake_case)]
        let $arg = match $arg::from_context(&$context) {
            Ok(argument) => argument,
            Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
        };)*
    };
}

/// As [`take`] does, for an event handler: where arguments are strict, the event may have no more of them.
macro_rules! take_all {
    ($context:ident; $($arg:ident),*) => {
        $context.begin_taking();
        $crate::handler::take!($context; $($arg),*);
        if let Err(error) = $context.finish_taking() {
            return Box::pin(std::future::ready(Err(error)));
        }
    };
}

pub(crate) use {take, take_all};

macro_rules! handlers {
    ($($arg:ident),*) => {
        impl<F, Fut, $($arg),*> EventHandler<(Returns, $($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Serialize,
            $($arg: FromContext<EventContext>,)*
        {
            fn call(&self, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
                take_all!(context; $($arg),*);
                let future = self($($arg),*);
                Box::pin(async move { Reply::of_value(&future.await, &context) })
            }
        }

        impl<F, Fut, R, E, $($arg),*> EventHandler<(Fallible, R, E, $($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R, E>> + Send + 'static,
            R: Serialize,
            E: Into<Error>,
            $($arg: FromContext<EventContext>,)*
        {
            fn call(&self, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
                take_all!(context; $($arg),*);
                let future = self($($arg),*);
                Box::pin(async move {
                    match future.await {
                        Ok(value) => Reply::of(&value, &context),
                        Err(error) => Err(error.into()),
                    }
                })
            }
        }

        impl<F, Fut, $($arg),*> EventHandler<(Diverges, $($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Never> + Send + 'static,
            $($arg: FromContext<EventContext>,)*
        {
            fn call(&self, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
                take_all!(context; $($arg),*);
                let future = self($($arg),*);
                Box::pin(async move { match future.await {} })
            }
        }

        impl<F, Fut, $($arg),*> ConnectHandler<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Outcome<ConnectError>,
            $($arg: FromContext<ConnectContext>,)*
        {
            #[allow(unused_variables)]
            fn call(&self, context: ConnectContext) -> BoxFuture<Result<(), ConnectError>> {
                take!(context; $($arg),*);
                let future = self($($arg),*);
                Box::pin(async move { future.await.outcome() })
            }
        }

        impl<F, Fut, $($arg),*> DisconnectHandler<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Outcome<Error>,
            $($arg: FromContext<DisconnectContext>,)*
        {
            #[allow(unused_variables)]
            fn call(&self, context: DisconnectContext) -> BoxFuture<Result<(), Error>> {
                take!(context; $($arg),*);
                let future = self($($arg),*);
                Box::pin(async move { future.await.outcome() })
            }
        }
    };
}

handlers!();
handlers!(A1);
handlers!(A1, A2);
handlers!(A1, A2, A3);
handlers!(A1, A2, A3, A4);
handlers!(A1, A2, A3, A4, A5);
handlers!(A1, A2, A3, A4, A5, A6);
handlers!(A1, A2, A3, A4, A5, A6, A7);
handlers!(A1, A2, A3, A4, A5, A6, A7, A8);

macro_rules! error_handlers {
    ($($context:ident: $type:ty)?) => {
        impl<F, Fut> ErrorHandler<(Returns, Error, $($type)?)> for F
        where
            F: Fn(Error, $($type)?) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Serialize,
        {
            fn call(&self, error: Error, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
                $(let $context = context.clone();)?
                let future = self(error, $($context)?);
                Box::pin(async move { Reply::of_value(&future.await, &context).map(Reply::after_error) })
            }
        }

        impl<F, Fut, R, E> ErrorHandler<(Fallible, R, E, Error, $($type)?)> for F
        where
            F: Fn(Error, $($type)?) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R, E>> + Send + 'static,
            R: Serialize,
            E: Into<Error>,
        {
            fn call(&self, error: Error, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
                $(let $context = context.clone();)?
                let future = self(error, $($context)?);
                Box::pin(async move {
                    match future.await {
                        Ok(value) => Reply::of(&value, &context).map(Reply::after_error),
                        Err(error) => Err(error.into()),
                    }
                })
            }
        }
    };
}

error_handlers!();
error_handlers!(given: EventContext);

/// Handlers without their types.
pub(crate) type EventFn = Box<dyn Fn(EventContext) -> BoxFuture<Result<Reply, Error>> + Send + Sync>;
pub(crate) type ConnectFn = Box<dyn Fn(ConnectContext) -> BoxFuture<Result<(), ConnectError>> + Send + Sync>;
pub(crate) type DisconnectFn = Box<dyn Fn(DisconnectContext) -> BoxFuture<Result<(), Error>> + Send + Sync>;
pub(crate) type ErrorFn = Box<dyn Fn(Error, EventContext) -> BoxFuture<Result<Reply, Error>> + Send + Sync>;
