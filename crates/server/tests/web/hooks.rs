//! Headers that the application adds, and refusals that it is told of, in every way a server is reached.

use std::sync::Arc;

use ::http::HeaderValue;
use parking_lot::Mutex;
use wirebird::Server;
use wirebird::engine::Cause;

use crate::http::Site;

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// F-NOD-19: `headers` and `initial_headers`, through the listener, the service and the layer.
#[tokio::test]
async fn headers_are_added_however_the_server_is_reached() {
    let io = Server::builder()
        .headers(|headers, _| {
            headers.insert("x-every", HeaderValue::from_static("1"));
        })
        .initial_headers(|headers, request| {
            let length = HeaderValue::from(request.headers.len());
            headers.insert("x-initial", length);
        })
        .build();
    for (way, site) in Site::each(&io).await {
        let open = site.get(POLLING).await;
        let session = format!("{POLLING}&sid={}", open.sid());
        for (what, response, initial) in [
            ("open", open, true),
            ("connect", site.request("POST", &session, &[], "40").await, false),
            ("poll", site.get(&session).await, false),
            ("refusal", site.get("/socket.io/?EIO=4").await, false),
            ("websocket", site.upgrade(WEBSOCKET, &[]).await, true),
        ] {
            assert_eq!(response.header("x-every"), Some("1"), "{what} by {way}: {response:?}");
            assert_eq!(response.header("x-initial").is_some(), initial, "{what} by {way}");
        }
        assert_eq!(site.get("/elsewhere").await.header("x-every"), None, "the rest is not the server's");
    }
}

/// F-NOD-19, F-ERR-09: what Node's `connection_error` says: code, message, context, and the request. A hook that
/// panics harms nobody.
#[tokio::test]
async fn refusals_are_told_however_the_server_is_reached() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = told.clone();
    let io = Server::builder()
        .allow_request(async |request| match request.header("authorization") {
            Some(_) => Ok(()),
            None => Err("who are you?".into()),
        })
        .on_connection_error(move |refusal| {
            let client = refusal.parts.headers.get("user-agent").unwrap().to_str().unwrap();
            let (code, message) = (refusal.code, refusal.message);
            seen.lock().push(format!("{client}: {code:?} {message}, {}", refusal.cause.name()));
            assert!(!matches!(refusal.cause, Cause::Forbidden(_)), "a hook that panics");
        })
        .build();
    for (way, site) in Site::each(&io).await {
        let agent = [("User-Agent", way)];
        let status = site.request("GET", "/socket.io/?EIO=4&transport=smoke", &agent, "").await.status;
        assert_eq!(status, 400);
        let status = site.request("GET", POLLING, &agent, "").await.status;
        assert_eq!(status, 403);
        assert_eq!(site.upgrade(&format!("{WEBSOCKET}&sid=nobody"), &agent).await.status, 400);
        assert_eq!(
            std::mem::take(&mut *told.lock()),
            [
                format!("{way}: Some(0) Transport unknown, unknown-transport"),
                format!("{way}: Some(4) who are you?, forbidden"),
                format!("{way}: Some(1) Session ID unknown, unknown-session"),
            ]
        );
    }
}
