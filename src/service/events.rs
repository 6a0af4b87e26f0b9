//! Events of a job and of all jobs of a tenant: pages of what is stored, and streams that replay it and go on live.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, Stream};

use super::error::{Code, ServiceError};
use super::hub::{Listener, News, Told, Wanted};
use super::jobs::no_job;
use super::{Page, Service, cut, one_more};
use crate::records::{JobEvent, JobId, PageRequest, TenantId};
use crate::store::FeedBounds;

/// Events read at a time; bounds the memory of one stream.
const BATCH: u32 = 200;

/// A page of events; `next` is the last sequence number as text.
pub type EventPage = Page<JobEvent>;

/// A stream of events, or the word that there will be none.
pub enum EventStream<S> {
    Events(S),
    /// The job has ended and the client has seen its last event.
    Over,
}

/// What a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Job(JobId),
    Feed,
}

struct Follow {
    service: Arc<Service>,
    tenant: TenantId,
    about: About,
    listener: Listener,
    ready: VecDeque<Arc<Told>>,
    /// The guard: nothing at or below it is given again, and what comes next has the next number.
    last: i64,
    /// Whether there may be more in the database than was read.
    behind: bool,
    ended: bool,
    _counted: Counted,
}

/// Counts a stream as long as it is open.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("sse_streams").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("sse_streams").decrement(1.0);
    }
}

impl Service {
    /// Events of a job with a sequence number above `after`, ascending; from the first that is there, where none is asked for.
    ///
    /// # Errors
    /// If there is no such job, or what is asked for is not kept any more.
    pub async fn events(
        &self,
        tenant: &TenantId,
        id: JobId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, ServiceError> {
        self.job(tenant, id).await?;
        let page = PageRequest { after: None, limit };
        let found = self.store.events(tenant, id, after.unwrap_or(0), one_more(&page).limit).await?;
        kept(after, &found)?;
        Ok(cut(found, &page, |event| event.seq.to_string()))
    }

    /// Events of all jobs of a tenant, by their numbers in its feed.
    ///
    /// # Errors
    /// As [`Service::events`], and where the feed has not come so far.
    pub async fn feed(&self, tenant: &TenantId, after: Option<i64>, limit: u32) -> Result<EventPage, ServiceError> {
        let bounds = self.store.feed_bounds(tenant).await?;
        let after = within(bounds, after)?.unwrap_or(bounds.purged);
        let page = PageRequest { after: None, limit };
        let found = self.store.feed(tenant, after, one_more(&page).limit).await?;
        // Asked after the events: what was removed before they were read is known by now.
        within(self.store.feed_bounds(tenant).await?, Some(after))?;
        Ok(cut(found, &page, |event| event.feed_seq.to_string()))
    }

    /// Replays events of a job above `after`, then follows it to its terminal event.
    ///
    /// # Errors
    /// As [`Service::events`].
    pub async fn follow(
        self: Arc<Self>,
        tenant: TenantId,
        id: JobId,
        after: Option<i64>,
    ) -> Result<EventStream<impl Stream<Item = Arc<Told>> + Send + 'static>, ServiceError> {
        // Listened for before the first read, so that no event falls between the two.
        let listener = self.hub.listen(Wanted::Events(id));
        // The state is read before the events: a job that had ended by then has all its events stored.
        let job = self.store.job(&tenant, id).await?.ok_or_else(|| no_job(id))?;
        let found = self.store.events(&tenant, id, after.unwrap_or(0), BATCH).await?;
        kept(after, &found)?;
        if found.is_empty() && job.state.is_terminal() {
            return Ok(EventStream::Over);
        }
        // Whoever names an event that has not been would be told nothing, not even of the end.
        if let Some(after) = after.filter(|after| found.is_empty() && *after > 0)
            && self.store.events(&tenant, id, after - 1, 1).await?.is_empty()
        {
            return Err(ServiceError::new(Code::InvalidCursor, "the job has not come to an event with this number"));
        }
        let last = after.unwrap_or_else(|| found.first().map_or(0, |first| first.seq - 1));
        let mut follow = Follow::begin(self, tenant, About::Job(id), listener, last);
        follow.take(found);
        Ok(EventStream::Events(stream::unfold(follow, next)))
    }

    /// Replays events of all jobs of a tenant above `after`, and goes on; without it, it begins now.
    ///
    /// # Errors
    /// As [`Service::feed`].
    pub async fn follow_feed(
        self: Arc<Self>,
        tenant: TenantId,
        after: Option<i64>,
    ) -> Result<impl Stream<Item = Arc<Told>> + Send + 'static, ServiceError> {
        let listener = self.hub.listen(Wanted::Feed(tenant.clone()));
        let bounds = self.store.feed_bounds(&tenant).await?;
        let after = within(bounds, after)?.unwrap_or(bounds.last);
        Ok(stream::unfold(Follow::begin(self, tenant, About::Feed, listener, after), next))
    }
}

/// Numbers of a job have no gap: where the first that is found is not the next, those before it were removed.
fn kept(after: Option<i64>, found: &[JobEvent]) -> Result<(), ServiceError> {
    match (after, found.first()) {
        (Some(after), Some(first)) if first.seq > after.saturating_add(1) => Err(expired(first.seq)),
        _ => Ok(()),
    }
}

/// A number that the feed has come to, and above which nothing was removed.
fn within(bounds: FeedBounds, after: Option<i64>) -> Result<Option<i64>, ServiceError> {
    match after {
        Some(after) if after < bounds.purged => Err(expired(bounds.purged + 1)),
        Some(after) if after > bounds.last => {
            let detail =
                format!("the last event has the number {}; read the jobs anew and go on from there", bounds.last);
            Err(ServiceError::new(Code::InvalidCursor, detail))
        }
        after => Ok(after),
    }
}

fn expired(first: i64) -> ServiceError {
    let detail = format!("the events asked for are not kept any more; the first that is there has the number {first}");
    ServiceError { first_available_seq: Some(first), ..ServiceError::new(Code::EventsExpired, detail) }
}

/// Whether no event of this job follows.
fn is_terminal(event: &JobEvent) -> bool {
    event.event == "state" && event.data["terminal"] == true
}

impl Follow {
    fn begin(service: Arc<Service>, tenant: TenantId, about: About, listener: Listener, last: i64) -> Self {
        let (ready, _counted) = (VecDeque::new(), Counted::new());
        Self { service, tenant, about, listener, ready, last, behind: true, ended: false, _counted }
    }

    fn number(&self, event: &JobEvent) -> i64 {
        match self.about {
            About::Job(_) => event.seq,
            About::Feed => event.feed_seq,
        }
    }

    fn take(&mut self, found: Vec<JobEvent>) {
        self.behind = found.len() == BATCH as usize;
        self.ready.extend(found.into_iter().map(Told::of));
    }

    /// Reads what is stored above `last`; `None` where the stream cannot go on.
    async fn catch_up(&mut self) -> Option<()> {
        let (store, tenant) = (&self.service.store, &self.tenant);
        let found = match self.about {
            About::Job(id) => {
                let over = store.job(tenant, id).await.ok()?.is_none_or(|job| job.state.is_terminal());
                let found = store.events(tenant, id, self.last, BATCH).await.ok()?;
                if found.is_empty() && over {
                    return None;
                }
                kept(Some(self.last), &found).ok()?;
                found
            }
            About::Feed => {
                let found = store.feed(tenant, self.last, BATCH).await.ok()?;
                // A client that is so late is told when it comes back.
                within(store.feed_bounds(tenant).await.ok()?, Some(self.last)).ok()?;
                found
            }
        };
        self.take(found);
        Some(())
    }
}

async fn next(mut follow: Follow) -> Option<(Arc<Told>, Follow)> {
    loop {
        if follow.ended {
            return None;
        }
        while let Some(told) = follow.ready.pop_front() {
            let number = follow.number(&told.event);
            if number <= follow.last {
                continue;
            }
            follow.last = number;
            follow.ended = matches!(follow.about, About::Job(_)) && is_terminal(&told.event);
            return Some((told, follow));
        }
        if follow.behind {
            // Apart, so that the thousands that only listen do not each keep room for it.
            Box::pin(follow.catch_up()).await?;
            continue;
        }
        follow.ready = VecDeque::new();
        match follow.listener.news().await {
            News::Event(told) if follow.number(&told.event) <= follow.last.saturating_add(1) => {
                follow.ready.push_back(told)
            }
            News::Event(_) | News::Look => follow.behind = true,
            News::Over => return None,
        }
    }
}
