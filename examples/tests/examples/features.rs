//! What handlers can do.

use serde_json::{Value, json};

use crate::client::Client;
use crate::{example, http};

fn binary(number: usize) -> Value {
    json!({ "_placeholder": true, "num": number })
}

#[test]
fn thread_emit() {
    let example = example!("thread_emit");
    let mut listener = Client::connect(example.addr());
    listener.call("subscribe", json!(["thermometer"]));
    let first = listener.event("reading")[0]["number"].as_u64().unwrap();
    for number in first + 1..first + 4 {
        let reading = listener.event("reading");
        assert_eq!(reading[0]["number"], number, "in order, and none is lost");
        assert!(reading[0]["celsius"].as_f64().unwrap() >= 20.0);
    }
    assert_eq!(listener.call("unsubscribe", json!(["thermometer"])), json!([true]));
}

/// F-EVT-17: who may send an event, how often, and how long it takes.
#[test]
fn event_layers() {
    let example = example!("event_layers");
    let mut stranger = Client::connect(example.addr());
    stranger.emit("whoami", json!([]));
    stranger.disconnected("/");

    let mut ann = Client::connect(example.addr());
    assert_eq!(ann.call("login", json!(["ann", "guess"])), json!([false]));
    assert_eq!(ann.call("login", json!(["ann", "secret"])), json!([true]));
    assert_eq!(ann.call("whoami", json!([])), json!(["ann"]));
    assert_eq!(ann.call("delete", json!(["everything"])), json!(["admins only"]));
    example.wait_for_line(r#"audit: delete("everything") failed"#);
    let mut root = Client::connect(example.addr());
    root.call("login", json!(["root", "secret"]));
    assert_eq!(root.call("delete", json!(["a file"])), json!(["a file is deleted"]));
    example.wait_for_line(r#"audit: delete("a file") done"#);
    example.wait_for_line("delete took ");

    for _ in 0..3 {
        assert_eq!(ann.call("search", json!(["tea"])), json!([["all about tea"]]));
    }
    assert_eq!(ann.call("search", json!(["tea"])), json!(["not so fast"]));
    assert_eq!(root.call("search", json!(["tea"])), json!([["all about tea"]]), "others may still");
    for _ in 0..2000 {
        ann.emit("flood", json!([]));
    }
    ann.disconnected("/");
}

#[test]
fn acks() {
    let example = example!("acks");
    let (mut ann, mut bob) = (Client::connect(example.addr()), Client::connect(example.addr()));
    assert_eq!(ann.call("divide", json!([7, 2])), json!([3, 1]));
    assert_eq!(ann.call("slow sum", json!([[1, 2, 3]])), json!([6]));

    let greeting = ann.emit_expecting("/", "greet me", json!([]));
    let question = ann.event_packet("your name?");
    ann.answer(&question, json!(["ann"]));
    assert_eq!(ann.ack("greet me", greeting).data, json!(["hello ann"]));

    for client in [&mut ann, &mut bob] {
        client.call("join", json!(["jury"]));
    }
    let vote = ann.emit_expecting("/", "start vote", json!(["jury", "guilty?"]));
    for (client, answer) in [(&mut bob, json!([true])), (&mut ann, json!([false]))] {
        let question = client.event_packet("vote");
        assert_eq!(question.data, json!(["guilty?"]));
        client.answer(&question, answer);
    }
    assert_eq!(ann.ack("start vote", vote).data, json!(["1 yes, 1 no, 0 did not vote"]));

    let vote = ann.emit_expecting("/", "start live vote", json!(["jury", "again?"]));
    let question = bob.event_packet("vote");
    bob.answer(&question, json!([true]));
    assert_eq!(ann.event("ballot")[1], true, "passed on before everybody has voted");
    let question = ann.event_packet("vote");
    ann.answer(&question, json!([false]));
    assert_eq!(ann.event("ballot")[1], false);
    assert_eq!(ann.ack("start live vote", vote).data, json!(["the polls are closed"]));
}

#[test]
fn broadcasting() {
    let example = example!("broadcasting");
    let connect = || Client::connect(example.addr());
    let (mut ann, mut bob, mut zoe) = (connect(), connect(), connect());
    ann.call("enter", json!(["ann", "red"]));
    bob.call("enter", json!(["bob", "red"]));
    assert_eq!(ann.event("entered"), json!(["bob"]));
    zoe.call("enter", json!(["zoe", "blue"]));
    assert_eq!(zoe.call("who", json!(["red"])), json!([["ann", "bob"]]));

    zoe.call("tell", json!([["red", "blue"], [], "all but me"]));
    ann.call("enter", json!(["ann", "quiet"]));
    zoe.call("tell", json!([["red"], ["quiet"], "but not ann"]));
    zoe.call("point", json!([0.5, 1.5]));
    assert_eq!(ann.event("told"), json!(["all but me"]));
    assert_eq!(bob.event("told"), json!(["all but me"]));
    assert_eq!(bob.event("told"), json!(["but not ann"]));
    assert_eq!(bob.event("pointer"), json!([0.5, 1.5]));

    let auction = zoe.emit_expecting("/", "auction", json!(["red", "a clock"]));
    let question = ann.event_packet("your bid?");
    assert_eq!(question.data, json!(["a clock"]));
    ann.answer(&question, json!([5]));
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.event("best bid"), json!(["a clock", 5]), "before everybody has bid");
    }
    let question = bob.event_packet("your bid?");
    bob.answer(&question, json!([7]));
    assert_eq!(ann.event("best bid"), json!(["a clock", 7]));
    assert_eq!(zoe.ack("auction", auction).data, json!([2, 7]));

    zoe.call("merge", json!(["red", "blue"]));
    assert_eq!(zoe.call("who", json!(["blue"])), json!([["ann", "bob", "zoe"]]));
    assert_eq!(zoe.call("who", json!(["red"])), json!([[]]));
    drop(ann);
    assert_eq!(zoe.event("left"), json!(["ann"]));
}

#[test]
fn somebody_who_leaves_does_not_hold_up_a_vote() {
    let example = example!("acks");
    let (mut ann, mut bob) = (Client::connect(example.addr()), Client::connect(example.addr()));
    for client in [&mut ann, &mut bob] {
        client.call("join", json!(["jury"]));
    }
    let vote = ann.emit_expecting("/", "start vote", json!(["jury", "guilty?"]));
    let question = ann.event_packet("vote");
    ann.answer(&question, json!([true]));
    bob.event_packet("vote");
    drop(bob);
    assert_eq!(ann.ack("start vote", vote).data, json!(["1 yes, 0 no, 1 did not vote"]));
}

#[test]
fn sessions_and_state() {
    let example = example!("sessions_and_state");
    let addr = example.addr();
    let target = "/socket.io/?EIO=4&transport=websocket";
    assert_eq!(http::get(addr, "/").status, 401);
    assert_eq!(http::get(addr, "/socket.io/?EIO=4&transport=polling").status, 401);
    assert_eq!(Client::websocket(addr, target, &[]).err(), Some(401));

    let enter = |name: &str| {
        let mut client = Client::open(addr, &[("Authorization", &format!("Bearer {name}-secret"))]);
        client.join("/", json!({})).unwrap();
        assert_eq!(client.event("welcome"), json!([name]));
        client
    };
    let (mut ann, mut bob) = (enter("ann"), enter("bob"));
    assert_eq!(ann.call("add", json!(["tea"])), json!([1]));
    assert_eq!(ann.call("add", json!(["milk"])), json!([2]));
    assert_eq!(bob.call("cart", json!([])), json!([[]]), "a cart of his own");
    assert_eq!(bob.call("add", json!(["bread"])), json!([1]));
    assert_eq!(ann.call("cart", json!([])), json!([["tea", "milk"]]));
    assert_eq!(ann.call("buy", json!([])), json!(["ann bought tea and milk; 2 sold today"]));
    assert_eq!(bob.call("buy", json!([])), json!(["bob bought bread; 3 sold today"]));
    assert_eq!(ann.call("cart", json!([])), json!([[]]));
}

#[test]
fn errors() {
    let example = example!("errors");
    let mut client = Client::connect(example.addr());
    assert_eq!(client.call("withdraw", json!(["ann", "30"])), json!([{ "left": 70 }]));
    assert_eq!(client.event("money"), json!([30]));
    assert_eq!(
        client.call("withdraw", json!(["ann", "101"])),
        json!([{ "error": "overdrawn", "missing": 1 }])
    );
    assert_eq!(
        client.call("withdraw", json!(["bob", "1"])),
        json!([{ "error": "there is no account \"bob\"" }])
    );
    let message = client.call("withdraw", json!(["ann", "much"]));
    assert_eq!(message, json!([{ "error": "invalid digit found in string" }]));
    let refused = client.call("withdraw", json!(["ann"]));
    assert_eq!(refused[0]["error"], "bad request");
    assert!(refused[0]["details"].is_string());

    assert_eq!(client.call("audit", json!([1])), json!(["page two"]));
    assert_eq!(client.call("audit", json!([2])), json!([{ "error": "internal error" }]));
    example.wait_for_line("has a bug");
    assert_eq!(client.call("audit", json!([0])), json!(["page one"]), "the connection goes on");

    client.join("/quiet", json!({})).unwrap();
    assert_eq!(client.call_in("/quiet", "audit", json!([2])), json!(["something went wrong"]));
}

#[test]
fn namespaces() {
    let example = example!("namespaces");
    let mut client = Client::connect(example.addr());
    assert_eq!(
        client.call("dance", json!(["tango", 2])),
        json!(["no idea what to do with dance and 2 arguments"])
    );

    client.join("/news", json!({})).unwrap();
    assert_eq!(client.event("headline"), json!(["nothing happened yet"]));
    assert_eq!(
        client.join("/admin", json!({ "role": "guest" })).unwrap_err(),
        json!({ "message": "admins only" })
    );
    client.join("/admin", json!({ "role": "admin" })).unwrap();
    client.call_in("/admin", "publish", json!(["birds seen"]));
    let headline = client.event_packet("headline");
    assert_eq!((&*headline.namespace, headline.data), ("/news", json!(["birds seen"])));

    for game in ["/chess", "/go"] {
        client.join(game, json!({})).unwrap();
    }
    assert_eq!(client.call_in("/chess", "whisper", json!(["psst"])), json!(["/chess"]));
    let whisper = client.event_packet("whisper");
    assert_eq!((&*whisper.namespace, whisper.data), ("/chess", json!(["psst"])));
    assert_eq!(client.join("/elsewhere", json!({})).unwrap_err(), json!({ "message": "Invalid namespace" }));
    client.call("ping", json!([]));
    assert!(!client.has_received("whisper"), "games do not hear each other");
}

/// F-NSP-02, F-EVT-02, F-ERR-04
#[test]
fn class_namespaces() {
    let example = example!("class_namespaces");
    let (mut ann, mut bob) = (Client::open(example.addr(), &[]), Client::open(example.addr(), &[]));
    for client in [&mut ann, &mut bob] {
        client.join("/auction", json!({})).unwrap();
        assert_eq!(client.event("highest"), json!([null]));
    }
    assert_eq!(
        ann.call_in("/auction", "bid", json!([10])),
        json!(["bid failed: the socket's session has no value of type class_namespaces::Bidder"])
    );
    ann.call_in("/auction", "sign_in", json!(["ann"]));
    bob.call_in("/auction", "sign_in", json!(["bob"]));
    assert_eq!(ann.call_in("/auction", "bid", json!([10])), json!([true]));
    assert_eq!(bob.call_in("/auction", "bid", json!([12])), json!([true]));
    assert_eq!(ann.call_in("/auction", "bid", json!([11])), json!([false]));
    assert_eq!(ann.event("highest"), json!([{ "name": "ann", "amount": 10 }]));
    assert_eq!(ann.event("highest"), json!([{ "name": "bob", "amount": 12 }]));
    assert_eq!(http::get(example.addr(), "/highest").body, r#"{"name":"bob","amount":12}"#);
    assert_eq!(ann.call_in("/auction", "how is it going?", json!([])), json!([2]));
    assert_eq!(ann.call_in("/auction", "time", json!([])), json!(["it is always now"]));
    let answer = ann.call_in("/auction", "dance", json!([]));
    assert_eq!(answer, json!(["this is an auction, not a place to dance"]));
    drop(ann);
    example.wait_for_line("ann has left: ");
}

/// F-NSP-09
#[test]
fn dynamic_namespaces() {
    let example = example!("dynamic_namespaces");
    let acme = json!({ "tenant": "acme" });
    let (mut ann, mut bob) = (Client::connect(example.addr()), Client::connect(example.addr()));
    for client in [&mut ann, &mut bob] {
        client.join("/acme/doc-7", acme.clone()).unwrap();
        assert_eq!(client.event("opened"), json!([7]));
    }
    ann.join("/acme/doc-8", acme.clone()).unwrap();
    ann.call_in("/acme/doc-7", "edit", json!(["once upon a time"]));
    let edited = bob.event_packet("edited");
    assert_eq!((&*edited.namespace, edited.data), ("/acme/doc-7", json!(["once upon a time"])));
    assert_eq!(ann.call("documents", json!([])), json!([["/acme/doc-7", "/acme/doc-8"]]));

    for (name, message) in [
        ("/other/doc-7", "not your document"),
        ("/acme/doc-seven", "Connection rejected by server"),
        ("/acme/doc-0", "nobody edits this one"),
        ("/acme/doc-", "Invalid namespace"),
        ("/beta/new", "Invalid namespace"),
    ] {
        assert_eq!(ann.join(name, acme.clone()).unwrap_err(), json!({ "message": message }), "{name}");
    }
    ann.join("/phone-555", json!({})).unwrap();
    assert_eq!(ann.call_in("/phone-555", "ring", json!([])), json!(["555 rings"]));

    ann.join("/acme", json!({})).unwrap();
    ann.call_in("/acme", "save", json!([7]));
    assert_eq!(bob.event_packet("saved").namespace, "/acme/doc-7");

    let mut tester = Client::open(example.addr(), &[("x-beta", "1")]);
    tester.join("/beta/new", json!({})).unwrap();
    assert_eq!(tester.call_in("/beta/new", "where", json!([])), json!(["/beta/new"]));
}

#[test]
fn binary_messages() {
    let example = example!("binary");
    let (mut ann, mut bob) = (Client::connect(example.addr()), Client::connect(example.addr()));
    let reversed = ann.call_binary("reverse", json!([binary(0)]), &[&[1, 2, 3]]);
    assert_eq!((reversed.data, reversed.attachments), (json!([binary(0)]), vec![vec![3, 2, 1]]));

    let file = json!([{ "name": "song", "parts": [binary(0), binary(1)] }]);
    let joined = ann.call_binary("join", file.clone(), &[b"la", b"lu"]);
    assert_eq!(joined.data, json!([{ "name": "song (whole)", "parts": [binary(0)] }]));
    assert_eq!(joined.attachments, [b"lalu"]);

    ann.call_binary("share", file.clone(), &[b"la", b"lu"]);
    let shared = bob.event_packet("file");
    assert_eq!((shared.data, shared.attachments), (file, vec![b"la".to_vec(), b"lu".to_vec()]));

    let anything = json!(["text", { "a": [binary(0)], "b": binary(1) }, 3]);
    assert_eq!(ann.call_binary("weigh", anything, &[&[0; 10], &[0; 1000]]).data, json!([1010]));
}

#[test]
fn dispatcher() {
    let example = example!("dispatcher");
    let mut client = Client::open(example.addr(), &[]);
    assert_eq!(client.join("/", json!({})).unwrap_err(), json!({ "message": "say please" }));
    client.send(r#"40{"token":"please"}"#);
    let connected = client.frame().unwrap().to_text().unwrap().to_owned();
    assert!(connected.starts_with("40{") && connected.contains(r#""motd":"raw today""#), "{connected}");

    // As it was sent: spaces, order of members and large numbers survive.
    client.send(r#"421["what", { "b":1.50,"a":12345678901234567890123 } ]"#);
    let ack = client.frame().unwrap();
    assert_eq!(ack.to_text().unwrap(), r#"431[{ "b":1.50,"a":12345678901234567890123 }]"#);
    let answer = client.call_binary("bytes", json!([binary(0)]), &[b"abc"]);
    assert_eq!(answer.attachments, [b"abc"]);
    client.emit("hello", json!([1, 2]));
    assert_eq!(client.event("hello"), json!([1, 2]));
    assert_eq!(client.event("echoed"), json!(["hello", 2, 0]));
    client.send("41");
    example.wait_for_line("is gone: client namespace disconnect");
}

/// F-NOD-21: who was cut off is back under the same id, with what was said meanwhile before everything else.
#[test]
fn recovery() {
    let example = example!("recovery");
    let mut ann = Client::connect(example.addr());
    ann.call("say", json!(["one"]));
    let mut bob = Client::open(example.addr(), &[]);
    bob.send("40");
    let connected: Value = serde_json::from_str(bob.text().strip_prefix("40").unwrap()).unwrap();
    ann.call("say", json!(["two"]));
    let said = bob.event("said");
    let offset = said[1].as_str().expect("an offset").to_owned();
    drop(bob);
    ann.call("say", json!(["three"]));
    let mut bob = Client::open(example.addr(), &[]);
    bob.send(&format!("40{}", json!({ "pid": connected["pid"], "offset": offset })));
    assert!(bob.text().starts_with(r#"42["said","three","#));
    let again: Value = serde_json::from_str(bob.text().strip_prefix("40").unwrap()).unwrap();
    assert_eq!(again, connected);
}
