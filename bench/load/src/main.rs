//! Many Socket.IO clients in two threads, far cheaper than any server: prebuilt frames, one `recv` and one `send` for
//! what comes and goes together, no allocation for a message. Prints one line of JSON.

mod args;
mod control;
mod histogram;
mod http;
mod modes;
mod net;
mod process;
mod report;
mod run;
mod template;
mod websocket;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match run::run(&args::Args::parse()) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-load: {error}");
            ExitCode::FAILURE
        }
    }
}
