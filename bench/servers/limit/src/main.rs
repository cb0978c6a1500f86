//! The lower limit: epoll, and nothing above it. One thread for each core that the process may use.

mod connection;
mod worker;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use mio::net::TcpListener;
use socket2::{Domain, Socket, Type};

use worker::{Peers, Worker};

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let (peers, inboxes) = Peers::new(threads)?;
    let workers: Vec<_> = inboxes
        .into_iter()
        .map(|inbox| Ok(Worker::new(listener(port)?, inbox, peers.clone())))
        .collect::<io::Result<_>>()?;
    let running: Vec<_> = workers.into_iter().map(|worker| thread::spawn(move || worker.run())).collect();
    for worker in running {
        worker.join().expect("a worker does not panic")?;
    }
    Ok(())
}

/// One of several listeners of the same address: the kernel divides the connections among them.
fn listener(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    Ok(TcpListener::from_std(socket.into()))
}
