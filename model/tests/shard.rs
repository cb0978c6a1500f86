//! The queue of a shard. It is in the library of this package, because it shares a file with the server.

#[test]
fn one_at_a_time_in_order() {
    wirebird_model::shard::one_at_a_time_in_order();
}
