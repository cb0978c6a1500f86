//! The namespace `/admin`: counts every second, announcements, and the door.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::interval;
use wirebird::extract::{Auth, Data};
use wirebird::{ConnectError, EmitError, Error, Namespace, Socket};

use crate::people::People;
use crate::{Refused, tabs_of};

pub(crate) struct Admin {
    pub(crate) token: String,
    pub(crate) people: People,
    /// Where everybody is.
    pub(crate) all: Namespace,
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

#[wirebird::namespace]
impl Admin {
    async fn on_connect(&self, socket: Socket, Auth(login): Auth<Login>) -> Result<(), ConnectError> {
        if login.token != self.token {
            return Err(ConnectError::new("wrong token"));
        }
        socket.spawn(show_counts(socket.clone(), self.people.clone()));
        Ok(())
    }

    async fn on_announce(&self, Data(text): Data<String>) -> Result<(), Error> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > 500 {
            return Err(Refused("an announcement has 1 to 500 characters").into());
        }
        Ok(self.all.emit("announcement", text)?)
    }

    /// Disconnects all tabs of a person; acknowledged with their number.
    async fn on_disconnect_user(&self, Data(name): Data<String>) -> Result<usize, Refused> {
        let tabs = self.all.to(tabs_of(&name));
        let count = tabs.count();
        tabs.disconnect();
        if count == 0 { Err(Refused("nobody of that name is here")) } else { Ok(count) }
    }
}

async fn show_counts(admin: Socket, people: People) -> Result<(), EmitError> {
    let mut second = interval(Duration::from_secs(1));
    let mut shown = None;
    loop {
        second.tick().await;
        let counts = Some(people.counts());
        if counts != shown {
            admin.emit("counts", &counts)?;
            shown = counts;
        }
    }
}
