//! Events of a job: pages of what is stored, and a stream that replays them and goes on live.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::sync::broadcast::Receiver;

use super::error::ServiceError;
use super::jobs::no_job;
use super::{Page, Service, cut, one_more};
use crate::records::{Cursor, JobEvent, JobId, PageRequest, TenantId};
use crate::store::Committed;

/// Events read at a time; bounds the memory of one stream.
const BATCH: u32 = 200;
/// A stream reads again after this long without news, should a message have been missed.
const RECHECK: Duration = Duration::from_secs(15);

/// A page of events; `next` is the last sequence number as text.
pub type EventPage = Page<JobEvent>;

/// A stream of events, or the word that there will be none.
pub enum EventStream<S> {
    Events(S),
    /// The job has ended and the client has seen its last event.
    Over,
}

struct Follow {
    service: Arc<Service>,
    tenant: TenantId,
    id: JobId,
    commits: Receiver<Committed>,
    ready: VecDeque<JobEvent>,
    /// The guard: nothing at or below it is given again.
    last: i64,
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
    /// Events with a sequence number above `after`, ascending.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn events(
        &self,
        tenant: &TenantId,
        id: JobId,
        after: i64,
        limit: u32,
    ) -> Result<EventPage, ServiceError> {
        self.job(tenant, id).await?;
        let page = PageRequest { after: Some(Cursor(after.to_string())), limit };
        let found = self.store.events(tenant, id, after, one_more(&page).limit).await?;
        Ok(cut(found, &page, |event| event.seq.to_string()))
    }

    /// Replays events above `after`, then follows the job to its terminal event.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn follow(
        self: Arc<Self>,
        tenant: TenantId,
        id: JobId,
        after: i64,
    ) -> Result<EventStream<impl Stream<Item = JobEvent> + Send + 'static>, ServiceError> {
        // Subscribed before the first read, so that no event falls between the two.
        let commits = self.store.subscribe();
        let job = self.store.job(&tenant, id).await?.ok_or_else(|| no_job(id))?;
        let ready: VecDeque<JobEvent> = self.store.events(&tenant, id, after, BATCH).await?.into();
        if ready.is_empty() && job.state.is_terminal() {
            return Ok(EventStream::Over);
        }
        let follow =
            Follow { service: self, tenant, id, commits, ready, last: after, ended: false, _counted: Counted::new() };
        Ok(EventStream::Events(stream::unfold(follow, next)))
    }
}

/// Whether no event of this job follows.
pub(super) fn is_terminal(event: &JobEvent) -> bool {
    event.event == "state" && event.data["terminal"] == true
}

async fn next(mut follow: Follow) -> Option<(JobEvent, Follow)> {
    loop {
        if follow.ended || follow.service.stopping.is_cancelled() {
            return None;
        }
        while let Some(event) = follow.ready.pop_front() {
            if event.seq <= follow.last {
                continue;
            }
            follow.last = event.seq;
            follow.ended = is_terminal(&event);
            return Some((event, follow));
        }
        let Follow { service, tenant, id, last, .. } = &follow;
        // The state is read before the events: a job that had ended by then has all its events stored.
        let terminal = service.store.job(tenant, *id).await.ok()??.state.is_terminal();
        let read = service.store.events(tenant, *id, *last, BATCH).await.ok()?;
        if !read.is_empty() {
            follow.ready = read.into();
            continue;
        }
        if terminal {
            return None;
        }
        tokio::select! {
            () = wait_for(&mut follow.commits, follow.id) => {}
            () = tokio::time::sleep(RECHECK) => {}
            () = follow.service.stopping.cancelled() => return None,
        }
    }
}

/// Until the job is committed again, or messages were missed.
async fn wait_for(commits: &mut Receiver<Committed>, id: JobId) {
    while let Ok(commit) = commits.recv().await {
        if commit.job == id {
            return;
        }
    }
}
