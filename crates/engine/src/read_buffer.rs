//! The buffer to read into. It belongs to the thread, not to the connection, so that an idle one holds none.

use std::cell::Cell;

/// Bytes read at once at most.
pub(crate) const SIZE: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the buffer. Whoever asks for it meanwhile gets another.
pub(crate) fn with<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; SIZE].into_boxed_slice());
    let result = read(&mut buffer);
    BUFFER.set(Some(buffer));
    result
}
