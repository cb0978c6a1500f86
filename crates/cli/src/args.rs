//! The command line.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// The exit code of a command line that makes no sense.
const USAGE: u8 = 2;

/// Wirebird, a Socket.IO server.
#[derive(Debug, Parser)]
#[command(name = "wirebird", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a chat: open the page in two windows and talk to yourself
    #[command(after_help = "\
Examples:
  wirebird demo                   the chat on http://127.0.0.1:5000
  wirebird demo --port 0          on a free port, whichever it is
  wirebird demo --host 0.0.0.0    for phones and other machines in the same network

Add ?transports=polling or ?transports=websocket to the address of the page to try one transport alone.")]
    Demo(DemoArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Address to listen on; with 0.0.0.0 other machines can connect
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,

    /// Port to listen on; 0 takes a free one
    #[arg(long, short, default_value_t = 5000, value_parser = port)]
    pub(crate) port: u16,

    /// Seconds over which clients are sent away when the process is asked to end; a second signal ends it at once
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) drain: u32,

    /// Say on stderr what happens: connections, refusals, errors
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "a port is a number from 0 to 65535")
}

/// The arguments of this process. When there is nothing to run, what there is to say has been said, and the exit code
/// is returned.
pub(crate) fn parse() -> Result<Args, ExitCode> {
    Args::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody is left to be told when this fails.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            USAGE.into()
        }
        _ => {
            eprintln!("wirebird: {}", one_line(&error.to_string()));
            USAGE.into()
        }
    })
}

/// What clap says in several paragraphs, as one line: what is wrong, its tips, and where to read on.
fn one_line(message: &str) -> String {
    let said: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let said = said.join("; ");
    format!("{} (`wirebird --help` says more)", said.strip_prefix("error: ").unwrap_or(&said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(arguments: &[&str]) -> String {
        let command_line = std::iter::once(&"wirebird").chain(arguments);
        one_line(&Args::try_parse_from(command_line).expect_err("these make no sense").to_string())
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn the_demo_has_defaults() {
        let Command::Demo(demo) = Args::try_parse_from(["wirebird", "demo"]).unwrap().command;
        assert_eq!((&*demo.host, demo.port, demo.verbose, demo.drain), ("127.0.0.1", 5000, false, 0));
    }

    #[test]
    fn mistakes_are_explained_in_one_line() {
        for (arguments, expected) in [
            (&["demo", "--port", "70000"][..], "a port is a number from 0 to 65535"),
            (&["demo", "--prot", "1"], "'--port'"),
            (&["demo", "here"], "'here'"),
            (&["demo", "--drain", "soon"], "'soon'"),
            (&["dmeo"], "'demo'"),
        ] {
            let line = failure(arguments);
            assert!(line.contains(expected), "{line}");
            assert!(line.ends_with("(`wirebird --help` says more)") && !line.starts_with("error"), "{line}");
            assert!(!line.contains('\n') && !line.contains("Usage"), "{line}");
        }
    }
}
