//! The cases, group by group.

mod bodies;
mod deflate;
mod engine;
mod http;
mod http2;
mod life;
mod old;
mod origins;
mod packets;
mod resources;
mod smuggling;
mod upgrade;
mod websocket;

use crate::case::Case;

/// Cases of a kind.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) cases: Vec<Case>,
}

pub(crate) fn all() -> Vec<Group> {
    let group = |name, cases| Group { name, cases };
    vec![
        group("http", http::cases()),
        group("smuggling", smuggling::cases()),
        group("bodies", bodies::cases()),
        group("http2", http2::cases()),
        group("engine.io", engine::cases()),
        group("upgrade", upgrade::cases()),
        group("websocket", websocket::cases()),
        group("deflate", deflate::cases()),
        group("socket.io", packets::cases()),
        group("life", life::cases()),
        group("resources", resources::cases()),
        group("old", old::cases()),
        group("origins", origins::cases()),
    ]
}
