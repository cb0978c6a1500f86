//! Handlers that wait until the target lets them go on.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use wirebird::extract::State;

#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Vec<oneshot::Sender<()>>>>);

pub async fn wait(State(waiting): State<Waiting>) {
    let (sender, receiver) = oneshot::channel();
    waiting.0.lock().unwrap().push(sender);
    let _ = receiver.await;
}

impl Waiting {
    /// Lets one of them go on.
    pub fn wake(&self, number: u8) {
        let sender = {
            let mut waiting = self.0.lock().unwrap();
            let count = waiting.len();
            (count > 0).then(|| waiting.swap_remove(usize::from(number) % count))
        };
        if let Some(sender) = sender {
            let _ = sender.send(());
        }
    }

    /// Drops the sender of one that waits, if one does. Its handler goes on meanwhile, and others may begin to wait.
    pub fn drop_one(&self) -> bool {
        let sender = self.0.lock().unwrap().pop();
        sender.is_some()
    }
}
