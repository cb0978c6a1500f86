//! The outbound queue of one session: packets in emit order, drained by whichever transport is current.

mod compressed;
mod items;
mod joined;
mod payload;
mod share;

use std::io::IoSlice;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::{Overflow, SendQueue};
use crate::message::Outgoing;
pub(crate) use compressed::Compressed;
use items::Items;
use joined::Joined;
pub(crate) use joined::SMALL;
pub(crate) use payload::Payload;
pub use share::Share;
use share::Shares;
pub(crate) use share::{Kind, Terms};

/// Slices that one vectored write takes at most.
const MAX_SLICES: usize = 64;

/// Packets that one polling reply carries at most: Python's clients drop larger ones.
const MAX_POLL_PACKETS: usize = 16;

/// A text frame with an Engine.IO ping.
const PING_FRAME: &[u8] = b"\x81\x012";
/// A text frame with an Engine.IO pong.
const PONG_FRAME: &[u8] = b"\x81\x013";

#[derive(Debug)]
pub(crate) enum Item {
    Message {
        message: Outgoing,
        terms: Terms,
    },
    Compressed(Box<Compressed>),
    /// Only for transports that take bytes.
    Joined(Box<Joined>),
    Ping,
    /// The answer to a ping, in protocol 3.
    Pong,
    /// The OPEN packet of a session that began on a WebSocket.
    Open(Outgoing),
    /// A finished WebSocket control frame.
    Control(Box<[u8]>),
    /// The answer to the request for a WebSocket, and OPEN: nothing may come before it.
    Answer(Box<[u8]>),
}

/// Why an item was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The client is to be closed.
    Close,
    /// The sender is to be told.
    Refuse,
}

/// One packet of a transport that carries whole packets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// A text packet, with its Engine.IO type digit.
    Text(bytestring::ByteString),
    /// A binary message.
    Binary(bytes::Bytes),
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: Items,
    bytes: usize,
    packets: usize,
    /// How much of the first item has been written.
    offset: usize,
    /// How many wait that newer ones may replace.
    replaceable: usize,
    /// What the shares have taken; `None` while that is nothing.
    shares: Option<Box<Shares>>,
}

impl Item {
    fn wire(&self) -> [&[u8]; 2] {
        match self {
            Self::Message { message, .. } | Self::Open(message) => message.wire(),
            Self::Compressed(message) => [message.wire(), &[]],
            Self::Joined(messages) => [messages.wire(), &[]],
            Self::Ping => [PING_FRAME, &[]],
            Self::Pong => [PONG_FRAME, &[]],
            Self::Control(bytes) | Self::Answer(bytes) => [bytes, &[]],
        }
    }

    fn wire_len(&self) -> usize {
        match self {
            Self::Message { message, .. } | Self::Open(message) => message.wire_len(),
            Self::Compressed(message) => message.wire_len(),
            Self::Joined(messages) => messages.wire().len(),
            Self::Ping => PING_FRAME.len(),
            Self::Pong => PONG_FRAME.len(),
            Self::Control(bytes) | Self::Answer(bytes) => bytes.len(),
        }
    }

    fn packets(&self) -> usize {
        match self {
            Self::Message { message, .. } => message.packets(),
            Self::Compressed(message) => message.packets(),
            Self::Joined(messages) => messages.packets(),
            _ => 1,
        }
    }

    fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Message { terms, .. } => Some(terms),
            Self::Compressed(message) => Some(message.terms()),
            _ => None,
        }
    }

    fn is(&self, kind: Kind) -> bool {
        self.terms().is_some_and(|terms| terms.kind == kind)
    }

    fn share(&self) -> Option<&Arc<Share>> {
        self.terms()?.share.as_ref()
    }

    /// The key under which a newer message replaces it.
    fn key(&self) -> Option<&str> {
        match self {
            Self::Message { message, .. } => message.key(),
            Self::Compressed(message) => message.key(),
            _ => None,
        }
    }
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether one item waits.
    pub(crate) fn is_single(&self) -> bool {
        self.items.len() == 1
    }

    /// Packets and bytes that wait.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.packets, self.bytes)
    }

    /// Bytes that wait and have not been written.
    pub(crate) fn unsent(&self) -> usize {
        self.bytes - self.offset
    }

    /// Whether less than half of what is allowed waits.
    pub(crate) fn has_room(&self, limits: &SendQueue) -> bool {
        self.packets <= limits.max_packets / 2 && self.bytes <= limits.max_bytes / 2
    }

    /// Makes room for a message if the limits allow; returns how many volatile messages had to go.
    pub(crate) fn make_room(
        &mut self,
        message: &Outgoing,
        share: Option<&Arc<Share>>,
        limits: &SendQueue,
    ) -> Result<usize, Full> {
        if share.is_none() && !self.is_full(message, limits) {
            return Ok(0);
        }
        self.make_room_by_policy(message, share, limits)
    }

    #[cold]
    fn make_room_by_policy(
        &mut self,
        message: &Outgoing,
        share: Option<&Arc<Share>>,
        limits: &SendQueue,
    ) -> Result<usize, Full> {
        let policy = share.map_or(limits.overflow, |share| share.limits().overflow);
        let mut dropped = 0;
        loop {
            // Where a share is full it is only what is in it that can make room.
            let own = share.filter(|share| self.is_share_full(message, share));
            if own.is_none() && !self.is_full(message, limits) {
                return Ok(dropped);
            }
            match policy {
                Overflow::Close => return Err(Full::Close),
                Overflow::Refuse => return Err(Full::Refuse),
                Overflow::DropVolatile if self.drop_oldest_volatile(own) => dropped += 1,
                Overflow::DropVolatile => return Err(Full::Close),
            }
        }
    }

    /// Takes an older message with this key out, if one waits that has not begun to go out, and says where it was.
    #[cold]
    pub(crate) fn take_older(&mut self, key: &str) -> Option<(usize, Item)> {
        if self.replaceable == 0 {
            return None;
        }
        let begun = usize::from(self.offset > 0);
        let same = |item: &Item| item.is(Kind::Replaceable) && item.key() == Some(key);
        let at = self.items.rposition(same).filter(|at| *at >= begun)?;
        Some((at, self.take(at)?))
    }

    /// Puts an item back to where it was.
    #[cold]
    pub(crate) fn put_back(&mut self, at: usize, item: Item) {
        self.bytes += item.wire_len();
        self.packets += item.packets();
        self.count_terms(&item);
        self.items.insert(at, item);
    }

    /// Adds an item, whatever the limits.
    pub(crate) fn push(&mut self, item: Item) {
        self.bytes += item.wire_len();
        self.packets += item.packets();
        if let Item::Message { terms: Terms { kind: Kind::Kept | Kind::Volatile, share: None }, .. } = &item {
            return self.items.push_back(item);
        }
        self.count_terms(&item);
        self.items.push_back(item);
    }

    /// Adds a small message that is to go out with those before it, whatever the limits. It must not be one that may be
    /// dropped or replaced, or that belongs to a share.
    pub(crate) fn join(&mut self, message: Outgoing) {
        self.bytes += message.wire_len();
        self.packets += message.packets();
        match self.items.back_mut() {
            Some(Item::Joined(joined)) if joined.has_room(&message) => joined.add(&message),
            _ => self.items.push_back(Item::Joined(Joined::of(&message))),
        }
        message.spare();
    }

    #[cold]
    fn count_terms(&mut self, item: &Item) {
        self.replaceable += usize::from(item.is(Kind::Replaceable));
        if let Some(share) = item.share() {
            self.shares.get_or_insert_default().add(share, item.packets(), item.wire_len());
        }
    }

    #[cold]
    fn uncount_terms(&mut self, item: &Item) {
        self.replaceable -= usize::from(item.is(Kind::Replaceable));
        if let (Some(share), Some(shares)) = (item.share(), &mut self.shares) {
            shares.remove(share, item.packets(), item.wire_len());
            if shares.is_empty() {
                self.shares = None;
            }
        }
    }

    /// Adds a ping before everything but OPEN that has not begun to go out: it must not wait behind what a slow client
    /// has yet to fetch, or the client would seem dead.
    pub(crate) fn push_ping(&mut self) {
        self.push_early(Item::Ping);
    }

    /// Whether a ping waits, or is going out.
    pub(crate) fn has_ping(&self) -> bool {
        self.items.iter().take(2).any(|item| matches!(item, Item::Ping))
    }

    /// Adds the answer to a ping, as [`Queue::push_ping`]. A client that pings and never reads does not make the queue
    /// grow: once that is half full, one answer is there for all.
    pub(crate) fn push_pong(&mut self, limits: &SendQueue) {
        let waits = || self.items.iter().take(2).any(|item| matches!(item, Item::Pong));
        if self.has_room(limits) || !waits() {
            self.push_early(Item::Pong);
        }
    }

    /// Adds a pong of a WebSocket that takes nothing at present, as [`Queue::push_ping`]. One stands for all: only the last
    /// ping needs an answer.
    pub(crate) fn push_control(&mut self, frame: Box<[u8]>) {
        let begun = usize::from(self.offset > 0);
        let waits = self.items.iter_mut().take(2).skip(begun).find_map(|item| match item {
            Item::Control(waits) => Some(waits),
            _ => None,
        });
        let Some(waits) = waits else { return self.push_early(Item::Control(frame)) };
        self.bytes = self.bytes + frame.len() - waits.len();
        *waits = frame;
    }

    fn push_early(&mut self, item: Item) {
        self.bytes += item.wire_len();
        self.packets += item.packets();
        if self.offset > 0 || matches!(self.items.front(), Some(Item::Open(_) | Item::Answer(_))) {
            self.items.push_second(item);
        } else {
            self.items.push_front(item);
        }
    }

    /// Whether there is binary in what the next polling reply carries, or may carry.
    pub(crate) fn has_binary(&self) -> bool {
        self.items.iter().take(MAX_POLL_PACKETS).any(|item| match item {
            Item::Message { message, .. } => message.is_binary(),
            _ => false,
        })
    }

    pub(crate) fn is_full(&self, message: &Outgoing, limits: &SendQueue) -> bool {
        !self.items.is_empty()
            && (self.packets + message.packets() > limits.max_packets
                || self.bytes + message.wire_len() > limits.max_bytes)
    }

    /// Whether a message is more than its share may take.
    fn is_share_full(&self, message: &Outgoing, share: &Arc<Share>) -> bool {
        let Some(shares) = &self.shares else { return false };
        let ((packets, bytes), limits) = (shares.of(share), share.limits());
        packets > 0
            && (packets + message.packets() > limits.max_packets
                || bytes + message.wire_len() > limits.max_bytes)
    }

    /// Whether a message does not fit, as things are.
    pub(crate) fn has_no_room(
        &self,
        message: &Outgoing,
        share: Option<&Arc<Share>>,
        limits: &SendQueue,
    ) -> bool {
        self.is_full(message, limits) || share.is_some_and(|share| self.is_share_full(message, share))
    }

    /// Whether less than half of what is allowed to a share waits.
    pub(crate) fn has_room_of(&self, share: &Arc<Share>) -> bool {
        let (packets, bytes) = self.shares.as_ref().map_or((0, 0), |shares| shares.of(share));
        packets <= share.limits().max_packets / 2 && bytes <= share.limits().max_bytes / 2
    }

    fn drop_oldest_volatile(&mut self, share: Option<&Arc<Share>>) -> bool {
        let belongs = |item: &Item| match (share, item.share()) {
            (Some(share), other) => other.is_some_and(|other| Arc::ptr_eq(share, other)),
            (None, _) => true,
        };
        // The first item may be half written; it stays.
        let begun = usize::from(self.offset > 0);
        let goes = |item: &Item| item.is(Kind::Volatile) && belongs(item);
        let found = self.items.iter().skip(begun).position(goes);
        found.and_then(|at| self.take(begun + at)).is_some()
    }

    fn take(&mut self, at: usize) -> Option<Item> {
        let item = self.items.remove(at)?;
        self.uncount(&item);
        Some(item)
    }

    /// What waits, as slices for a vectored write.
    pub(crate) fn slices(&self) -> SmallVec<[IoSlice<'_>; MAX_SLICES]> {
        let mut slices = SmallVec::new();
        let mut skip = self.offset;
        for item in self.items.iter() {
            for piece in item.wire() {
                if skip >= piece.len() {
                    skip -= piece.len();
                    continue;
                }
                slices.push(IoSlice::new(&piece[skip..]));
                skip = 0;
            }
            if slices.len() + 2 > MAX_SLICES {
                break;
            }
        }
        slices
    }

    /// Copies everything that waits to the end of `out`.
    pub(crate) fn gather(&self, out: &mut Vec<u8>) {
        let mut skip = self.offset;
        for piece in self.items.iter().flat_map(Item::wire) {
            let from = skip.min(piece.len());
            skip -= from;
            out.extend_from_slice(&piece[from..]);
        }
    }

    /// `written` bytes have gone out.
    pub(crate) fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.items.front() {
            let left = first.wire_len() - self.offset;
            if written < left {
                self.offset += written;
                return;
            }
            written -= left;
            self.offset = 0;
            self.drop_first();
        }
    }

    /// Moves up to about `limit` bytes into `out`, as they go over a WebSocket.
    pub(crate) fn take_wire(&mut self, out: &mut Vec<u8>, limit: usize) {
        while out.len() < limit {
            let Some(item) = self.items.front() else { break };
            let mut skip = self.offset;
            for piece in item.wire() {
                let from = skip.min(piece.len());
                out.extend_from_slice(&piece[from..]);
                skip -= from;
            }
            self.offset = 0;
            self.drop_first();
        }
    }

    /// Takes everything, as whole packets.
    pub(crate) fn take_frames(&mut self, frames: &mut Vec<Frame>) {
        while let Some(item) = self.pop() {
            match item {
                Item::Ping => frames.push(Frame::Text("2".into())),
                Item::Pong => frames.push(Frame::Text("3".into())),
                Item::Control(_) | Item::Answer(_) | Item::Compressed(_) | Item::Joined(_) => {}
                Item::Message { message, .. } | Item::Open(message) => {
                    let (lead, is_text) = message.lead();
                    let lead = lead.concat();
                    frames.push(if is_text { Frame::Text(text(lead)) } else { Frame::Binary(lead.into()) });
                    frames.extend(
                        message.attachments().map(|a| Frame::Binary(bytes::Bytes::copy_from_slice(a))),
                    );
                }
            }
        }
    }

    /// Fills the body of a polling reply: whole messages, at most [`MAX_POLL_PACKETS`] packets and about `max_bytes`
    /// (one message alone may be larger). Returns whether one of them may be compressed.
    pub(crate) fn take_payload(&mut self, body: &mut impl Payload, max_bytes: usize) -> bool {
        let mut compressible = false;
        while let Some(item) = self.items.front() {
            let fits = body.packets() + item.packets() <= MAX_POLL_PACKETS
                && body.len() + item.wire_len() <= max_bytes;
            if body.packets() > 0 && !fits {
                break;
            }
            match item {
                Item::Ping => body.push_text(b'2', &[]),
                Item::Pong => body.push_text(b'3', &[]),
                Item::Control(_) | Item::Answer(_) | Item::Compressed(_) | Item::Joined(_) => {}
                Item::Message { message, .. } | Item::Open(message) => {
                    compressible |= message.is_compressible();
                    let (lead, is_text) = message.lead();
                    if is_text {
                        body.push_text(lead[0][0], &[&lead[0][1..], lead[1]]);
                    } else {
                        body.push_binary(&lead.concat());
                    }
                    for attachment in message.attachments() {
                        body.push_binary(attachment);
                    }
                }
            }
            self.pop();
        }
        compressible
    }

    /// Drops everything that waits, but for what has begun to go out: a message that is half written, with those that are
    /// joined to it, and the answer to the request.
    pub(crate) fn keep_begun(&mut self) {
        let first = self.items.pop_front();
        let offset = self.offset;
        *self = Self::default();
        if let Some(first) = first.filter(|first| offset > 0 || matches!(first, Item::Answer(_))) {
            self.push(first);
            self.offset = offset;
        }
    }

    /// Drops everything that waits. Whether no frame may follow: a message was half written, or the client has no answer
    /// yet.
    pub(crate) fn clear(&mut self) -> bool {
        let queue = std::mem::take(self);
        queue.offset > 0 || matches!(queue.items.front(), Some(Item::Answer(_)))
    }

    /// The first item has gone out.
    fn drop_first(&mut self) {
        if let Some(Item::Joined(joined)) = self.pop() {
            joined.spare();
        }
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.uncount(&item);
        Some(item)
    }

    fn uncount(&mut self, item: &Item) {
        self.bytes -= item.wire_len();
        self.packets -= item.packets();
        if self.replaceable > 0 || self.shares.is_some() {
            self.uncount_terms(item);
        }
    }
}

/// Text that was put into a message as text.
fn text(bytes: Vec<u8>) -> bytestring::ByteString {
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned().into(),
    }
}

#[cfg(test)]
mod tests;
