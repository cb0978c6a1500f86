//! Several namespaces on one connection.

mod support;

use support::{Client, settle, sid};
use wirebird::extract::{Auth, Data};
use wirebird::{Error, Namespace, Server, Socket};

/// F-NSP-01: each namespace of a connection has an id, rooms, a session, credentials and handlers of its own, and ends by
/// itself.
#[tokio::test]
async fn namespaces_of_a_connection_have_nothing_in_common() {
    let io = Server::new();
    let namespaces = [io.of("/a"), io.of("/b")];
    for namespace in &namespaces {
        namespace.on_connect(async |socket: Socket, Auth(name): Auth<Option<serde_json::Value>>| {
            socket.session().insert(name.map_or_else(String::new, |name| name["name"].to_string()));
        });
        namespace.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room));
        namespace.on("who", async |socket: Socket, namespace: Namespace| {
            let rooms: Vec<_> = socket.rooms().iter().map(ToString::to_string).collect();
            Ok::<_, Error>((namespace.name().to_owned(), rooms.len(), socket.session().get::<String>()))
        });
    }
    namespaces[0].on("only a", async || "a");
    let client = Client::open(&io);
    let mut ids = vec![client.join("/").await];
    for name in ["a", "b"] {
        client.send(format!(r#"0/{name},{{"name":"{name}"}}"#));
        ids.push(sid(&client.next().await));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "three sockets");
    client.send(r#"2/a,0["join","room"]"#);
    assert_eq!(client.next().await, "3/a,0[]");
    for (name, rooms) in [("a", 2), ("b", 1)] {
        client.send(format!(r#"2/{name},1["who"]"#));
        assert_eq!(client.next().await, format!(r#"3/{name},1["/{name}",{rooms},"\"{name}\""]"#));
    }
    for namespace in ["/b", "/"] {
        let prefix = if namespace == "/" { String::new() } else { format!("{namespace},") };
        client.send(format!(r#"2{prefix}2["only a"]"#));
    }
    client.send(r#"2/a,2["only a"]"#);
    assert_eq!(client.next().await, r#"3/a,2["a"]"#);
    namespaces[0].emit("news", "a").unwrap();
    namespaces[1].to("room").emit("news", "b").unwrap();
    assert_eq!(client.next().await, r#"2/a,["news","a"]"#);
    client.send("1/a,");
    client.send(r#"2/b,3["who"]"#);
    assert_eq!(client.next().await, r#"3/b,3["/b",1,"\"b\""]"#);
    settle().await;
    assert_eq!((namespaces[0].socket_count(), namespaces[1].socket_count(), io.socket_count()), (0, 1, 1));
}

/// F-NSP-01: the default namespace is `/`, names get the slash that they lack, and a query that the client puts behind
/// the name is no part of it.
#[tokio::test]
async fn names_have_a_slash_and_no_query() {
    let io = Server::new();
    io.on("where", async |namespace: Namespace| namespace.name().to_owned());
    io.of("chat").on("where", async |namespace: Namespace| namespace.name().to_owned());
    assert_eq!((io.name(), io.of("").name(), io.of("chat").name()), ("/", "/", "/chat"));
    let client = Client::open(&io);
    client.send("0/chat?token=1,");
    assert!(client.next().await.starts_with(r#"0/chat,{"sid":"#));
    client.send(r#"2/chat?token=1,0["where"]"#);
    assert_eq!(client.next().await, r#"3/chat,0["/chat"]"#);
    client.join("/").await;
    assert_eq!(client.call(1, r#"["where"]"#).await, [r#"31["/"]"#]);
}
