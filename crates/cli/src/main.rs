//! The `wirebird` command.

mod args;
mod demo;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let result = match args.command {
        Command::Demo(options) => demo::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("wirebird: {message}");
            ExitCode::FAILURE
        }
    }
}
