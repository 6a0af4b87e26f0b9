//! Hands what was committed to whoever follows a job or the feed of a tenant, and wakes nobody else. One task reads the
//! commits of the store ([`Service::deliver`]); each listener has a box of its own that holds so much and no more. Whose box
//! was full, or who came after the task had missed commits itself, is told to look into the database instead.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;

use super::Service;
use crate::records::{JobEvent, JobId, TenantId};
use crate::store::{Commits, Committed};

/// Events in the box of one listener. A stream of 1 event a second that is written once in a few minutes stays below.
const BOX: usize = 256;

/// An event on its way to streams. What a protocol makes of it is made once, however many streams there are.
#[derive(Debug)]
pub struct Told {
    pub event: JobEvent,
    texts: [OnceLock<Bytes>; 2],
}

/// Which stream an event is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Job,
    Feed,
}

/// What a listener wants to hear.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// That a job was changed in any way, of which the box holds no more than that it was.
    Changes(JobId),
    Events(JobId),
    Feed(TenantId),
}

/// What a listener hears.
#[derive(Debug)]
pub(super) enum News {
    Event(Arc<Told>),
    /// Something that is in the database and not in the box.
    Look,
    /// Nothing will follow.
    Over,
}

/// Those who listen.
#[derive(Debug)]
pub(super) struct Hub {
    listeners: Mutex<Listeners>,
    /// Taken by the task.
    commits: Mutex<Option<Commits>>,
}

#[derive(Debug, Default)]
struct Listeners {
    boxes: HashMap<Wanted, Vec<Arc<Mailbox>>>,
    over: bool,
}

#[derive(Debug, Default)]
struct Mailbox {
    inside: Mutex<Inside>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    events: VecDeque<Arc<Told>>,
    look: bool,
    over: bool,
}

/// One who listens, until it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    hub: Arc<Hub>,
    wanted: Wanted,
    mailbox: Arc<Mailbox>,
}

impl Told {
    pub(super) fn of(event: JobEvent) -> Arc<Self> {
        Arc::new(Self { event, texts: Default::default() })
    }

    /// The event as `make` writes it, which is asked at the first use.
    pub fn text(&self, line: Line, make: impl FnOnce(&JobEvent) -> Bytes) -> Bytes {
        self.texts[line as usize].get_or_init(|| make(&self.event)).clone()
    }
}

impl Hub {
    /// Commits count from here on.
    pub(super) fn of(commits: Commits) -> Arc<Self> {
        Arc::new(Self { listeners: Mutex::default(), commits: Mutex::new(Some(commits)) })
    }

    /// Begins to listen. What was committed before is in the database, what is committed from now on comes.
    pub(super) fn listen(self: &Arc<Self>, wanted: Wanted) -> Listener {
        let mailbox = Arc::new(Mailbox::default());
        let mut listeners = locked(&self.listeners);
        if listeners.over {
            mailbox.change(|inside| inside.over = true);
        }
        listeners.boxes.entry(wanted.clone()).or_default().push(mailbox.clone());
        Listener { hub: self.clone(), wanted, mailbox }
    }

    fn hand(&self, done: &Committed) {
        let listeners = locked(&self.listeners);
        for job in &done.jobs {
            listeners.each(&Wanted::Changes(*job), Mailbox::look);
        }
        for (tenant, event) in &done.events {
            let told = OnceLock::new();
            for wanted in [Wanted::Events(event.job), Wanted::Feed(tenant.clone())] {
                listeners.each(&wanted, |mailbox| {
                    mailbox.put(told.get_or_init(|| Told::of(event.clone())));
                });
            }
        }
    }

    /// Commits were missed.
    fn look(&self) {
        locked(&self.listeners).boxes.values().flatten().for_each(|mailbox| mailbox.look());
    }

    fn close(&self) {
        let mut listeners = locked(&self.listeners);
        listeners.over = true;
        for mailbox in listeners.boxes.values().flatten() {
            mailbox.change(|inside| inside.over = true);
        }
    }
}

impl Listeners {
    fn each(&self, wanted: &Wanted, tell: impl Fn(&Mailbox)) {
        self.boxes.get(wanted).into_iter().flatten().for_each(|mailbox| tell(mailbox));
    }
}

impl Mailbox {
    fn put(&self, told: &Arc<Told>) {
        self.change(|inside| {
            if inside.events.len() < BOX {
                inside.events.push_back(told.clone());
            } else {
                inside.events = VecDeque::new();
                inside.look = true;
            }
        });
    }

    fn look(&self) {
        self.change(|inside| inside.look = true);
    }

    fn change(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut locked(&self.inside));
        self.news.notify_one();
    }

    fn take(&self) -> Option<News> {
        let mut inside = locked(&self.inside);
        if inside.over {
            return Some(News::Over);
        }
        if std::mem::take(&mut inside.look) {
            // What the box still holds is in the database too.
            inside.events = VecDeque::new();
            return Some(News::Look);
        }
        let told = inside.events.pop_front()?;
        if inside.events.is_empty() {
            // Ten thousand listeners that hear something now and then must not each keep a buffer.
            inside.events = VecDeque::new();
        }
        Some(News::Event(told))
    }
}

impl Listener {
    /// The next news. Nothing is lost where this is dropped before it returns.
    pub(super) async fn news(&self) -> News {
        loop {
            if let Some(news) = self.mailbox.take() {
                return news;
            }
            self.mailbox.news.notified().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = locked(&self.hub.listeners);
        let Some(boxes) = listeners.boxes.get_mut(&self.wanted) else { return };
        if let Some(own) = boxes.iter().position(|mailbox| Arc::ptr_eq(mailbox, &self.mailbox)) {
            boxes.swap_remove(own);
        }
        if boxes.is_empty() {
            listeners.boxes.remove(&self.wanted);
        }
    }
}

/// Ends all listening, however the task ends.
struct Closing<'a>(&'a Hub);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Service {
    /// Hands commits to those who listen, until the service stops. Whoever opens a service runs this once beside it.
    pub async fn deliver(&self) {
        let Some(mut commits) = locked(&self.hub.commits).take() else { return };
        let _closing = Closing(&self.hub);
        loop {
            let committed = tokio::select! {
                committed = commits.recv() => committed,
                () = self.stopping.cancelled() => return,
            };
            match committed {
                Ok(done) => self.hub.hand(&done),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "commits came faster than they were told; streams read the database");
                    self.hub.look();
                }
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// A panic while it was held leaves values that are each whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
