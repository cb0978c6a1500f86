//! Every limit that a client can run into, run into by a test of its name: the client gets what `SECURITY.md` says, it is
//! counted, and others are served as ever.

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod documented;
mod http;
mod messages;
mod servers;
mod sockets;
mod wire;

use std::time::Duration;

use support::{Client, until};
use wirebird::{Builder, Limit, Server};

/// Short enough to be waited for, and long for a client that means no harm.
const SHORT: Duration = Duration::from_millis(300);

/// A server with an event that is answered.
fn server(builder: Builder) -> Server {
    let io = builder.build();
    io.on("echo", async |wirebird::extract::Data(value): wirebird::extract::Data<wirebird::Value>| value);
    io
}

/// The limit has been counted so often, and no other; a client that means no harm is served.
async fn reached(io: &Server, limit: Limit, times: u64) {
    until(limit.name(), || io.metrics().limit(limit) >= times).await;
    let metrics = io.metrics();
    for other in Limit::ALL {
        let expected = if *other == limit { times } else { 0 };
        assert_eq!(metrics.limit(*other), expected, "{other}");
    }
    healthy(io).await;
}

async fn healthy(io: &Server) {
    let client = Client::open(io);
    client.join("/").await;
    assert_eq!(client.call(7, r#"["echo","here"]"#).await, [r#"37["here"]"#]);
}
