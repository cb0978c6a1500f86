//! The lower limit on tokio: a task for each connection, and one for each core that delivers broadcasts.

mod shards;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;

use limit::wire::{self, Request, Role};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use shards::Shards;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let shards = Arc::new(Shards::start());
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream, shards.clone()));
    }
}

async fn serve(stream: TcpStream, shards: Arc<Shards>) {
    let (mut read, write) = stream.into_split();
    let mut connection =
        Connection { write: Arc::new(write), member: None, role: None, fresh: true, partial: Vec::new() };
    let mut output = Vec::new();
    while let Ok(true) = receive(&mut read, &mut connection, &shards, &mut output).await {
        if write_all(&connection.write, &output).await.is_err() {
            break;
        }
        // An idle connection holds no buffer.
        output = Vec::new();
    }
    if let (Some(member), Some(role)) = (connection.member, connection.role) {
        shards.leave(role, member);
    }
}

struct Connection {
    write: Arc<OwnedWriteHalf>,
    member: Option<usize>,
    role: Option<Role>,
    fresh: bool,
    partial: Vec<u8>,
}

/// Reads once into the thread's buffer and handles what has come; false at the end.
async fn receive(
    read: &mut OwnedReadHalf,
    connection: &mut Connection,
    shards: &Shards,
    output: &mut Vec<u8>,
) -> io::Result<bool> {
    poll_fn(|cx| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *read).poll_read(cx, &mut buffer))?;
            let open = !buffer.filled().is_empty() && connection.take_in(buffer.filled(), shards, output);
            std::task::Poll::Ready(Ok(open))
        })
    })
    .await
}

impl Connection {
    fn take_in(&mut self, bytes: &[u8], shards: &Shards, output: &mut Vec<u8>) -> bool {
        if self.partial.is_empty() {
            return self.handle(bytes, shards, output);
        }
        let mut bytes_so_far = std::mem::take(&mut self.partial);
        bytes_so_far.extend_from_slice(bytes);
        self.handle(&bytes_so_far, shards, output)
    }

    fn handle(&mut self, mut input: &[u8], shards: &Shards, output: &mut Vec<u8>) -> bool {
        while !input.is_empty() {
            let used = match self.role {
                None => wire::request(input).map(|(request, len)| {
                    match request {
                        Request::Polling(answer) => output.extend_from_slice(answer),
                        Request::WebSocket(role) => {
                            output.extend_from_slice(wire::WELCOME);
                            self.role = Some(role);
                        }
                    }
                    len
                }),
                Some(role) => {
                    let payload = wire::client_frame(input);
                    if payload.is_some() && wire::is_close(input) {
                        return false;
                    }
                    payload.map(|payload| {
                        let end = payload.end;
                        if std::mem::take(&mut self.fresh) {
                            output.extend_from_slice(wire::CONNECTED);
                            self.member = shards.join(role, &self.write);
                        } else if role == Role::Mirror {
                            wire::copy_frame(input, payload, output);
                        } else {
                            let mut frame = Vec::new();
                            wire::copy_frame(input, payload, &mut frame);
                            shards.cast(role, frame.into());
                            output.extend_from_slice(wire::SENT);
                        }
                        end
                    })
                }
            };
            match used {
                Some(used) => input = &input[used..],
                None => break,
            }
        }
        self.partial.extend_from_slice(input);
        true
    }
}

pub(crate) async fn write_all(write: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => write.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
