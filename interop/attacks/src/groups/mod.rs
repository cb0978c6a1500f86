//! The cases, group by group.

mod bodies;
mod deflate;
mod engine;
mod http;
mod http2;
mod life;
mod old;
mod origins;
mod packed;
mod packets;
mod resources;
mod smuggling;
mod tls;
mod upgrade;
mod websocket;

use wirebird::Limit;

use crate::case::Case;

/// Cases of a kind.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) cases: Vec<Case>,
}

/// What the server's metrics call it afterwards.
const COUNTED: &[(&str, Limit)] = &[
    ("address-connections", Limit::ConnectionsPerAddress),
    ("address-sessions", Limit::ConnectionsPerAddress),
    ("arguments-10001", Limit::Arguments),
    ("attachments-11", Limit::Attachments),
    ("attachments-never", Limit::AttachmentTime),
    ("auth-large", Limit::Auth),
    ("body-chunked-too-large", Limit::Payload),
    ("body-declared-too-large", Limit::Payload),
    ("body-never", Limit::BodyTime),
    ("body-slow", Limit::BodyTime),
    ("body-too-large", Limit::Payload),
    ("bomb-text", Limit::Payload),
    ("events-wait", Limit::PendingEvents),
    ("first-nothing", Limit::UpgradeTime),
    ("fragments-100000", Limit::Fragments),
    ("fragments-over", Limit::Payload),
    ("frame-length-claimed", Limit::Payload),
    ("half-way", Limit::UpgradeTime),
    ("handshakes-in-a-second", Limit::HandshakeRate),
    ("head-idle", Limit::IdleTime),
    ("head-never", Limit::HeaderTime),
    ("head-nothing", Limit::HeaderTime),
    ("head-slow", Limit::HeaderTime),
    ("handshakes-abandoned", Limit::ConnectTime),
    ("heartbeat-silent-polling", Limit::PongTime),
    ("heartbeat-silent-websocket", Limit::PongTime),
    ("json-depth-65", Limit::Depth),
    ("name-long", Limit::EventName),
    ("namespace-long", Limit::NamespaceName),
    ("namespaces-200", Limit::DynamicNamespaces),
    ("nothing-joined", Limit::ConnectTime),
    ("overlap-polls", Limit::Overlap),
    ("overlap-posts", Limit::Overlap),
    ("questions-100000", Limit::PendingAcks),
    ("reader-never-polls", Limit::SendQueue),
    ("reader-slow", Limit::SendQueue),
    ("packed-arguments-900000", Limit::Arguments),
    ("packed-attachments-11", Limit::Attachments),
    ("packed-depth-100000", Limit::Depth),
    ("packed-depth-maps", Limit::Depth),
    ("rooms-100000", Limit::Rooms),
    ("tls-half-hello", Limit::TlsTime),
    ("tls-many", Limit::TlsTime),
    ("tls-nothing", Limit::TlsTime),
    ("tls-slow-hello", Limit::TlsTime),
];

pub(crate) fn all() -> Vec<Group> {
    let mut groups = groups();
    for case in groups.iter_mut().flat_map(|group| &mut group.cases) {
        case.limit = COUNTED.iter().find(|(name, _)| *name == case.name).map(|(_, limit)| *limit);
    }
    groups
}

fn groups() -> Vec<Group> {
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
        group("msgpack", packed::cases()),
        group("tls", tls::cases()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_names_of_one_case() {
        let groups = all();
        let cases: Vec<_> = groups.iter().flat_map(|group| &group.cases).collect();
        let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(COUNTED.iter().all(|(name, _)| names.contains(name)));
        let named = |text: &'static str| text.split('`').skip(1).step_by(2);
        let advisories = include_str!("../../README.md").split("## Advisories").nth(1).unwrap();
        for row in advisories.lines().filter(|line| line.starts_with('|')) {
            let in_cell = row.split('|').nth(3).unwrap_or_default();
            for name in named(in_cell) {
                assert!(names.contains(name), "{name}");
            }
        }
    }
}
