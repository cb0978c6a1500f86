//! What the tests of this package have in common.

pub mod shard;

/// Runs a test with many orders of its threads: `WIREBIRD_MODEL` says how many, 300 by default. Half of them are at
/// random, half change the order at a few places alone, which finds what needs a particular one.
pub fn try_orders(test: impl Fn() + Send + Sync + Clone + 'static) {
    let orders = std::env::var("WIREBIRD_MODEL").map_or(300, |orders| orders.parse().expect("a number"));
    shuttle::check_random(test.clone(), orders / 2);
    shuttle::check_pct(test, orders / 2, 3);
}
