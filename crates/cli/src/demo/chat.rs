//! The chat itself: who is there, in which room, and what was said. It knows nothing of sockets and reads no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use super::rules::{self, Refused};

/// The room that is always there, empty or not.
pub(crate) const HOME: &str = "lobby";

const MAX_PEOPLE: usize = 500;
const MAX_ROOMS: usize = 100;
/// What a room remembers for those who come later: so many messages, and so many bytes of text.
const MAX_HISTORY: usize = 50;
const MAX_HISTORY_BYTES: usize = 64 << 10;

/// A text message, as everybody receives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) room: String,
    pub(crate) from: String,
    pub(crate) text: String,
    /// Milliseconds since the epoch.
    pub(crate) at: u64,
}

/// An image, as everybody receives it; its bytes are sent beside it and not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Image {
    pub(crate) id: u64,
    pub(crate) room: String,
    pub(crate) from: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) content_type: String,
    /// Milliseconds since the epoch.
    pub(crate) at: u64,
}

/// A room in the list of rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    pub(crate) room: String,
    pub(crate) members: usize,
}

/// What joining a room changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The room they left.
    pub(crate) from: Option<String>,
    /// The room they are in.
    pub(crate) to: String,
    /// False if they were there before.
    pub(crate) arrived: bool,
}

#[derive(Debug, Default)]
struct Room {
    /// In the order in which they came.
    members: Vec<String>,
    history: VecDeque<Message>,
    history_bytes: usize,
}

/// Everybody and everything in the chat.
#[derive(Debug)]
pub(crate) struct Chat {
    /// The room of each person, by [`key`] of the name.
    people: HashMap<String, Option<String>>,
    rooms: BTreeMap<String, Room>,
    last_id: u64,
}

impl Default for Chat {
    fn default() -> Self {
        let rooms = BTreeMap::from([(HOME.to_owned(), Room::default())]);
        Self { people: HashMap::new(), rooms, last_id: 0 }
    }
}

impl Chat {
    // ---- people ----

    /// Somebody comes; returns the name they go by.
    pub(crate) fn sign_in(&mut self, name: &str) -> Result<String, Refused> {
        let name = rules::name(name)?;
        if self.people.contains_key(&key(name)) {
            return Err(Refused::NameTaken);
        }
        if self.people.len() >= MAX_PEOPLE {
            return Err(Refused::Full);
        }
        self.people.insert(key(name), None);
        Ok(name.to_owned())
    }

    /// Somebody goes; returns the room they were in.
    pub(crate) fn sign_out(&mut self, name: &str) -> Option<String> {
        let room = self.people.remove(&key(name))??;
        self.leave(name, &room);
        Some(room)
    }

    // ---- rooms ----

    /// Moves somebody to a room, which is made if there is none of that name.
    pub(crate) fn join(&mut self, name: &str, room: &str) -> Result<Moved, Refused> {
        let to = rules::room_name(room)?;
        if !self.rooms.contains_key(to) && self.rooms.len() >= MAX_ROOMS {
            return Err(Refused::TooManyRooms);
        }
        let place = self.people.get_mut(&key(name)).ok_or(Refused::Name)?;
        if place.as_deref() == Some(to) {
            return Ok(Moved { from: None, to: to.to_owned(), arrived: false });
        }
        let from = place.replace(to.to_owned());
        if let Some(from) = &from {
            self.leave(name, from);
        }
        self.rooms.entry(to.to_owned()).or_default().members.push(name.to_owned());
        Ok(Moved { from, to: to.to_owned(), arrived: true })
    }

    /// A room that nobody is in is forgotten, with its history.
    fn leave(&mut self, name: &str, room: &str) {
        let Some(left) = self.rooms.get_mut(room) else { return };
        left.members.retain(|member| member != name);
        if left.members.is_empty() && room != HOME {
            self.rooms.remove(room);
        }
    }

    pub(crate) fn room_of(&self, name: &str) -> Option<&str> {
        self.people.get(&key(name))?.as_deref()
    }

    pub(crate) fn members(&self, room: &str) -> &[String] {
        self.rooms.get(room).map_or(&[], |room| &room.members)
    }

    /// The latest messages of a room, the oldest first.
    pub(crate) fn history(&self, room: &str) -> Vec<&Message> {
        self.rooms.get(room).map(|room| room.history.iter().collect()).unwrap_or_default()
    }

    pub(crate) fn rooms(&self) -> Vec<Listed> {
        let listed =
            |(name, room): (&String, &Room)| Listed { room: name.clone(), members: room.members.len() };
        self.rooms.iter().map(listed).collect()
    }

    // ---- messages ----

    /// Somebody says something to their room.
    pub(crate) fn message(&mut self, from: &str, text: &str, at: u64) -> Result<&Message, Refused> {
        let room = self.room_of(from).ok_or(Refused::NoRoom)?.to_owned();
        rules::text(text)?;
        let message = Message {
            id: self.next_id(),
            room: room.clone(),
            from: from.to_owned(),
            text: text.to_owned(),
            at,
        };
        Ok(self.rooms.entry(room).or_default().remember(message))
    }

    /// Somebody shows an image of `size` bytes to their room.
    pub(crate) fn image(
        &mut self,
        from: &str,
        name: &str,
        content_type: &str,
        size: usize,
        at: u64,
    ) -> Result<Image, Refused> {
        let room = self.room_of(from).ok_or(Refused::NoRoom)?.to_owned();
        rules::image(content_type, size)?;
        let name = rules::image_name(name).to_owned();
        let (from, content_type) = (from.to_owned(), content_type.to_owned());
        Ok(Image { id: self.next_id(), room, from, name, content_type, at })
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Room {
    /// Keeps a message, and forgets the oldest ones in exchange.
    fn remember(&mut self, message: Message) -> &Message {
        self.history_bytes += message.text.len();
        while self.history.len() >= MAX_HISTORY || self.history_bytes > MAX_HISTORY_BYTES {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.text.len();
        }
        let latest = self.history.len();
        self.history.push_back(message);
        &self.history[latest]
    }
}

/// What two names have in common if people would take one for the other.
fn key(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(names: &[&str]) -> Chat {
        let mut chat = Chat::default();
        for name in names {
            chat.sign_in(name).unwrap();
            chat.join(name, HOME).unwrap();
        }
        chat
    }

    fn list(chat: &Chat) -> Vec<(String, usize)> {
        chat.rooms().into_iter().map(|listed| (listed.room, listed.members)).collect()
    }

    #[test]
    fn a_name_belongs_to_one_person_at_a_time() {
        let mut chat = Chat::default();
        assert_eq!(chat.sign_in("  Ada \n"), Ok("Ada".into()));
        assert_eq!(chat.sign_in("aDA"), Err(Refused::NameTaken));
        assert_eq!(chat.sign_in("ÉMILE"), Ok("ÉMILE".into()));
        assert_eq!(chat.sign_in("émile"), Err(Refused::NameTaken));
        assert_eq!(chat.sign_out("Ada"), None);
        assert_eq!(chat.sign_in("ada"), Ok("ada".into()));
    }

    #[test]
    fn people_are_in_one_room_at_a_time() {
        let mut chat = with(&["Ada", "Grace"]);
        assert_eq!(chat.members(HOME), ["Ada", "Grace"]);
        let moved = chat.join("Ada", " birds ").unwrap();
        assert_eq!(moved, Moved { from: Some(HOME.into()), to: "birds".into(), arrived: true });
        assert_eq!(list(&chat), [("birds".into(), 1), (HOME.into(), 1)]);
        assert!(!chat.join("Ada", "birds").unwrap().arrived);
        assert_eq!(chat.members("birds"), ["Ada"]);
        assert_eq!(chat.sign_out("Ada"), Some("birds".into()));
        assert_eq!(chat.sign_out("Grace"), Some(HOME.into()));
        assert_eq!(list(&chat), [(HOME.into(), 0)]);
    }

    #[test]
    fn there_are_only_so_many_rooms_and_people() {
        let mut chat = Chat::default();
        for number in 0..MAX_PEOPLE {
            chat.sign_in(&number.to_string()).unwrap();
        }
        assert_eq!(chat.sign_in("one more"), Err(Refused::Full));
        for number in 0..MAX_ROOMS - 1 {
            let number = number.to_string();
            chat.join(&number, &number).unwrap();
        }
        assert_eq!(chat.join("200", "one more"), Err(Refused::TooManyRooms));
        assert_eq!(chat.room_of("200"), None);
        assert!(chat.join("200", "7").is_ok());
    }

    #[test]
    fn messages_go_to_the_room_their_author_is_in() {
        let mut chat = with(&["Ada"]);
        chat.sign_in("Grace").unwrap();
        assert_eq!(chat.message("Grace", "hello?", 1), Err(Refused::NoRoom));
        assert_eq!(chat.image("Grace", "a.png", "image/png", 1, 1), Err(Refused::NoRoom));
        assert_eq!(chat.message("Ada", " ", 1), Err(Refused::NoText));
        let image = chat.image("Ada", "a.png", "image/png", 1, 1).unwrap();
        let message = chat.message("Ada", "hi", 1234).unwrap();
        assert_eq!((&*message.room, &*message.from, message.at), (HOME, "Ada", 1234));
        assert_ne!(image.id, message.id);
    }

    #[test]
    fn rooms_remember_the_latest_messages() {
        let mut chat = with(&["Ada"]);
        for number in 0..60 {
            chat.message("Ada", &number.to_string(), number).unwrap();
        }
        let texts: Vec<&str> = chat.history(HOME).iter().map(|message| &*message.text).collect();
        assert_eq!((texts.len(), texts[0], texts[49]), (50, "10", "59"));
        for _ in 0..50 {
            chat.message("Ada", &"🐦".repeat(2_000), 0).unwrap();
        }
        let bytes: usize = chat.history(HOME).iter().map(|message| message.text.len()).sum();
        assert!((MAX_HISTORY_BYTES / 2..=MAX_HISTORY_BYTES).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_room_is_forgotten_with_its_last_member() {
        let mut chat = with(&["Ada"]);
        chat.message("Ada", "stays", 0).unwrap();
        chat.join("Ada", "birds").unwrap();
        chat.message("Ada", "goes", 0).unwrap();
        chat.join("Ada", HOME).unwrap();
        assert_eq!(chat.history(HOME).len(), 1);
        chat.join("Ada", "birds").unwrap();
        assert!(chat.history("birds").is_empty());
    }
}
