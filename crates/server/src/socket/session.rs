//! The session of a socket: what the application keeps for it, one value of each type.

use std::any::TypeId;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedMutexGuard;
use wirebird_engine::thread_token;

use super::SocketInner;

/// The values that the application keeps for a socket, one of each type.
///
/// They are there from the connect handler to the disconnect handler, and gone afterwards.
///
/// Whoever reads a value gets a clone, and [`update`](Self::update) changes one. What cannot be cloned, or is dear to clone
/// (a connection, a buffer), is kept in an `Arc`, behind a lock if it changes: `Arc<Mutex<Upload>>`. It is dropped with the
/// session.
#[derive(Debug, Clone)]
pub struct SocketSession(pub(super) Arc<SocketInner>);

impl SocketSession {
    /// Keeps a value; returns the one of that type kept before. Does nothing when the socket is gone.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.insert_shared(Arc::new(value)).map(Arc::unwrap_or_clone)
    }

    fn insert_shared<T: Clone + Send + Sync + 'static>(&self, value: Arc<T>) -> Option<Arc<T>> {
        self.0.keep(|kept| kept.values.insert(value)).flatten()
    }

    /// A copy of the value of a type. Keep an `Arc` if copies are dear.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.get_shared().map(Arc::unwrap_or_clone)
    }

    fn get_shared<T: Clone + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.kept(|kept| kept.values.get::<Arc<T>>().cloned())
    }

    /// Whether there is a value of a type.
    pub fn contains<T: Clone + Send + Sync + 'static>(&self) -> bool {
        self.get_shared::<T>().is_some()
    }

    /// Removes the value of a type.
    pub fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let value = self.0.keep(|kept| kept.values.remove::<Arc<T>>()).flatten();
        value.map(Arc::unwrap_or_clone)
    }

    /// Changes the value of a type, or the default if there is none, and keeps it. Updates of one socket's session
    /// exclude each other; reads meanwhile see the value from before. The change must not wait for an update of another
    /// socket's session.
    ///
    /// # Panics
    /// When it is called from inside an update of the same socket's session.
    pub fn update<T, R>(&self, change: impl FnOnce(&mut T) -> R) -> R
    where
        T: Clone + Default + Send + Sync + 'static,
    {
        let turn = self.0.update_turn();
        let mut value: T = self.get().unwrap_or_default();
        let result = change(&mut value);
        self.insert(value);
        drop(turn);
        result
    }

    /// Holds the value of a type, or the default if there is none, for changes that wait in between: nobody else gets
    /// hold of the session's value of that type meanwhile. It is kept when the guard is dropped, also by an error or a
    /// panic. Reads meanwhile see the value from before.
    ///
    /// Values that are changed so should be changed so everywhere: [`SocketSession::update`] and
    /// [`SocketSession::insert`] do not wait for the guard, and what they do meanwhile is replaced by what it keeps (a
    /// warning is logged).
    ///
    /// ```
    /// # async fn f(socket: wirebird::Socket) -> Result<(), wirebird::Error> {
    /// #[derive(Clone, Default)]
    /// struct Score(u32);
    ///
    /// let mut score = socket.session().lock::<Score>().await;
    /// score.0 += socket.emit_with_ack::<u32>("how many?", ()).await?;
    /// # Ok(()) }
    /// ```
    pub async fn lock<T>(&self) -> SessionGuard<T>
    where
        T: Clone + Default + Send + Sync + 'static,
    {
        let turn = self.0.keep(|kept| {
            let id = TypeId::of::<T>();
            if let Some((_, turn)) = kept.turns.iter().find(|(other, _)| *other == id) {
                return turn.clone();
            }
            let turn = Arc::default();
            kept.turns.push((id, Arc::clone(&turn)));
            turn
        });
        // A socket that is gone has no value to hold; whoever asks gets one to throw away.
        let turn = turn.unwrap_or_default().lock_owned().await;
        let before = self.get_shared::<T>();
        let value = before.clone().unwrap_or_default();
        SessionGuard { session: self.clone(), before, value, _turn: turn }
    }
}

/// A value of a socket's session that nobody else holds; made by [`SocketSession::lock`].
pub struct SessionGuard<T: Clone + Send + Sync + 'static> {
    session: SocketSession,
    before: Option<Arc<T>>,
    value: Arc<T>,
    _turn: OwnedMutexGuard<()>,
}

impl<T: Clone + Send + Sync + 'static> Deref for SessionGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone + Send + Sync + 'static> DerefMut for SessionGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.value)
    }
}

impl<T: Clone + Send + Sync + 'static> Drop for SessionGuard<T> {
    fn drop(&mut self) {
        if self.before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &self.value)) {
            return;
        }
        let replaced = self.session.insert_shared(self.value.clone());
        if replaced.as_ref().map(Arc::as_ptr) != self.before.as_ref().map(Arc::as_ptr) && replaced.is_some() {
            tracing::warn!(
                target: "wirebird::socketio",
                nsp = %self.session.0.namespace.name, value = std::any::type_name::<T>(),
                "a session's value was changed while it was locked; that change is lost"
            );
        }
    }
}

impl<T: fmt::Debug + Clone + Send + Sync + 'static> fmt::Debug for SessionGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl SocketInner {
    fn update_turn(&self) -> UpdateTurn<'_> {
        let me = thread_token();
        assert!(
            self.updating_thread.load(Ordering::Relaxed) != me,
            "an update of a session inside an update of the same session"
        );
        let guard = self.updating.lock();
        self.updating_thread.store(me, Ordering::Relaxed);
        UpdateTurn { socket: self, _guard: guard }
    }
}

/// Held while one thread updates a session.
struct UpdateTurn<'a> {
    socket: &'a SocketInner,
    _guard: parking_lot::MutexGuard<'a, ()>,
}

impl Drop for UpdateTurn<'_> {
    fn drop(&mut self) {
        self.socket.updating_thread.store(0, Ordering::Relaxed);
    }
}
