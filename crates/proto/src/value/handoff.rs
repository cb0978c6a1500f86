//! Hands values past serde without copying them.
//!
//! serde's data model knows borrowed and owned bytes, but no shared ones. Where both ends of a (de)serialiser
//! are ours, one end leaves the value here and the other takes it, within one call on one thread. If the
//! other end is not ours, nobody takes it and the ordinary way, a copy, is gone.

use std::cell::Cell;

use bytes::Bytes;

use super::Value;

/// The name under which [`Value`] asks a deserialiser for a value as it is.
pub(super) const VALUE: &str = "$wirebird::Value";

thread_local! {
    static BYTES: Cell<Option<Bytes>> = const { Cell::new(None) };
    static DATES: Cell<bool> = const { Cell::new(false) };
    static VALUES: Cell<Option<Value>> = const { Cell::new(None) };
}

/// Leaves `data` for [`take_bytes`] while `call` runs.
pub(super) fn with_bytes<T>(data: &Bytes, call: impl FnOnce() -> T) -> T {
    BYTES.set(Some(data.clone()));
    let result = call();
    BYTES.take();
    result
}

/// The buffer that was left, if it is the very one that `data` is in; a copy otherwise.
pub(super) fn take_bytes(data: &[u8]) -> Bytes {
    match BYTES.take() {
        Some(shared) if std::ptr::eq(&*shared, data) => shared,
        _ => Bytes::copy_from_slice(data),
    }
}

/// While `call` runs, bytes are the text of a date.
pub(super) fn with_date<T>(call: impl FnOnce() -> T) -> T {
    DATES.set(true);
    let result = call();
    DATES.take();
    result
}

/// Whether bytes are the text of a date.
pub(super) fn take_date() -> bool {
    DATES.take()
}

/// Leaves `value` for [`take_value`] while `call` runs, and not longer, even if it panics: otherwise it would
/// turn up in the place of some later null.
pub(super) fn with_value<T>(value: Value, call: impl FnOnce() -> T) -> T {
    struct Clear;
    impl Drop for Clear {
        fn drop(&mut self) {
            VALUES.take();
        }
    }
    let _clear = Clear;
    VALUES.set(Some(value));
    call()
}

/// The value that was left, if there is one.
pub(super) fn take_value() -> Option<Value> {
    VALUES.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_behind() {
        with_value(Value::from(1), || ());
        assert_eq!(take_value(), None);
        let caught = std::panic::catch_unwind(|| with_value(Value::from(1), || panic!("on purpose")));
        assert!(caught.is_err());
        assert_eq!(take_value(), None);
    }

    #[test]
    fn only_the_very_same_buffer_is_shared() {
        let data = Bytes::from(vec![1, 2, 3]);
        let shared = with_bytes(&data, || take_bytes(&data));
        assert_eq!(shared.as_ptr(), data.as_ptr());
        let part = with_bytes(&data, || take_bytes(&data[..2]));
        assert_eq!(part, [1, 2][..]);
        assert_ne!(part.as_ptr(), data.as_ptr());
    }
}
