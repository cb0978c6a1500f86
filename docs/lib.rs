//! The chapters of the guide, as documentation tests.

/// Runs a sample: in one thread, on a clock that stands still except while nothing else is left to do.
///
/// # Panics
/// When the sample fails.
pub fn run(sample: impl Future<Output = Result<(), wirebird::Error>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let result = runtime.expect("a runtime").block_on(sample);
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// The code of these chapters is compiled and run.
macro_rules! chapters {
    ($($name:ident $file:literal)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!($file)]
        mod $name {}
    )*};
}

chapters! {
    acknowledgements "src/acknowledgements.md"
    authentication "src/authentication.md"
    background_tasks "src/background-tasks.md"
    broadcasting "src/broadcasting.md"
    catch_all "src/catch-all.md"
    compatibility "src/compatibility.md"
    compression "src/compression.md"
    concurrency "src/concurrency.md"
    connections "src/connections.md"
    cors "src/cors.md"
    debugging "src/debugging.md"
    deployment "src/deployment.md"
    disconnection "src/disconnection.md"
    errors "src/errors.md"
    event_layers "src/event-layers.md"
    frameworks "src/frameworks.md"
    from_node "src/from-node.md"
    from_socketioxide "src/from-socketioxide.md"
    getting_started "src/getting-started.md"
    http "src/http.md"
    introduction "src/introduction.md"
    limits "src/limits.md"
    metrics "src/metrics.md"
    namespaces "src/namespaces.md"
    parsers "src/parsers.md"
    receiving "src/receiving.md"
    recipes "src/recipes.md"
    recovery "src/recovery.md"
    rooms "src/rooms.md"
    scaling "src/scaling.md"
    sending "src/sending.md"
    sessions "src/sessions.md"
    static_files "src/static-files.md"
    testing "src/testing.md"
    webtransport "src/webtransport.md"
}
