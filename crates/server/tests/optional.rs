//! Arguments that may be missing, the server as an argument, credentials that a handler cannot take.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use wirebird::extract::{Auth, Data, Extension, Path, Session, State};
use wirebird::testing::{TestClient, settle};
use wirebird::{
    AckSender, AuthError, Concurrency, ConnectError, Error, EventHandlerExt, NamedHandler, Server, Socket,
    Value,
};

#[derive(Clone)]
struct User(&'static str);

#[derive(Deserialize)]
struct Login {
    token: String,
}

type R = Result<(), Error>;

/// F-CTX-01, F-CTX-03: each kind of handler can take the server, and reach all of it. Handlers that do are no reason for
/// the server to stay.
#[tokio::test(start_paused = true)]
async fn handlers_take_the_server() -> R {
    let token = Arc::new(());
    let io = Server::builder().state(token.clone()).build();
    io.of("/news").on_connect(async || ());
    io.on_connect(async |server: Server| server.of("/news").emit("connected", ()));
    io.on("say", async |server: Server, Data(text): Data<String>| server.of("/news").emit("said", text));
    io.on_disconnect(async |server: Server| server.of("/news").emit("disconnected", ()));
    let reader = TestClient::connect(&io).namespace("/news").await?;
    let writer = TestClient::connect(&io).await?;
    writer.emit("say", "hello")?;
    writer.disconnect()?;
    for event in ["connected", "said", "disconnected"] {
        reader.expect(event).await?;
    }
    drop((reader, writer, io));
    settle().await;
    assert_eq!(Arc::strong_count(&token), 1);
    Ok(())
}

/// F-CTX-01, F-SES-05: what may be missing is taken as an `Option`, in handlers of every kind.
#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_none() -> R {
    async fn who(
        session: Option<Session<User>>,
        extension: Option<Extension<User>>,
        state: Option<State<User>>,
        path: Option<Path<u32>>,
        auth: Option<Auth<Value>>,
    ) -> (Option<&'static str>, Option<&'static str>, Option<&'static str>, Option<u32>, bool) {
        let name = |user: User| user.0;
        (
            session.map(|Session(user)| name(user)),
            extension.map(|Extension(user)| name(user)),
            state.map(|State(user)| name(user)),
            path.map(|Path(number)| number),
            auth.is_some(),
        )
    }
    type Answer = (Option<String>, Option<String>, Option<String>, Option<u32>, bool);
    let bare = Server::new();
    bare.on_connect(async |session: Option<Session<User>>| session.is_none());
    bare.on("who", who);
    let client = TestClient::connect(&bare).await?;
    assert_eq!(client.emit_with_ack::<Answer>("who", ()).await?, (None, None, None, None, false));

    let full = Server::builder().state(User("state")).build();
    full.of_pattern("/room-{number}")
        .on_connect(async |socket: Socket, extension: Option<Extension<User>>| {
            socket.session().insert(User("session"));
            extension.is_some()
        })
        .on("who", who);
    let client =
        TestClient::connect(&full).namespace("/room-7").auth(json!({})).extension(User("request")).await?;
    let some = |text: &str| Some(text.to_owned());
    let answer: Answer = client.emit_with_ack("who", ()).await?;
    assert_eq!(answer, (some("session"), some("request"), some("state"), Some(7), true));
    Ok(())
}

/// F-ARG-02, F-ARG-07: data may be missing as a whole; what is there has to fit.
#[tokio::test(start_paused = true)]
async fn missing_data_is_none_and_strange_data_an_error() -> R {
    let io = Server::builder().strict_arguments(true).build();
    io.on("one", async |text: Option<Data<String>>| text.map(|Data(text)| text));
    io.on("two", async |pair: Option<Data<(String, u8)>>| {
        pair.map(|Data((text, number))| format!("{text}{number}"))
    });
    io.on_error(async |error: Error| error.is_bad_arguments());
    let client = TestClient::connect(&io).await?;
    assert_eq!(client.emit_with_ack::<Option<String>>("one", ()).await?, None);
    assert_eq!(client.emit_with_ack::<Option<String>>("one", None::<u8>).await?, None);
    assert_eq!(client.emit_with_ack::<Option<String>>("one", "x").await?.as_deref(), Some("x"));
    assert_eq!(client.emit_with_ack::<Option<String>>("two", ("x", 1)).await?.as_deref(), Some("x1"));
    assert_eq!(client.emit_with_ack::<Option<String>>("two", ()).await?, None);
    for (event, data) in [("one", json!(7)), ("two", json!("only one")), ("two", json!({}))] {
        assert!(client.emit_with_ack::<bool>(event, &data).await?, "{event} {data}");
    }
    Ok(())
}

/// F-ACK-05: an acknowledgement can be taken over only where one is wanted.
#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_nobody_wants_is_none() -> R {
    let io = Server::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    io.on("ask", {
        let seen = seen.clone();
        move |ack: Option<AckSender>| {
            seen.lock().push(ack.is_some());
            async move { ack.map_or(Ok(()), |ack| ack.send("answer")) }
        }
    });
    let client = TestClient::connect(&io).await?;
    client.emit("ask", ())?;
    assert_eq!(client.emit_with_ack::<String>("ask", ()).await?, "answer");
    assert_eq!(*seen.lock(), [false, true]);
    Ok(())
}

/// F-CON-02, F-CON-07: credentials of another shape refuse the client with the general message; the error says so and quotes
/// nothing of them.
#[tokio::test(start_paused = true)]
async fn strange_credentials_are_recognised() -> R {
    let io = Server::new();
    let errors = Arc::new(Mutex::new(Vec::new()));
    io.on_connect(async |Auth(login): Auth<Login>| login.token == "secret");
    io.on_error({
        let errors = errors.clone();
        move |error: Error| {
            let missing = error.downcast_ref::<AuthError>().map(AuthError::is_missing);
            errors.lock().push((error.is_bad_auth(), error.is_bad_arguments(), missing, error.to_string()));
            async {}
        }
    });
    let refusal = async |auth: Option<serde_json::Value>| {
        let client = TestClient::connect(&io);
        let client = if let Some(auth) = auth { client.auth(auth).await } else { client.await };
        client.unwrap_err().refusal().unwrap().message().to_owned()
    };
    assert_eq!(refusal(None).await, "Connection rejected by server");
    for auth in [json!({"token": 12345}), json!({"password": "hunter2"})] {
        assert_eq!(refusal(Some(auth)).await, "Connection rejected by server");
    }
    assert_eq!(refusal(Some(json!({"token": "wrong"}))).await, "Connection rejected by server");
    let errors = std::mem::take(&mut *errors.lock());
    assert_eq!(
        errors.iter().map(|error| error.2).collect::<Vec<_>>(),
        [Some(true), Some(false), Some(false)]
    );
    assert!(errors.iter().all(|error| error.0 && !error.1), "{errors:?}");
    let texts: String = errors.into_iter().map(|error| error.3).collect();
    assert!(!texts.contains("hunter2") && !texts.contains("12345"), "{texts}");
    TestClient::connect(&io).auth(json!({"token": "secret"})).await?;
    Ok(())
}

/// F-CON-02: absent credentials are none; others have to fit.
#[tokio::test(start_paused = true)]
async fn credentials_may_be_missing() -> R {
    let io = Server::new();
    io.on_connect(async |login: Option<Auth<Login>>| match login {
        Some(Auth(login)) => Err(ConnectError::new(login.token)),
        None => Ok(()),
    });
    TestClient::connect(&io).await?;
    let refused = TestClient::connect(&io).auth(json!({"token": "t"})).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().message(), "t");
    let refused = TestClient::connect(&io).auth(json!({"token": 1})).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().message(), "Connection rejected by server");
    Ok(())
}

#[wirebird::event("the number")]
async fn the_number(Data(the_number): Data<u8>) -> u8 {
    the_number
}

/// F-EVT-02: a function that is named for its event keeps the name with options.
#[tokio::test(start_paused = true)]
async fn options_leave_a_handler_its_name() -> R {
    fn name<M, H: NamedHandler<M>>(_: &H) -> &'static str {
        H::EVENT
    }
    let strict = the_number.strict().concurrency(Concurrency::Concurrent(2));
    assert_eq!(name(&strict), "the number");
    let io = Server::new();
    io.add(strict);
    io.of("/other").add(the_number);
    io.on_error(async |error: Error| error.is_bad_arguments());
    let client = TestClient::connect(&io).await?;
    assert_eq!(client.emit_with_ack::<u8>("the number", 7).await?, 7);
    assert!(client.emit_with_ack::<bool>("the number", (7, 8)).await?);
    assert_eq!(client.of("/other").await?.emit_with_ack::<u8>("the number", (7, 8)).await?, 7);
    Ok(())
}

/// F-ERR-07: a handler that can only fail is a handler, such as one that is still to be written.
#[tokio::test(start_paused = true)]
async fn a_handler_that_never_returns_is_a_handler() -> R {
    let io = Server::new();
    io.on("later", async |Data(_): Data<String>| panic!("to be written"));
    io.on_error(async |error: Error| error.is_panic());
    let client = TestClient::connect(&io).await?;
    assert!(client.emit_with_ack::<bool>("later", "x").await?);
    Ok(())
}
