//! Questions to the other servers of the cluster that have not been answered in full.

use std::collections::{BTreeMap, HashSet};
use std::sync::Weak;
use std::time::Duration;

use bytestring::ByteString;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use wirebird_engine::{Limit, Millis};
use wirebird_proto::socket_io::RawArgs;

use crate::acks::AckResult;
use crate::adapter::{Operation, ReplyTo};
use crate::core::Core;
use crate::error::{AckError, Incomplete};
use crate::id::SocketId;
use crate::options::millis;
use crate::snapshot::SocketSnapshot;

/// Servers that are heard to one question when nobody knows how many there are.
const MAX_SERVERS: usize = 1024;
/// Answers are passed on without the lock: whoever waits for them may go on in the thread that brings them.
pub(crate) struct Questions {
    /// How many may be open.
    max: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Box<Question>>,
    /// When the timer entry that counts fires.
    timer: Option<Millis>,
    closed: bool,
}

/// Whoever asked knows by the end of its channel that there are no more answers.
pub(crate) struct Question {
    /// How many servers are to answer, if that is known.
    servers: Option<usize>,
    heard: HashSet<ByteString>,
    /// Sockets that were asked and have not answered.
    waiting: HashSet<SocketId>,
    deadline: Option<Millis>,
    answers: Answers,
}

/// What is to be answered, and where it goes.
pub(crate) enum Answers {
    /// What sockets acknowledge. `only` is the one that was asked, if it was one by its id.
    Acks { only: Option<SocketId>, sender: UnboundedSender<(SocketId, AckResult)> },
    /// One answer of each server.
    Servers(UnboundedSender<Answer>),
}

/// What a server answers.
pub(crate) enum Answer {
    Sockets(Vec<SocketSnapshot>),
    Value(Option<RawArgs>),
}

/// An open question; when this is dropped nobody wants the answers any more.
#[derive(Debug)]
pub(crate) struct Asked {
    core: Weak<Core>,
    pub(crate) reply_to: ReplyTo,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            let forgotten = core.questions.table.lock().open.remove(&self.reply_to.id);
            drop(forgotten);
        }
    }
}

impl Core {
    /// Keeps a question to so many servers, if their number is known, for as long as what is returned; `None` when there
    /// are too many questions, or the server has closed.
    pub(crate) fn ask(
        &self,
        servers: Option<usize>,
        answers: Answers,
        timeout: Option<Millis>,
    ) -> Option<Asked> {
        let engine = self.engine()?;
        // There may be no client yet, and time has to pass.
        engine.attach_runtime();
        let deadline = timeout.map(|timeout| engine.now() + timeout);
        let (heard, waiting) = (HashSet::new(), HashSet::new());
        let question = Box::new(Question { servers, heard, waiting, deadline, answers });
        let (id, timer) = match self.questions.open(question) {
            Ok(opened) => opened,
            Err(question) => {
                engine.count_limit(Limit::Questions, None);
                question.give_up(|| AckError::TooMany);
                return None;
            }
        };
        if let Some(at) = timer {
            engine.schedule(at, self.weak(), 0);
        }
        let reply_to = ReplyTo { server: self.server_id().clone(), id };
        Some(Asked { core: self.weak(), reply_to })
    }

    /// Publishes a question to all other servers, and gives their answers when all have answered or time is up.
    pub(crate) async fn ask_servers(
        &self,
        timeout: Duration,
        question: impl FnOnce(ReplyTo) -> Operation,
    ) -> Result<Vec<Answer>, Incomplete<Answer>> {
        let servers = self.others();
        if servers == Some(0) {
            return Ok(Vec::new());
        }
        let (sender, mut receiver) = unbounded_channel();
        let mut answers = Vec::new();
        if let Some(asked) = self.ask(servers, Answers::Servers(sender), Some(millis(timeout))) {
            self.publish(question(asked.reply_to.clone()));
            while let Some(answer) = receiver.recv().await {
                answers.push(answer);
            }
        }
        match servers {
            Some(servers) if answers.len() < servers => {
                Err(Incomplete { answered: answers.len(), servers, answers })
            }
            _ => Ok(answers),
        }
    }
}

impl Question {
    /// The limit that it runs into when the answers do not come in time.
    pub(crate) fn limit(&self) -> Limit {
        match self.answers {
            Answers::Acks { .. } => Limit::AckTime,
            Answers::Servers(_) => Limit::ClusterTime,
        }
    }
}

impl Questions {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, table: Mutex::default() }
    }

    /// Keeps a question; returns its number, and the time at which a timer is needed if none is running early enough.
    fn open(&self, question: Box<Question>) -> Result<(u64, Option<Millis>), Box<Question>> {
        let mut table = self.table.lock();
        if table.closed || table.open.len() >= self.max {
            return Err(question);
        }
        let id = table.next;
        table.next += 1;
        let timer = question.deadline.filter(|deadline| table.timer.is_none_or(|timer| *deadline < timer));
        if timer.is_some() {
            table.timer = timer;
        }
        table.open.insert(id, question);
        Ok((id, timer))
    }

    /// A server has asked these sockets.
    pub(crate) fn addressed(&self, id: u64, server: ByteString, sockets: Vec<SocketId>) {
        let done = {
            let mut table = self.table.lock();
            let Some(question) = table.open.get_mut(&id) else { return };
            if !matches!(question.answers, Answers::Acks { .. }) || !question.hears(server) {
                return;
            }
            question.waiting.extend(sockets);
            table.close_if_answered(id)
        };
        drop(done);
    }

    /// A socket of another server has acknowledged something, or will not.
    pub(crate) fn acknowledged(&self, id: u64, socket: SocketId, result: AckResult) {
        let (sender, done) = {
            let mut table = self.table.lock();
            let Some(question) = table.open.get_mut(&id) else { return };
            let was_asked = question.waiting.remove(&socket);
            let Answers::Acks { only, sender } = &mut question.answers else { return };
            let is_only = *only == Some(socket);
            if !was_asked && !is_only {
                return;
            }
            let sender = sender.clone();
            let done = if is_only { table.open.remove(&id) } else { table.close_if_answered(id) };
            (sender, done)
        };
        let _ = sender.send((socket, result));
        drop(done);
    }

    /// A server has answered.
    pub(crate) fn answered(&self, id: u64, server: ByteString, answer: Answer) {
        let (sender, done) = {
            let mut table = self.table.lock();
            let Some(question) = table.open.get_mut(&id) else { return };
            let Answers::Servers(sender) = &question.answers else { return };
            let sender = sender.clone();
            if !question.hears(server) {
                return;
            }
            (sender, table.close_if_answered(id))
        };
        let _ = sender.send(answer);
        drop(done);
    }

    /// The questions whose time is up, and when to look again.
    pub(crate) fn expire(&self, now: Millis) -> (Vec<Question>, Option<Millis>) {
        let mut table = self.table.lock();
        if table.timer.is_none_or(|timer| timer > now) {
            return (Vec::new(), None);
        }
        let is_due = |question: &Question| question.deadline.is_some_and(|deadline| deadline <= now);
        let ids: Vec<u64> =
            table.open.iter().filter(|(_, question)| is_due(question)).map(|(id, _)| *id).collect();
        let due = ids.iter().filter_map(|id| table.open.remove(id)).map(|due| *due).collect();
        table.timer = table.open.values().filter_map(|question| question.deadline).min();
        (due, table.timer)
    }

    /// Ends all questions; no more can be asked.
    pub(crate) fn close(&self) {
        let open = {
            let mut table = self.table.lock();
            table.closed = true;
            std::mem::take(&mut table.open)
        };
        open.into_values().for_each(|question| question.give_up(|| AckError::Disconnected));
    }
}

impl Table {
    /// Takes a question out when it has been answered in full.
    fn close_if_answered(&mut self, id: u64) -> Option<Box<Question>> {
        let answered = self.open.get(&id)?.is_answered();
        if answered { self.open.remove(&id) } else { None }
    }
}

impl Question {
    fn is_answered(&self) -> bool {
        self.servers.is_some_and(|servers| self.heard.len() >= servers) && self.waiting.is_empty()
    }

    /// Whether a server's answer counts: its first one, if no more servers have answered than there are.
    fn hears(&mut self, server: ByteString) -> bool {
        self.heard.len() < self.servers.unwrap_or(MAX_SERVERS) && self.heard.insert(server)
    }

    /// Tells why sockets have not answered.
    pub(crate) fn give_up(self, error: impl Fn() -> AckError) {
        if let Answers::Acks { only, sender } = &self.answers {
            let unheard = only.filter(|_| self.heard.is_empty());
            for socket in self.waiting.iter().copied().chain(unheard) {
                let _ = sender.send((socket, Err(error())));
            }
        }
    }
}
