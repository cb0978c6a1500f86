//! What the messenger remembers: who is known, and the last messages of any two. No networking but for telling who comes
//! and goes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use wirebird::{EmitError, Namespace, Operator, Socket};

use crate::Refused;

const MAX_PEOPLE: usize = 10_000;
const MAX_CHATS: usize = 10_000;
const HISTORY: usize = 50;

#[derive(Clone, Default)]
pub(crate) struct People(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    people: HashMap<String, Person>,
    /// By the two names, the lesser one first.
    chats: HashMap<(String, String), Chat>,
    /// The id of the last message.
    last: u64,
}

struct Person {
    /// Whoever took the name first chose it; nobody else comes in by that name.
    key: String,
    tabs: usize,
    last_seen: u64,
}

#[derive(Default)]
struct Chat {
    messages: VecDeque<Message>,
    /// How far each of the two has got.
    receipts: HashMap<String, Receipt>,
}

#[derive(Clone, Serialize)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) from: String,
    pub(crate) to: String,
    at: u64,
    #[serde(flatten)]
    body: Body,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Body {
    Text(String),
    File(File),
}

/// A file is kept as long as its message.
#[derive(Clone, Serialize)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) size: usize,
    #[serde(skip)]
    pub(crate) content: Bytes,
    /// What it takes of the space for all files; given back with the last clone.
    #[serde(skip)]
    pub(crate) _space: Arc<OwnedSemaphorePermit>,
}

/// The last messages of two, and how far each has got with them.
#[derive(Default, Serialize)]
pub(crate) struct History {
    messages: Vec<Message>,
    mine: Receipt,
    theirs: Receipt,
}

/// The last message that a person's tabs have received, and the last one that was looked at.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Receipt {
    delivered: u64,
    read: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum Step {
    Delivered,
    Read,
}

/// A person as others see them.
#[derive(Serialize)]
struct Presence<'a> {
    name: &'a str,
    online: bool,
    last_seen: u64,
}

/// A person in the list of another, with the messages from them that wait to be read.
#[derive(Serialize)]
struct Contact<'a> {
    #[serde(flatten)]
    presence: Presence<'a>,
    unread: usize,
}

#[derive(PartialEq, Serialize)]
pub(crate) struct Counts {
    pub(crate) online: Vec<String>,
    known: usize,
    tabs: usize,
    messages: usize,
}

impl People {
    /// A tab of a person is there. Presence is told under the lock, so that everybody hears of it in the order it happens.
    pub(crate) fn enter(&self, name: &str, key: &str, others: &Operator) -> Result<(), Refused> {
        let mut known = self.0.lock();
        if !known.people.contains_key(name) && known.people.len() >= MAX_PEOPLE {
            return Err(Refused("the messenger is full"));
        }
        let person = known.people.entry(name.to_owned()).or_insert_with(|| Person {
            key: key.to_owned(),
            tabs: 0,
            last_seen: now(),
        });
        if person.key != key {
            return Err(Refused("this name is taken"));
        }
        person.tabs += 1;
        if person.tabs == 1 {
            let _ = others.emit("presence", person.presence(name));
        }
        Ok(())
    }

    pub(crate) fn leave(&self, name: &str, all: &Namespace) -> Result<(), EmitError> {
        let mut known = self.0.lock();
        let Some(person) = known.people.get_mut(name) else { return Ok(()) };
        person.tabs -= 1;
        person.last_seen = now();
        if person.tabs == 0 { all.emit("presence", person.presence(name)) } else { Ok(()) }
    }

    /// Tells one tab of everybody; again under the lock, so that no change comes before it.
    pub(crate) fn list(&self, me: &str, tab: &Socket) -> Result<(), EmitError> {
        let known = self.0.lock();
        let others = known.people.iter().filter(|(name, _)| *name != me);
        let contacts = others.map(|(name, person)| Contact {
            presence: person.presence(name),
            unread: known.chats.get(&pair(me, name)).map_or(0, |chat| chat.unread(me)),
        });
        tab.emit("people", contacts.collect::<Vec<_>>())
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.0.lock().people.contains_key(name)
    }

    pub(crate) fn add(&self, from: &str, to: &str, body: Body) -> Result<Message, Refused> {
        let mut known = self.0.lock();
        if from == to || !known.people.contains_key(to) {
            return Err(Refused("there is nobody of that name"));
        }
        let key = pair(from, to);
        if !known.chats.contains_key(&key) && known.chats.len() >= MAX_CHATS {
            return Err(Refused("the messenger is full"));
        }
        known.last += 1;
        let message = Message { id: known.last, from: from.to_owned(), to: to.to_owned(), at: now(), body };
        let chat = known.chats.entry(key).or_default();
        if chat.messages.len() == HISTORY {
            chat.messages.pop_front();
        }
        chat.messages.push_back(message.clone());
        Ok(message)
    }

    pub(crate) fn history(&self, me: &str, other: &str) -> History {
        let known = self.0.lock();
        let Some(chat) = known.chats.get(&pair(me, other)) else { return History::default() };
        let receipt = |name| chat.receipts.get(name).copied().unwrap_or_default();
        History {
            messages: chat.messages.iter().cloned().collect(),
            mine: receipt(me),
            theirs: receipt(other),
        }
    }

    pub(crate) fn file(&self, me: &str, other: &str, id: u64) -> Option<File> {
        let known = self.0.lock();
        let message = known.chats.get(&pair(me, other))?.messages.iter().find(|message| message.id == id)?;
        match &message.body {
            Body::File(file) => Some(file.clone()),
            Body::Text(_) => None,
        }
    }

    /// A reader has got as far as a message of a writer. Returns what is new about that, if anything is.
    pub(crate) fn mark(&self, reader: &str, writer: &str, id: u64, step: Step) -> Option<Receipt> {
        let mut known = self.0.lock();
        let chat = known.chats.get_mut(&pair(reader, writer))?;
        let last = chat.messages.iter().rev().find(|message| message.from == writer && message.id <= id)?.id;
        let receipt = chat.receipts.entry(reader.to_owned()).or_default();
        let before = *receipt;
        receipt.delivered = receipt.delivered.max(last);
        if matches!(step, Step::Read) {
            receipt.read = receipt.read.max(last);
        }
        (before.delivered < receipt.delivered || before.read < receipt.read).then_some(*receipt)
    }

    /// Forgets those who left so long ago, and what they wrote and received.
    pub(crate) fn forget(&self, after: Duration, all: &Namespace) -> Result<(), EmitError> {
        let mut known = self.0.lock();
        let Known { people, chats, .. } = &mut *known;
        let oldest = now().saturating_sub(after.as_millis() as u64);
        let gone: Vec<String> = people
            .extract_if(|_, person| person.tabs == 0 && person.last_seen < oldest)
            .map(|(name, _)| name)
            .collect();
        if !gone.is_empty() {
            chats.retain(|(a, b), _| people.contains_key(a) && people.contains_key(b));
            all.emit("forgotten", gone)?;
        }
        Ok(())
    }

    pub(crate) fn counts(&self) -> Counts {
        let known = self.0.lock();
        let online = known.people.iter().filter(|(_, person)| person.tabs > 0);
        let mut online: Vec<String> = online.map(|(name, _)| name.clone()).collect();
        online.sort();
        Counts {
            online,
            known: known.people.len(),
            tabs: known.people.values().map(|person| person.tabs).sum(),
            messages: known.chats.values().map(|chat| chat.messages.len()).sum(),
        }
    }
}

impl Person {
    fn presence<'a>(&self, name: &'a str) -> Presence<'a> {
        Presence { name, online: self.tabs > 0, last_seen: self.last_seen }
    }
}

impl Chat {
    fn unread(&self, reader: &str) -> usize {
        let read = self.receipts.get(reader).map_or(0, |receipt| receipt.read);
        self.messages.iter().filter(|message| message.to == reader && message.id > read).count()
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    if a < b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

/// Milliseconds since 1970, as pages count them.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
