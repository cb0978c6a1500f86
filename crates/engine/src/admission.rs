//! How many may come in: connections and sessions at once, of all and of one address, and sessions in a second. What has
//! no limit is not counted.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::config::Config;
use crate::engine::Shared;
use crate::handshake::Handshake;
use crate::limit::Limit;
use crate::refusal::Cause;
use crate::timer::Millis;

#[derive(Debug, Default)]
pub(crate) struct Admission {
    connections: AtomicUsize,
    /// Those that have something at present.
    addresses: Mutex<HashMap<IpAddr, Count>>,
    bucket: Mutex<Bucket>,
}

/// What one address has.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    connections: usize,
    sessions: usize,
}

/// Sessions that may be opened now, in thousandths; a second's worth at most.
#[derive(Debug, Default)]
struct Bucket {
    thousandths: u64,
    /// When it was looked at last; `None` before the first time, when it is full.
    at: Option<Millis>,
}

/// A connection that is counted, until this is dropped. Requests carry it in their extensions to whoever takes the
/// connection over.
#[derive(Clone)]
pub(crate) struct Permit(#[expect(dead_code, reason = "it is there to be dropped")] Arc<Counted>);

struct Counted {
    shared: Arc<Shared>,
    address: Option<IpAddr>,
}

impl Admission {
    /// A connection has been accepted. `None` when nothing limits connections.
    ///
    /// # Errors
    /// The limit that it is beyond.
    pub(crate) fn connect(shared: &Arc<Shared>, peer: SocketAddr) -> Result<Option<Permit>, Limit> {
        let (config, this) = (&shared.config, &shared.admission);
        let per_address =
            config.max_connections_per_address.filter(|_| !config.trusted_proxies.trusts(Some(peer)));
        if config.max_connections.is_none() && per_address.is_none() {
            return Ok(None);
        }
        let before = this.connections.fetch_add(1, Ordering::Relaxed);
        let mut counted = Counted { shared: shared.clone(), address: None };
        if config.max_connections.is_some_and(|max| before >= max) {
            return Err(Limit::Connections);
        }
        if let Some(max) = per_address {
            let address = network(peer.ip());
            let mut addresses = this.addresses.lock();
            let count = addresses.entry(address).or_default();
            if count.connections >= max {
                drop(addresses);
                return Err(Limit::ConnectionsPerAddress);
            }
            count.connections += 1;
            counted.address = Some(address);
        }
        Ok(Some(Permit(Arc::new(counted))))
    }

    /// Somebody asks for a session.
    ///
    /// # Errors
    /// The limit that it is beyond.
    pub(crate) fn ask(&self, config: &Config, handshake: &Handshake, now: Millis) -> Result<(), Cause> {
        if self.is_full_for(config, handshake.peer_addr()) {
            return Err(Cause::AddressFull);
        }
        match config.handshake_rate {
            Some(rate) if !self.bucket.lock().take(rate, now) => Err(Cause::TooFast),
            _ => Ok(()),
        }
    }

    /// Whether an address has as many sessions as it may have.
    pub(crate) fn is_full_for(&self, config: &Config, peer: Option<SocketAddr>) -> bool {
        let (Some(max), Some(peer)) = (config.max_connections_per_address, peer) else { return false };
        self.addresses.lock().get(&network(peer.ip())).is_some_and(|count| count.sessions >= max)
    }

    /// A session is opened; `false` when its address has too many.
    pub(crate) fn enter(&self, config: &Config, handshake: &Handshake) -> bool {
        let (Some(max), Some(peer)) = (config.max_connections_per_address, handshake.peer_addr()) else {
            return true;
        };
        let mut addresses = self.addresses.lock();
        let count = addresses.entry(network(peer.ip())).or_default();
        let room = count.sessions < max;
        count.sessions += usize::from(room);
        room
    }

    /// A session that has entered is gone.
    pub(crate) fn leave(&self, config: &Config, handshake: &Handshake) {
        if let (Some(_), Some(peer)) = (config.max_connections_per_address, handshake.peer_addr()) {
            self.uncount(network(peer.ip()), |count| count.sessions -= 1);
        }
    }

    fn uncount(&self, address: IpAddr, less: impl FnOnce(&mut Count)) {
        let mut addresses = self.addresses.lock();
        let Some(count) = addresses.get_mut(&address) else { return };
        less(count);
        if count.connections == 0 && count.sessions == 0 {
            addresses.remove(&address);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let admission = &self.shared.admission;
        admission.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            admission.uncount(address, |count| count.connections -= 1);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl Bucket {
    fn take(&mut self, rate: u32, now: Millis) -> bool {
        let rate = u64::from(rate);
        let full = rate * 1000;
        let came = self.at.map_or(full, |at| now.saturating_sub(at).saturating_mul(rate));
        self.thousandths = self.thousandths.saturating_add(came).min(full);
        self.at = Some(now);
        let enough = self.thousandths >= 1000;
        if enough {
            self.thousandths -= 1000;
        }
        enough
    }
}

/// What counts as one address: whoever has an address of IPv6 has all of its network.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn a_rate_allows_a_seconds_worth_at_once_and_then_as_many_in_each() {
        let mut bucket = Bucket::default();
        let mut taken = |now: Millis| (0..100).filter(|_| bucket.take(10, now)).count();
        assert_eq!(taken(5_000), 10);
        assert_eq!(taken(5_050), 0);
        assert_eq!(taken(5_100), 1);
        assert_eq!(taken(5_600), 5);
        assert_eq!(taken(60_000), 10);
    }
}
