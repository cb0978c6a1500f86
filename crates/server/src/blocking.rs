//! Handlers that block their thread.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

use serde::Serialize;
use tokio::runtime::Handle;
use tracing::Span;

use crate::error::{ConnectError, Error};
use crate::extract::{ConnectContext, DisconnectContext, EventContext, FromContext};
use crate::handler::{
    ConnectHandler, DisconnectHandler, EventHandler, Fallible, Outcome, Returns, take, take_all,
};
use crate::reply::Reply;
use crate::task::BoxFuture;

/// Makes a handler of a plain function, which runs on a thread where it may block: for databases without futures, files,
/// long computations. It takes and returns what other handlers of events, connections and disconnections do.
///
/// The events behind it wait for it as they do for others. The thread is one of those that tokio keeps for this, 512 by
/// default (`max_blocking_threads`); beyond that handlers wait for each other. A function that has begun cannot be broken
/// off. Without a runtime it runs in place.
///
/// ```
/// use wirebird::{Server, blocking, extract::Data};
///
/// fn read(Data(name): Data<String>) -> std::io::Result<String> {
///     std::fs::read_to_string(format!("notes/{}.txt", name.replace(['/', '.'], "_")))
/// }
///
/// let io = Server::new();
/// io.on("read", blocking(read));
/// io.on("sum", blocking(|Data((from, to)): Data<(u64, u64)>| (from..to).sum::<u64>()));
/// ```
pub fn blocking<F>(function: F) -> Blocking<F> {
    Blocking(Arc::new(function))
}

/// A handler that may block: see [`blocking`].
#[must_use = "a handler does nothing until it is registered"]
pub struct Blocking<F>(Arc<F>);

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocking")
    }
}

/// Marks handlers that block.
#[doc(hidden)]
#[derive(Debug)]
pub struct Blocks;

/// Runs `work` where it may block. A panic in it goes on here.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let Ok(runtime) = Handle::try_current() else { return Ok(work()) };
    let span = Span::current();
    match runtime.spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => Ok(result),
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => Err(Error::msg("the runtime ends, and has no thread for a handler that blocks")),
    }
}

macro_rules! blocking_handlers {
    ($($arg:ident),*) => {
        impl<F, R, $($arg),*> EventHandler<(Blocks, Returns, R, $($arg,)*)> for Blocking<F>
        where
            F: Fn($($arg),*) -> R + Send + Sync + 'static,
            R: Serialize,
            $($arg: FromContext<EventContext> + Send + 'static,)*
        {
            fn call(&self, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
                take_all!(context; $($arg),*);
                let function = self.0.clone();
                let work = move || Reply::of_value(&function($($arg),*), &context);
                Box::pin(async move { aside(work).await.flatten() })
            }
        }

        impl<F, R, E, $($arg),*> EventHandler<(Blocks, Fallible, R, E, $($arg,)*)> for Blocking<F>
        where
            F: Fn($($arg),*) -> Result<R, E> + Send + Sync + 'static,
            R: Serialize,
            E: Into<Error>,
            $($arg: FromContext<EventContext> + Send + 'static,)*
        {
            fn call(&self, context: EventContext) -> BoxFuture<Result<Reply, Error>> {
                take_all!(context; $($arg),*);
                let function = self.0.clone();
                let work = move || match function($($arg),*) {
                    Ok(value) => Reply::of(&value, &context),
                    Err(error) => Err(error.into()),
                };
                Box::pin(async move { aside(work).await.flatten() })
            }
        }

        impl<F, R, $($arg),*> ConnectHandler<(Blocks, R, $($arg,)*)> for Blocking<F>
        where
            F: Fn($($arg),*) -> R + Send + Sync + 'static,
            R: Outcome<ConnectError>,
            $($arg: FromContext<ConnectContext> + Send + 'static,)*
        {
            #[allow(unused_variables)]
            fn call(&self, context: ConnectContext) -> BoxFuture<Result<(), ConnectError>> {
                take!(context; $($arg),*);
                let function = self.0.clone();
                let work = move || function($($arg),*).outcome();
                Box::pin(async move { aside(work).await? })
            }
        }

        impl<F, R, $($arg),*> DisconnectHandler<(Blocks, R, $($arg,)*)> for Blocking<F>
        where
            F: Fn($($arg),*) -> R + Send + Sync + 'static,
            R: Outcome<Error>,
            $($arg: FromContext<DisconnectContext> + Send + 'static,)*
        {
            #[allow(unused_variables)]
            fn call(&self, context: DisconnectContext) -> BoxFuture<Result<(), Error>> {
                take!(context; $($arg),*);
                let function = self.0.clone();
                let work = move || function($($arg),*).outcome();
                Box::pin(async move { aside(work).await.flatten() })
            }
        }
    };
}

blocking_handlers!();
blocking_handlers!(A1);
blocking_handlers!(A1, A2);
blocking_handlers!(A1, A2, A3);
blocking_handlers!(A1, A2, A3, A4);
blocking_handlers!(A1, A2, A3, A4, A5);
blocking_handlers!(A1, A2, A3, A4, A5, A6);
blocking_handlers!(A1, A2, A3, A4, A5, A6, A7);
blocking_handlers!(A1, A2, A3, A4, A5, A6, A7, A8);
