//! The handshake.

use std::time::Duration;

use serde::Serialize;

/// The data of an OPEN packet, which begins a session.
///
/// Source: the Engine.IO protocol, revision 4, section "Handshake".
#[derive(Clone, Copy, Debug)]
pub struct OpenPacket<'a> {
    /// The session id. It is a credential: whoever knows it can use the session.
    pub sid: &'a str,
    /// The transports to which the client may upgrade from the present one.
    pub upgrades: &'a [&'a str],
    /// Time between the heartbeats of the server.
    pub ping_interval: Duration,
    /// Time within which the client answers a heartbeat.
    pub ping_timeout: Duration,
    /// Bytes that one message or one polling body may have.
    pub max_payload: usize,
}

impl OpenPacket<'_> {
    /// The compact JSON text, without the type digit.
    ///
    /// Times are whole milliseconds, rounded up: half a second is `500`, and only no time at all is `0`.
    pub fn to_json(&self) -> String {
        let wire = Wire {
            sid: self.sid,
            upgrades: self.upgrades,
            ping_interval: milliseconds(self.ping_interval),
            ping_timeout: milliseconds(self.ping_timeout),
            max_payload: self.max_payload,
        };
        // Strings and numbers only: there is nothing in it that could fail.
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    sid: &'a str,
    upgrades: &'a [&'a str],
    ping_interval: u64,
    ping_timeout: u64,
    max_payload: usize,
}

fn milliseconds(duration: Duration) -> u64 {
    // Clients keep it in a double.
    const MAX: u128 = (1 << 53) - 1;
    u64::try_from(duration.as_nanos().div_ceil(1_000_000).min(MAX)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(ping_interval: Duration, ping_timeout: Duration) -> String {
        OpenPacket {
            sid: "7O_w46oQqMq5FpqZAAAA",
            upgrades: &["websocket"],
            ping_interval,
            ping_timeout,
            max_payload: 1_000_000,
        }
        .to_json()
    }

    #[test]
    fn defaults() {
        assert_eq!(
            open(Duration::from_secs(25), Duration::from_secs(20)),
            r#"{"sid":"7O_w46oQqMq5FpqZAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
    }

    #[test]
    fn short_times_do_not_become_zero() {
        let json = open(Duration::from_millis(500), Duration::from_micros(1));
        assert!(json.contains(r#""pingInterval":500,"pingTimeout":1,"#), "{json}");
        assert!(
            open(Duration::MAX, Duration::ZERO)
                .contains(r#""pingInterval":9007199254740991,"pingTimeout":0,"#)
        );
    }

    #[test]
    fn no_upgrades_and_odd_ids() {
        let open = OpenPacket {
            sid: "\"\\",
            upgrades: &[],
            ping_interval: Duration::from_secs(1),
            ping_timeout: Duration::from_secs(1),
            max_payload: 0,
        };
        assert!(open.to_json().starts_with(r#"{"sid":"\"\\","upgrades":[],"#));
    }
}
