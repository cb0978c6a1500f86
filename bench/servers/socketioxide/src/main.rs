//! socketioxide with the system's allocator.

fn main() -> std::io::Result<()> {
    bench_socketioxide::main()
}
