//! What happens when handlers fail: `?` ends in the error handler, and so do panics and arguments that do not fit.
//! Neither ends the connection, nor disturbs anybody else.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Value, json};
use wirebird::extract::{Data, EventContext, State};
use wirebird::{Error, Server, Socket};
use wirebird_examples::listen;

/// An error of the application. Any type that implements `std::error::Error` will do.
#[derive(Debug)]
enum BankError {
    NoSuchAccount(String),
    Overdrawn { missing: u64 },
}

impl fmt::Display for BankError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchAccount(name) => write!(f, "there is no account {name:?}"),
            Self::Overdrawn { missing } => write!(f, "{missing} missing"),
        }
    }
}

impl std::error::Error for BankError {}

#[derive(Clone)]
struct Bank {
    accounts: HashMap<String, u64>,
}

impl Bank {
    fn withdraw(&self, name: &str, amount: u64) -> Result<u64, BankError> {
        let balance = self.accounts.get(name).ok_or_else(|| BankError::NoSuchAccount(name.into()))?;
        balance.checked_sub(amount).ok_or(BankError::Overdrawn { missing: amount.saturating_sub(*balance) })
    }
}

/// `?` turns errors of any kind into a `wirebird::Error`.
async fn withdraw(
    socket: Socket,
    State(bank): State<Bank>,
    Data((account, amount)): Data<(String, String)>,
) -> Result<Value, Error> {
    let amount = amount.parse()?;
    let left = bank.withdraw(&account, amount)?;
    socket.emit("money", amount)?;
    Ok(json!({ "left": left }))
}

/// A bug. The client that found it is told so, and everybody goes on.
async fn audit(Data(page): Data<usize>) -> &'static str {
    ["page one", "page two"][page]
}

/// The one place where errors end. What it returns is the acknowledgement of the event that failed.
async fn report(error: Error, event: EventContext) -> Value {
    let bank: Option<&BankError> = error.downcast_ref();
    if error.is_panic() {
        eprintln!("{} of {} has a bug: {error}", event.event(), event.socket().id());
        json!({ "error": "internal error" })
    } else if error.is_bad_arguments() {
        json!({ "error": "bad request", "details": error.to_string() })
    } else if let Some(BankError::Overdrawn { missing }) = bank {
        json!({ "error": "overdrawn", "missing": missing })
    } else {
        json!({ "error": error.to_string() })
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let bank = Bank { accounts: HashMap::from([("ann".into(), 100)]) };
    let io = Server::builder().state(bank).build();
    io.on("withdraw", withdraw);
    io.on("audit", audit);
    io.on_error(report);

    // A namespace can have an error handler of its own.
    let quiet = io.of("/quiet");
    quiet.on("audit", audit);
    quiet.on_error(async |_: Error| "something went wrong");

    io.serve_listener(listen().await?).await
}
