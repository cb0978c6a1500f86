//! Handlers that end while they are called: what this thread knows needs no lock.

use std::cell::Cell;

use crate::mailbox::Visit;
use crate::socket::SocketInner;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Call {
    /// The address of the socket, 0 for none. It lives as long as the call.
    socket: usize,
    visit: Option<Visit>,
    done: bool,
}

thread_local! {
    static CALL: Cell<Call> = const { Cell::new(Call { socket: 0, visit: None, done: false }) };
}

/// Makes the call of a visit's handler; returns whether the handler has ended with it, so that nobody else has been told.
/// Calls may be inside of one another.
pub(crate) fn call(socket: &SocketInner, visit: Visit, handler: impl FnOnce()) -> bool {
    let around = CALL.replace(Call { socket: address(socket), visit: Some(visit), done: false });
    handler();
    CALL.replace(around).done
}

/// A handler has ended; returns whether that was inside of its call, which says so.
pub(crate) fn ends_in_call(socket: &SocketInner, visit: Visit) -> bool {
    let call = CALL.get();
    let inside = call == Call { socket: address(socket), visit: Some(visit), done: false };
    if inside {
        CALL.set(Call { done: true, ..call });
    }
    inside
}

fn address(socket: &SocketInner) -> usize {
    std::ptr::from_ref(socket) as usize
}
