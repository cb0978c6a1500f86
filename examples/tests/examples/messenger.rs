//! The messenger: what its page relies on.

use serde_json::{Value, json};

use crate::client::{Client, Packet};
use crate::{example, http};

const CHUNK: usize = 64 * 1024;

fn key(name: &str) -> Value {
    json!({ "name": name, "key": format!("the key of {name}") })
}

/// A tab of a person.
fn tab(addr: &str, name: &str) -> Client {
    let mut client = Client::open(addr, &[]);
    client.join("/", key(name)).unwrap();
    client
}

/// Who is there, as a tab is told.
fn people(tab: &mut Client) -> Value {
    tab.emit("people", json!([]));
    tab.event("people")[0].take()
}

/// Waits until a tab is told that somebody comes or goes.
fn presence(tab: &mut Client, name: &str, online: bool) -> u64 {
    loop {
        let presence = tab.event("presence")[0].take();
        if presence["name"] == name && presence["online"] == online {
            return presence["last_seen"].as_u64().unwrap();
        }
    }
}

fn call(tab: &mut Client, event: &str, args: Value) -> Value {
    tab.call(event, args)[0].take()
}

fn write(tab: &mut Client, to: &str, text: &str) -> u64 {
    let message = call(tab, "message", json!([{ "to": to, "text": text }]));
    message["id"].as_u64().unwrap_or_else(|| panic!("{message}"))
}

fn chunk(tab: &mut Client, bytes: &[u8]) -> Value {
    tab.call_binary("file chunk", json!([{ "_placeholder": true, "num": 0 }]), &[bytes]).data[0].take()
}

/// A message as it comes, acknowledged if that is wanted.
fn hear(tab: &mut Client) -> Packet {
    let message = tab.event_packet("message");
    if message.id.is_some() {
        tab.answer(&message, json!([]));
    }
    message
}

/// F-DOC-01: the messenger serves its page.
#[test]
fn it_serves_a_page() {
    let example = example!("messenger");
    let page = http::get(example.addr(), "/");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("socket.io.min.js"));
}

/// F-DOC-01: a name is what the page says it is, and of one person as long as that person is known.
#[test]
fn names_are_checked_and_kept() {
    let example = example!("messenger");
    let addr = example.addr();
    let mut client = Client::open(addr, &[]);
    for name in ["", "a", "two words", "<script>", "aaaaaaaaaaaaaaaaaaaaa"] {
        let refusal = client.join("/", key(name)).unwrap_err();
        assert_eq!(refusal["message"], "a name has 2 to 20 letters and digits", "{name}");
    }
    let refusal = client.join("/", json!({ "name": "ann", "key": "short" })).unwrap_err();
    assert_eq!(refusal["message"], "a key has 8 to 64 characters");
    client.join("/", json!({})).unwrap_err();
    client.join("/", key("ann")).unwrap();
    let thief = Client::open(addr, &[]).join("/", json!({ "name": "ann", "key": "another key" }));
    assert_eq!(thief, Err(json!({ "message": "this name is taken" })));
}

/// F-DOC-01: people are told who comes and goes; several tabs are one person.
#[test]
fn presence_is_of_people_not_of_tabs() {
    let example = example!("messenger");
    let addr = example.addr();
    let mut ann = tab(addr, "ann");
    let (first, second) = (tab(addr, "ben"), tab(addr, "ben"));
    presence(&mut ann, "ben", true);
    let listed = people(&mut ann);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["online"], &listed[0]["unread"]),
        (&json!("ben"), &json!(true), &json!(0))
    );
    assert_eq!(listed.as_array().unwrap().len(), 1, "not ann herself");

    drop(first);
    drop(second);
    let seen = presence(&mut ann, "ben", false);
    assert!(seen > 0);
    let listed = people(&mut ann);
    assert_eq!((&listed[0]["online"], &listed[0]["last_seen"]), (&json!(false), &json!(seen)));
    assert!(!ann.has_received("presence"), "one coming, one going");
}

/// F-DOC-01: a message goes to all tabs of the recipient and the sender's others, and to nobody else; what was delivered
/// and read is told to both.
#[test]
fn messages_reach_all_tabs_and_are_receipted() {
    let example = example!("messenger");
    let addr = example.addr();
    let (mut ann, mut ann2) = (tab(addr, "ann"), tab(addr, "ann"));
    let (mut ben, mut ben2, mut eve) = (tab(addr, "ben"), tab(addr, "ben"), tab(addr, "eve"));
    let id = write(&mut ann, "ben", "  hello ");
    let theirs = ben.event_packet("message");
    assert_eq!((&theirs.data[0]["from"], &theirs.data[0]["text"]), (&json!("ann"), &json!("hello")));
    assert_eq!(hear(&mut ann2).data[0]["id"], id);
    people(&mut ann);
    assert!(!ann.has_received("receipt"), "nobody has acknowledged it");

    ben.answer(&theirs, json!([]));
    let delivered = json!(["ben", "ann", { "delivered": id, "read": 0 }]);
    for tab in [&mut ann, &mut ann2, &mut ben2] {
        assert_eq!(tab.event("receipt"), delivered);
    }
    assert_eq!(hear(&mut ben2).data[0]["id"], id, "the other tab as well");
    ben2.call("read", json!(["ann", id + 100]));
    let read = json!(["ben", "ann", { "delivered": id, "read": id }]);
    assert_eq!(ann.event("receipt"), read, "not further than what there is");
    assert_eq!(ben.event("receipt"), delivered);
    assert_eq!(ben.event("receipt"), read);
    ben2.call("read", json!(["ann", id]));
    people(&mut ann);
    assert!(!ann.has_received("receipt"), "nothing new");

    people(&mut eve);
    assert!(!eve.has_received("message") && !eve.has_received("receipt"));
    assert_eq!(call(&mut eve, "history", json!(["ann"]))["messages"], json!([]));
}

/// F-DOC-01: what is written to somebody who is away waits, and is delivered with the history.
#[test]
fn messages_wait_for_those_who_are_away() {
    let example = example!("messenger");
    let addr = example.addr();
    let mut ann = tab(addr, "ann");
    drop(tab(addr, "ben"));
    presence(&mut ann, "ben", false);
    let id = write(&mut ann, "ben", "are you there?");

    let mut ben = tab(addr, "ben");
    assert_eq!(people(&mut ben)[0]["unread"], 1);
    let history = call(&mut ben, "history", json!(["ann"]));
    assert_eq!(history["messages"][0]["text"], "are you there?");
    assert_eq!(ann.event("receipt"), json!(["ben", "ann", { "delivered": id, "read": 0 }]));
    assert_eq!(call(&mut ann, "history", json!(["ben"]))["theirs"], json!({ "delivered": id, "read": 0 }));
    ben.call("read", json!(["ann", id]));
    assert_eq!(people(&mut ben)[0]["unread"], 0);
}

/// F-DOC-01: the last 50 messages of a pair are kept.
#[test]
fn the_history_ends() {
    let example = example!("messenger");
    let addr = example.addr();
    let (mut ann, mut ben) = (tab(addr, "ann"), tab(addr, "ben"));
    // As many as one may write at once, from several tabs.
    let mut tabs = [tab(addr, "ann"), tab(addr, "ann"), tab(addr, "ann")];
    for number in 0..51 {
        write(&mut tabs[number % 3], "ben", &number.to_string());
    }
    let texts = |history: Value| {
        let messages = history["messages"].as_array().unwrap().clone();
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected: Vec<_> = (1..51).map(|number| number.to_string()).collect();
    assert_eq!(texts(call(&mut ben, "history", json!(["ann"]))), expected);
    assert_eq!(texts(call(&mut ann, "history", json!(["ben"]))), expected);
}

/// F-DOC-01: somebody is told who is typing; too many notices are dropped.
#[test]
fn typing_is_told_and_not_too_often() {
    let example = example!("messenger");
    let addr = example.addr();
    let (mut ann, mut ben) = (tab(addr, "ann"), tab(addr, "ben"));
    for _ in 0..50 {
        ann.emit("typing", json!(["ben"]));
    }
    people(&mut ann);
    assert_eq!(ben.event("typing"), json!(["ann"]));
    let id = write(&mut ann, "ben", "at last");
    assert_eq!(hear(&mut ben).data[0]["id"], id);
    let more = std::iter::from_fn(|| ben.has_received("typing").then(|| ben.event("typing"))).count();
    assert!(more < 25, "{more}");
}

/// F-DOC-01: what is wrong is said in the acknowledgement, and the client stays connected.
#[test]
fn refusals_are_acknowledgements() {
    let example = example!("messenger");
    let addr = example.addr();
    let mut ann = tab(addr, "ann");
    let _ben = tab(addr, "ben");
    let long = "x".repeat(2001);
    for (event, args, error) in [
        ("message", json!([{ "to": "ben", "text": " \n " }]), "a message has 1 to 2000 characters"),
        ("message", json!([{ "to": "ben", "text": long }]), "a message has 1 to 2000 characters"),
        ("message", json!([{ "to": "nobody", "text": "x" }]), "there is nobody of that name"),
        ("message", json!([{ "to": "ann", "text": "x" }]), "there is nobody of that name"),
        ("message", json!([{ "to": "ben" }]), "these are not the arguments of this event"),
        ("read", json!([7, "ann"]), "these are not the arguments of this event"),
        ("history", json!([]), "these are not the arguments of this event"),
        ("file get", json!(["ben", 1]), "this file is gone"),
    ] {
        assert_eq!(call(&mut ann, event, args), json!({ "error": error }), "{event}");
    }
    let answers: Vec<_> =
        (0..30).map(|_| ann.emit_expecting("/", "message", json!([{ "to": "ben", "text": "x" }]))).collect();
    let too_fast = json!([{ "error": "not so fast" }]);
    assert!(answers.into_iter().any(|id| ann.ack("message", id).data == too_fast));
}

/// F-DOC-01: a file comes in chunks, each acknowledged with what is there, and goes to the two of the chat alone.
#[test]
fn files_come_in_chunks() {
    let example = example!("messenger");
    let addr = example.addr();
    let (mut ann, mut ben, mut eve) = (tab(addr, "ann"), tab(addr, "ben"), tab(addr, "eve"));
    let content: Vec<u8> = (0..150_000).map(|number| (number % 251) as u8).collect();
    let offer = json!([{ "to": "ben", "name": "heron.jpg", "size": content.len() }]);
    assert_eq!(call(&mut ann, "file begin", offer), CHUNK);
    let mut there = 0;
    for part in content.chunks(CHUNK) {
        there += part.len();
        assert_eq!(chunk(&mut ann, part), there);
    }
    let message = call(&mut ann, "file end", json!([]));
    assert_eq!(message["file"], json!({ "name": "heron.jpg", "size": content.len() }));
    assert_eq!(hear(&mut ben).data[0], message);

    let asked = ben.emit_expecting("/", "file get", json!(["ann", message["id"]]));
    let file = ben.ack("file get", asked);
    assert!(file.attachments == [content]);
    assert_eq!(
        call(&mut eve, "file get", json!(["ann", message["id"]])),
        json!({ "error": "this file is gone" })
    );
}

/// F-DOC-01: files have a limit, and so have their chunks; what is not as announced ends the upload.
#[test]
fn files_are_limited() {
    let example = example!("messenger");
    let addr = example.addr();
    let (mut ann, _ben) = (tab(addr, "ann"), tab(addr, "ben"));
    let begin = |ann: &mut Client, name: &str, size: u64| {
        call(ann, "file begin", json!([{ "to": "ben", "name": name, "size": size }]))
    };
    let none = json!({ "error": "no file is on its way" });
    let other = json!({ "error": "the file is larger than announced, or its chunk than allowed" });
    for size in [0, 5_000_001, u64::MAX] {
        assert_eq!(begin(&mut ann, "x", size), json!({ "error": "a file has 1 to 5,000,000 bytes" }));
    }
    assert_eq!(begin(&mut ann, "../x", 1), json!({ "error": "this is no name of a file" }));
    assert_eq!(chunk(&mut ann, b"x"), none);
    begin(&mut ann, "x", 2);
    assert_eq!(chunk(&mut ann, b"xyz"), other);
    assert_eq!(chunk(&mut ann, b"xy"), none, "the upload has ended");
    begin(&mut ann, "x", 5_000_000);
    assert_eq!(chunk(&mut ann, &vec![0; CHUNK + 1]), other);
    begin(&mut ann, "x", 2);
    assert_eq!(chunk(&mut ann, b"x"), 1);
    assert_eq!(call(&mut ann, "file end", json!([])), json!({ "error": "a part of the file is missing" }));
}

/// F-DOC-01: whoever has the token sees counts, announces, and disconnects people.
#[test]
fn admins_count_announce_and_disconnect() {
    let example = example!("messenger");
    let addr = example.addr();
    let (mut ann, mut ben, mut ben2) = (tab(addr, "ann"), tab(addr, "ben"), tab(addr, "ben"));
    write(&mut ann, "ben", "hello");
    let mut admin = Client::open(addr, &[]);
    assert_eq!(admin.join("/admin", json!({ "token": "milk" })), Err(json!({ "message": "wrong token" })));
    admin.join("/admin", json!({})).unwrap_err();
    admin.join("/admin", json!({ "token": "tea" })).unwrap();
    let counts = json!([{ "online": ["ann", "ben"], "known": 2, "tabs": 3, "messages": 1 }]);
    assert_eq!(admin.event("counts"), counts);

    assert_eq!(admin.call_in("/admin", "announce", json!(["we close at five"])), json!([]));
    for tab in [&mut ann, &mut ben] {
        assert_eq!(tab.event("announcement"), json!(["we close at five"]));
    }
    let too_long = admin.call_in("/admin", "announce", json!(["x".repeat(501)]));
    assert_eq!(too_long, json!([{ "error": "an announcement has 1 to 500 characters" }]));

    assert_eq!(admin.call_in("/admin", "disconnect_user", json!(["ben"])), json!([2]));
    ben.disconnected("/");
    ben2.disconnected("/");
    presence(&mut ann, "ben", false);
    assert_eq!(admin.event("counts")[0]["online"], json!(["ann"]));
    let again = admin.call_in("/admin", "disconnect_user", json!(["ben"]));
    assert_eq!(again, json!([{ "error": "nobody of that name is here" }]));
}

/// F-DOC-01: those who left are forgotten after a while, with what they wrote; their names are free again.
#[test]
fn those_who_left_are_forgotten() {
    // As `example!`, with less patience.
    let example =
        crate::process::Example::start_with(env!("CARGO_BIN_EXE_messenger"), &[("FORGET_AFTER", "0")]);
    let addr = example.addr();
    let (mut ann, ben) = (tab(addr, "ann"), tab(addr, "ben"));
    write(&mut ann, "ben", "hello");
    drop(ben);
    assert_eq!(ann.event("forgotten"), json!([["ben"]]));
    assert_eq!(people(&mut ann), json!([]));
    Client::open(addr, &[]).join("/", json!({ "name": "ben", "key": "another key" })).unwrap();
    assert_eq!(call(&mut ann, "history", json!(["ben"]))["messages"], json!([]));
}
