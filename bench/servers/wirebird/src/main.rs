//! Wirebird with the system's allocator.

fn main() -> std::io::Result<()> {
    bench_wirebird::main()
}
