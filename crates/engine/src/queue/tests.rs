use wirebird_proto::engine_io::PayloadWriter;

use super::*;

fn message(text: &str) -> Outgoing {
    Outgoing::text(text)
}

fn limits(max_packets: usize, overflow: Overflow) -> SendQueue {
    SendQueue { max_packets, overflow, ..SendQueue::default() }
}

impl Queue {
    fn push_message(&mut self, message: Outgoing, volatile: bool, limits: &SendQueue) -> Result<usize, Full> {
        let dropped = self.make_room(&message, None, limits)?;
        let kind = if volatile { Kind::Volatile } else { Kind::Kept };
        self.push(Item::Message { message, terms: Terms { kind, share: None } });
        Ok(dropped)
    }
}

fn gathered(queue: &Queue) -> Vec<u8> {
    let mut out = Vec::new();
    queue.gather(&mut out);
    out
}

#[test]
fn partial_writes_resume_where_they_stopped() {
    let mut queue = Queue::default();
    for text in ["one", "two", "three"] {
        queue.push_message(message(text), false, &SendQueue::default()).unwrap();
    }
    let whole: Vec<u8> = queue.slices().iter().flat_map(|s| s.to_vec()).collect();
    assert_eq!(gathered(&queue), whole);
    let mut written = Vec::new();
    while !queue.is_empty() {
        let next: Vec<u8> = queue.slices().iter().flat_map(|s| s.to_vec()).take(4).collect();
        assert!(gathered(&queue).starts_with(&next));
        queue.advance(next.len());
        written.extend(next);
    }
    assert_eq!(written, whole);
    assert_eq!(queue.len(), (0, 0));
}

#[test]
fn a_polling_reply_has_at_most_sixteen_packets() {
    let mut queue = Queue::default();
    for i in 0..20 {
        queue.push_message(message(&i.to_string()), false, &SendQueue::default()).unwrap();
    }
    let mut body = PayloadWriter::new();
    queue.take_payload(&mut body, 1_000_000);
    assert_eq!(body.packets(), 16);
    assert_eq!(queue.len().0, 4);
}

#[test]
fn a_ping_goes_first_but_never_into_a_message_that_has_begun() {
    let mut queue = Queue::default();
    queue.push_message(message("one"), false, &SendQueue::default()).unwrap();
    queue.push_message(message("two"), false, &SendQueue::default()).unwrap();
    queue.advance(1);
    queue.push_ping();
    let mut wire = Vec::new();
    queue.take_wire(&mut wire, usize::MAX);
    assert_eq!(wire, b"\x044one\x81\x012\x81\x044two");
    queue.push_message(message("three"), false, &SendQueue::default()).unwrap();
    queue.push_ping();
    let mut body = PayloadWriter::new();
    queue.take_payload(&mut body, 1000);
    assert_eq!(body.finish(), "2\u{1e}4three");
}

#[test]
fn pongs_go_first_and_are_few_when_nobody_reads() {
    let mut queue = Queue::default();
    let limits = limits(10, Overflow::Close);
    queue.push_message(message("one"), false, &limits).unwrap();
    for _ in 0..100 {
        queue.push_pong(&limits);
    }
    assert_eq!(queue.len().0, 6);
    queue.advance(1);
    queue.push_pong(&limits);
    let mut body = PayloadWriter::new();
    queue.take_payload(&mut body, 1000);
    assert_eq!(body.finish(), "3\u{1e}3\u{1e}3\u{1e}3\u{1e}3\u{1e}4one");
}

#[test]
fn of_pongs_that_wait_the_last_is_kept() {
    let mut queue = Queue::default();
    queue.push_message(message("one"), false, &SendQueue::default()).unwrap();
    for payload in [&b"first"[..], b"2nd", b"the last"] {
        queue.push_control(wirebird_proto::websocket::pong_frame(payload).as_ref().into());
    }
    assert_eq!(queue.len().0, 2);
    assert_eq!(gathered(&queue), b"\x8a\x08the last\x81\x044one");
    // One that has begun to go out stays, and those that wait behind it are one.
    queue.advance(1);
    for payload in [b"a", b"b"] {
        queue.push_control(wirebird_proto::websocket::pong_frame(payload).as_ref().into());
    }
    assert_eq!(gathered(&queue), b"\x08the last\x8a\x01b\x81\x044one");
    assert_eq!(queue.len().1, gathered(&queue).len() + 1);
}

#[test]
fn a_full_queue_follows_its_policy() {
    let mut queue = Queue::default();
    let close = limits(2, Overflow::Close);
    queue.push_message(message("a"), true, &close).unwrap();
    queue.push_message(message("b"), false, &close).unwrap();
    assert_eq!(queue.push_message(message("c"), false, &close), Err(Full::Close));
    assert_eq!(queue.push_message(message("c"), false, &limits(2, Overflow::Refuse)), Err(Full::Refuse));
    let drop_volatile = limits(2, Overflow::DropVolatile);
    assert_eq!(queue.push_message(message("c"), false, &drop_volatile), Ok(1));
    assert_eq!(queue.push_message(message("d"), false, &drop_volatile), Err(Full::Close));
}
fn replaceable(key: &str, text: &str, share: Option<&Arc<Share>>) -> Item {
    let message = message(text).conflated(key.into());
    Item::Message { message, terms: Terms { kind: Kind::Replaceable, share: share.cloned() } }
}

fn texts(queue: &Queue) -> Vec<String> {
    let texts =
        queue.items.iter().map(|item| String::from_utf8_lossy(&item.wire().concat()[2..]).into_owned());
    texts.collect()
}

#[test]
fn an_older_message_with_the_key_is_taken_out_and_can_be_put_back() {
    let mut queue = Queue::default();
    let share = Share::new(SendQueue::default());
    for (key, text) in [("a", "1"), ("b", "2"), ("c", "3")] {
        queue.push(replaceable(key, text, Some(&share)));
    }
    let before = (queue.len(), texts(&queue));
    for (key, index) in [("a", 0), ("b", 1), ("c", 2)] {
        let (at, older) = queue.take_older(key).unwrap();
        assert_eq!(at, index);
        assert_eq!(queue.len().0, 2);
        assert_eq!(queue.shares.as_ref().unwrap().of(&share).0, 2);
        queue.put_back(at, older);
        assert_eq!((queue.len(), texts(&queue)), before);
    }
    assert!(queue.take_older("d").is_none());
    while queue.pop().is_some() {}
    assert_eq!((queue.replaceable, queue.len()), (0, (0, 0)));
    assert!(queue.shares.is_none(), "nothing is kept for shares that have nothing");
}

#[test]
fn what_has_begun_to_go_out_is_not_replaced() {
    let mut queue = Queue::default();
    queue.push(replaceable("a", "1", None));
    queue.advance(1);
    assert!(queue.take_older("a").is_none());
    queue.push(replaceable("a", "2", None));
    assert_eq!(queue.take_older("a").unwrap().0, 1);
    assert_eq!(texts(&queue), ["41"]);
}

#[test]
fn what_is_half_written_is_all_that_is_kept() {
    let mut queue = Queue::default();
    queue.push(replaceable("a", "1", None));
    queue.push(replaceable("b", "2", None));
    queue.keep_begun();
    assert!(queue.is_empty());
    queue.push(replaceable("a", "1", None));
    queue.push(replaceable("b", "2", None));
    queue.advance(1);
    queue.keep_begun();
    assert_eq!((texts(&queue), queue.unsent()), (vec!["41".to_owned()], 3));
}
