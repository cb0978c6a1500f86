//! Names of rooms, and lists of them.

use std::fmt;

use bytes::Bytes;

use crate::id::SocketId;

/// The name of a room: any bytes. Text, integers and socket ids make different rooms: `5` is not `"5"`.
///
/// Every socket is in a room of its own, named by its id, so an id can stand wherever a room can.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Room(Bytes);

/// Begins the name of a room that is not text; no UTF-8 text begins so.
const TAG: u8 = 0xff;

impl Room {
    /// A room named by bytes, for bindings of other languages. Names that are text should be made from text.
    pub fn from_bytes(name: impl Into<Bytes>) -> Self {
        Self(name.into())
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The name, if it is an integer.
    pub fn as_integer(&self) -> Option<i64> {
        let digits = self.0.strip_prefix(&[TAG, b'i'])?;
        Some(i64::from_be_bytes(digits.try_into().ok()?))
    }
}

impl From<&str> for Room {
    fn from(name: &str) -> Self {
        Self(Bytes::copy_from_slice(name.as_bytes()))
    }
}

impl From<String> for Room {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<&String> for Room {
    fn from(name: &String) -> Self {
        name.as_str().into()
    }
}

impl From<i64> for Room {
    fn from(number: i64) -> Self {
        let mut name = vec![TAG, b'i'];
        name.extend_from_slice(&number.to_be_bytes());
        Self(name.into())
    }
}

impl From<i32> for Room {
    fn from(number: i32) -> Self {
        i64::from(number).into()
    }
}

impl From<u32> for Room {
    fn from(number: u32) -> Self {
        i64::from(number).into()
    }
}

impl From<SocketId> for Room {
    fn from(id: SocketId) -> Self {
        id.as_str().into()
    }
}

impl From<&SocketId> for Room {
    fn from(id: &SocketId) -> Self {
        id.as_str().into()
    }
}

impl From<&Self> for Room {
    fn from(room: &Self) -> Self {
        room.clone()
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_integer(), self.as_str()) {
            (Some(number), _) => number.fmt(f),
            (None, Some(text)) => f.pad(text),
            (None, None) => self.0.escape_ascii().fmt(f),
        }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({self})")
    }
}

/// One room or several: anything that a [`Room`] can be made from, or a list of such.
///
/// An empty list means nobody, never everybody.
pub trait IntoRooms {
    /// The rooms.
    fn into_rooms(self) -> Vec<Room>;
}

macro_rules! one_room {
    ($($type:ty),*) => {$(
        impl IntoRooms for $type {
            fn into_rooms(self) -> Vec<Room> {
                vec![self.into()]
            }
        }
    )*};
}

one_room!(&str, String, &String, i64, i32, u32, SocketId, &SocketId, Room, &Room);

impl<R: Into<Room>> IntoRooms for Vec<R> {
    fn into_rooms(self) -> Vec<Room> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<R: Into<Room>, const N: usize> IntoRooms for [R; N] {
    fn into_rooms(self) -> Vec<Room> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<'a, R> IntoRooms for &'a [R]
where
    &'a R: Into<Room>,
{
    fn into_rooms(self) -> Vec<Room> {
        self.iter().map(Into::into).collect()
    }
}

impl<'a, R> IntoRooms for &'a Vec<R>
where
    &'a R: Into<Room>,
{
    fn into_rooms(self) -> Vec<Room> {
        self.as_slice().into_rooms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_another_room_than_its_digits() {
        assert_ne!(Room::from(5), Room::from("5"));
        assert_eq!(Room::from(5).to_string(), "5");
        assert_eq!(Room::from(0).as_integer(), Some(0));
        assert_eq!(Room::from(5).as_str(), None);
    }

    #[test]
    fn one_or_many_rooms_can_be_named() {
        assert_eq!("a".into_rooms().len(), 1);
        assert_eq!(["a", "b"].into_rooms().len(), 2);
        assert_eq!(Vec::<String>::new().into_rooms().len(), 0);
        assert_eq!([1, 2, 3].into_rooms().len(), 3);
    }
}
