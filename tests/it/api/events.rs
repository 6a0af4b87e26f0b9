//! Streams of events: what a client that comes back again and again has seen in the end is what is stored, each event once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use adaptd::blobs::Blobs;
use adaptd::disk::Disk;
use adaptd::records::{JobKind, NewJob, Period, SystemClock, TenantId};
use adaptd::service::{Collaborators, Service};
use adaptd::store::{Completion, CreateLimits, Creation, Lease, SqliteOptions, SqliteStore, Store};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::process::{Process, free_port};
use crate::store::fixtures::{lease, sqlite, terms, without_model};
use crate::support::TestApp;

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Sse {
    id: i64,
    event: String,
    data: Value,
}

/// A stream that is open.
struct Stream {
    status: u16,
    lines: Lines<BufReader<TcpStream>>,
}

impl Stream {
    #[track_caller]
    fn open(addr: SocketAddr, path: &str, last: Option<i64>, token: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let last = last.map_or(String::new(), |seq| format!("Last-Event-ID: {seq}\r\n"));
        let token = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n{last}{token}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next().unwrap().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        // To the end of the head: whoever has it is listening.
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        Self { status, lines }
    }

    /// The next event; `None` where the stream has ended or was cut off.
    fn next(&mut self) -> Option<Sse> {
        let (mut id, mut event) = (None, String::new());
        loop {
            let line = self.lines.next()?.ok()?;
            match line.split_once(": ") {
                Some(("id", text)) => id = Some(text.parse().unwrap()),
                Some(("event", text)) => event = text.to_owned(),
                Some(("data", text)) => {
                    let id = id.expect("a durable event has an id");
                    return Some(Sse { id, event, data: serde_json::from_str(text).ok()? });
                }
                _ => {}
            }
        }
    }
}

fn coral() -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "coral"}, "model": "birds"})
}

/// A job of a hundred fits.
fn long() -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": "birds",
           "method": {"id": "transfer_component_analysis"}, "evaluation": {"kind": "leave_one_out"}})
}

#[track_caller]
fn submit(app: &TestApp, spec: &Value) -> String {
    let answer = app.post("/v1/jobs", spec);
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Everything that is stored at a path, page by page.
#[track_caller]
fn stored(app: &TestApp, path: &str) -> Vec<Sse> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let query = after.map_or(String::new(), |seq| format!("&after_seq={seq}"));
        let page = app.get(&format!("{path}?limit=7{query}"));
        assert_eq!(page.status, 200, "{}", page.text);
        let page = page.json();
        for mut data in page["data"].as_array().unwrap().iter().cloned() {
            let event = data.as_object_mut().unwrap().remove("event").unwrap().as_str().unwrap().to_owned();
            all.push(Sse { id: data["seq"].as_i64().unwrap(), event, data });
        }
        match page["next_cursor"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return all,
        }
    }
}

#[test]
fn a_client_that_comes_back_after_every_event_sees_each_once_over_restarts_of_the_service() {
    let mut app = TestApp::start();
    app.penguins();
    let specs = [long(), coral(), long(), coral()];
    let jobs: Vec<String> = specs.iter().map(|spec| submit(&app, spec)).collect();
    // One connection an event; the service is another one after every fourth of the first forty, while jobs run. Not for
    // ever: a job that is given back begins anew.
    let mut feed: Vec<Sse> = Vec::new();
    let mut open = jobs.len();
    while open > 0 {
        let last = feed.last().map_or(0, |e| e.id);
        let mut stream = Stream::open(app.addr, "/v1/events", Some(last), None);
        assert_eq!(stream.status, 200);
        let event = stream.next().expect("the feed goes on");
        open -= usize::from(event.data["terminal"] == true);
        feed.push(event);
        if feed.len().is_multiple_of(4) && feed.len() <= 40 {
            app = app.restart();
        }
    }
    assert_eq!(feed.iter().map(|e| e.id).collect::<Vec<_>>(), (1..=feed.len() as i64).collect::<Vec<_>>());
    assert_eq!(feed, stored(&app, "/v1/events"));

    let mut own: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for event in &feed {
        own.entry(event.data["job"].as_str().unwrap()).or_default().push(event.data["job_seq"].as_i64().unwrap());
    }
    for job in &jobs {
        let path = format!("/v1/jobs/{job}/events");
        let stored = stored(&app, &path);
        let mut seen = Vec::new();
        while let Some(event) = {
            let last = seen.last().map(|e: &Sse| e.id);
            let mut stream = Stream::open(app.addr, &path, last, None);
            if stream.status == 204 { None } else { stream.next() }
        } {
            seen.push(event);
            if seen.len() == 3 {
                app = app.restart();
            }
        }
        assert_eq!(seen, stored);
        assert_eq!(
            own[job.as_str()],
            (1..=seen.len() as i64).collect::<Vec<_>>(),
            "the feed has the job's events in order"
        );
    }
}

#[test]
fn a_stream_of_all_jobs_begins_now_and_names_the_job() {
    let app = TestApp::start();
    app.penguins();
    app.run_job(&coral());
    let before = stored(&app, "/v1/events").len() as i64;
    let mut stream = Stream::open(app.addr, "/v1/events", None, None);
    let job = submit(&app, &coral());
    let first = stream.next().unwrap();
    assert_eq!((first.id, first.event.as_str()), (before + 1, "state"));
    assert_eq!(
        (&first.data["job"], &first.data["job_seq"], &first.data["state"], &first.data["seq"]),
        (&json!(job), &json!(1), &json!("queued"), &json!(before + 1))
    );
    while stream.next().unwrap().data["terminal"] != true {}
    // It goes on with the next job.
    app.run_job(&coral());
    assert_eq!(stream.next().unwrap().data["state"], "queued");
    app.get("/v1/events?after_seq=-1").problem(422, "invalid_parameter");
    app.get("/v1/events?limit=0").problem(422, "invalid_parameter");
    app.get("/v1/events?after_seq=1000000").problem(400, "invalid_cursor");
    app.get_with("/v1/events", "accept", "image/png").problem(406, "not_acceptable");
    let page = app.get("/v1/events?after_seq=2&limit=1");
    assert_eq!((&page.json()["data"][0]["seq"], page.json()["next_cursor"].as_str()), (&json!(3), Some("3")));
    assert!(page.header("link").contains("/v1/events?limit=1&after_seq=3"), "{}", page.header("link"));
}

#[test]
fn a_stream_ends_when_the_service_stops() {
    let mut app = TestApp::start();
    let mut stream = Stream::open(app.addr, "/v1/events", None, None);
    app.stop();
    assert_eq!(stream.next(), None);
}

#[test]
fn after_the_last_event_there_is_nothing_to_come_back_for() {
    let app = TestApp::start();
    app.penguins();
    let job = app.run_job(&coral());
    let path = format!("/v1/jobs/{}/events", job["id"].as_str().unwrap());
    let last = stored(&app, &path).len() as i64;
    let mut stream = Stream::open(app.addr, &path, Some(last - 1), None);
    assert_eq!((stream.status, stream.next().unwrap().id, stream.next()), (200, last, None), "it ends by itself");
    for seen in [last, last + 1, last + 1000] {
        assert_eq!(Stream::open(app.addr, &path, Some(seen), None).status, 204, "{seen}");
    }
}

#[test]
fn another_tenant_sees_nothing_and_a_key_without_the_scope_is_refused() {
    let (app, [a, b]) = TestApp::with_keys(["a", "b"]);
    for (name, csv) in [("adelie", crate::support::ADELIE), ("gentoo", crate::support::GENTOO)] {
        for token in [&a, &b] {
            let bearer = format!("Bearer {token}");
            let put = app.send("PUT", &format!("/v1/domains/{name}?label=label"), &[("authorization", &bearer)], csv);
            assert_eq!(put.status, 201, "{}", put.text);
        }
    }
    let run = |token: &str| {
        let job = app.ask(token, "POST", "/v1/jobs", &coral()).json();
        let own = job["links"]["self"].as_str().unwrap().to_owned();
        while app.ask(token, "GET", &format!("{own}?wait=60"), &Value::Null).json()["terminal"] == false {}
        own
    };
    let mut of_b = Stream::open(app.addr, "/v1/events", None, Some(&b));
    let job = run(&a);
    assert!(!app.ask(&a, "GET", "/v1/events", &Value::Null).json()["data"].as_array().unwrap().is_empty());
    assert_eq!(app.ask(&b, "GET", "/v1/events", &Value::Null).json()["data"], json!([]));
    assert_eq!(Stream::open(app.addr, &format!("{job}/events"), None, Some(&b)).status, 404);
    app.ask(&b, "GET", &format!("{job}/events"), &Value::Null).problem(404, "job_not_found");
    let own = run(&b);
    let first = of_b.next().unwrap();
    assert_eq!((first.id, format!("/v1/jobs/{}", first.data["job"].as_str().unwrap())), (1, own));

    let new = json!({"name": "k", "scopes": ["models:read"]});
    let other = app.ask(&a, "POST", "/v1/keys", &new).json()["token"].as_str().unwrap().to_owned();
    app.ask(&other, "GET", "/v1/events", &Value::Null).problem(403, "insufficient_scope");
    app.get("/v1/events").problem(401, "missing_credentials");
    drop(of_b);
    // What the check at the end lists needs a key.
    let mut app = app;
    app.stop();
}

#[test]
fn events_that_are_gone_are_told_with_the_first_that_is_there() {
    let app = TestApp::with(|o| o.keep_events = Period(Duration::ZERO));
    app.penguins();
    let job = app.run_job(&coral());
    let path = format!("/v1/jobs/{}/events", job["id"].as_str().unwrap());
    let all = stored(&app, &path);
    let last = all.len() as i64;
    while app.retain() == 0 {}
    assert_eq!(stored(&app, &path), all[all.len() - 1..], "what is there, to who asks for nothing that is gone");
    for of in [path.as_str(), "/v1/events"] {
        for after in [0, last - 2] {
            let problem = app.get(&format!("{of}?after_seq={after}")).problem(410, "events_expired");
            assert_eq!((&problem["first_available_seq"], &problem["retryable"]), (&json!(last), &json!(false)));
            assert_eq!(Stream::open(app.addr, of, Some(after), None).status, 410, "{of} after {after}");
        }
        assert_eq!(app.get(&format!("{of}?after_seq={}", last - 1)).json()["data"][0]["seq"], last);
        assert_eq!(Stream::open(app.addr, of, Some(last - 1), None).next().unwrap().id, last);
    }
    assert_eq!(Stream::open(app.addr, &path, None, None).next().unwrap(), all[all.len() - 1]);
    assert_eq!(Stream::open(app.addr, &path, Some(last), None).status, 204);
    assert_eq!(app.get("/v1/events").json()["data"][0]["seq"], last);
    // The next job's events follow, without a gap.
    let next = app.run_job(&coral());
    let feed = app.get(&format!("/v1/events?after_seq={last}")).json();
    assert_eq!((&feed["data"][0]["seq"], &feed["data"][0]["job"]), (&json!(last + 1), &next["id"]));
}

#[test]
fn a_job_is_kept_for_its_time_and_its_model_for_longer() {
    let app = TestApp::with(|o| o.keep_jobs = Period(Duration::ZERO));
    app.penguins();
    let job = app.run_job(&coral());
    let own = job["links"]["self"].as_str().unwrap();
    let last = stored(&app, "/v1/events").len();
    while app.retain() == 0 {}
    app.get(own).problem(404, "job_not_found");
    app.get(&format!("{own}/events")).problem(404, "job_not_found");
    app.get(&format!("{own}/metrics")).problem(404, "job_not_found");
    assert_eq!(app.get("/v1/jobs").json()["data"], json!([]));
    let model = app.get("/v1/models/birds").json();
    assert!(model.to_string().contains(job["id"].as_str().unwrap()), "its lineage names the job: {model}");
    let rows = json!({"rows": [{}]});
    assert_ne!(app.post("/v1/models/birds/predict", &rows).status, 404);
    let problem = app.get("/v1/events?after_seq=0").problem(410, "events_expired");
    assert_eq!(problem["first_available_seq"], json!(last + 1));
    assert_eq!(app.get("/v1/events").json()["data"], json!([]));
}

#[test]
fn too_many_ended_jobs_go_a_tenth_at_once_the_oldest_first() {
    let app = TestApp::with(|o| o.max_jobs = 100);
    app.penguins();
    // Cancelled jobs have ended too, and cost nothing: the one that runs keeps the others waiting.
    let running = submit(&app, &long());
    let end = || {
        let job = submit(&app, &coral());
        app.post(&format!("/v1/jobs/{job}/cancel"), &json!({}));
        job
    };
    let mut jobs: Vec<String> = (0..100).map(|_| end()).collect();
    assert_eq!(app.retain(), 0, "as many as may be");
    jobs.push(end());
    app.post(&format!("/v1/jobs/{running}/cancel"), &json!({}));
    while app.get(&format!("/v1/jobs/{running}?wait=60")).json()["terminal"] == false {}
    assert!(app.retain() > 0);
    let left: Vec<&String> = jobs.iter().filter(|j| app.get(&format!("/v1/jobs/{j}")).status == 200).collect();
    assert_eq!(left.len(), 89, "with the one that ran these are 90");
    assert_eq!(left[..], jobs[12..].iter().collect::<Vec<_>>());
    assert_eq!(app.retain(), 0, "there is room again");
}

/// A job that told `n` things of `bytes` each and ended.
async fn talkative(store: &dyn Store, n: usize, bytes: usize) -> Lease {
    let now = adaptd::records::Clock::now(&SystemClock);
    let new = NewJob::new(TenantId::default(), JobKind::Adapt, json!({}), now);
    let created =
        store.create_job(new, None, CreateLimits { max_queued: 10, max_queued_of_tenant: None }).await.unwrap();
    assert!(matches!(created, Creation::Created(_)));
    let job = store.claim(&terms(), now).await.unwrap().unwrap();
    let told = (0..n).map(|n| {
        let data = json!({"n": n, "text": "x".repeat(bytes)});
        store.append_event(Lease { job: job.id, token: job.lease_token }, "metrics", data, now)
    });
    assert!(futures::future::join_all(told).await.into_iter().all(Result::unwrap));
    let lease = Lease { job: job.id, token: job.lease_token };
    store.complete(lease, Completion { ..without_model() }, now).await.unwrap();
    lease
}

#[test]
fn who_reads_too_slowly_is_let_go_and_goes_on_from_where_it_was() {
    let (data, port) = (tempfile::tempdir().unwrap(), free_port());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // More than the system holds for a connection on both sides.
    let job = runtime.block_on(async {
        let store = SqliteStore::open(&data.path().join("adaptd.db"), SqliteOptions::default()).await.unwrap();
        let lease = talkative(&store, 400, 60_000).await;
        store.close().await;
        lease.job
    });
    let process = Process::start(data.path(), port, &["--write-idle-s", "1"]);
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let path = format!("/v1/jobs/{job}/events");
    let mut slow = Stream::open(addr, &path, None, None);
    assert_eq!(slow.status, 200);
    // It reads nothing, until the service has let it go.
    let streams = || {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.lines().find_map(|l| l.strip_prefix("sse_streams ")?.parse::<f64>().ok()).unwrap()
    };
    while streams() > 0.0 {
        std::thread::yield_now();
    }
    let mut seen: Vec<i64> = Vec::new();
    while let Some(event) = slow.next() {
        seen.push(event.id);
    }
    assert!(!seen.is_empty() && seen.len() < 403, "{} events came", seen.len());
    let mut rest = Stream::open(addr, &path, seen.last().copied(), None);
    while let Some(event) = rest.next() {
        seen.push(event.id);
    }
    assert_eq!(seen, (1..=403).collect::<Vec<_>>());
    assert!(process.terminate().1);
}

/// A service without workers and HTTP, on a store of its own.
async fn service(store: Arc<dyn Store>, folder: &std::path::Path) -> (Arc<Service>, CancellationToken) {
    let (stopping, options) = (CancellationToken::new(), adaptd::config::Options::default());
    let with = Collaborators {
        store,
        blobs: Blobs::open(&folder.join("blobs")).unwrap(),
        disk: Disk::under(folder, options.min_free_bytes, Arc::new(SystemClock)),
        clock: Arc::new(SystemClock),
        scratch: folder.join("incoming"),
        stopping: stopping.clone(),
    };
    (Arc::new(Service::open(with, options.service_limits()).await.unwrap()), stopping)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_reads_for_a_while_catches_up_from_the_database() {
    let db = sqlite().await;
    let (service, stopping) = service(db.store.clone(), db.folder.path()).await;
    let delivering = {
        let service = service.clone();
        async move { service.deliver().await }
    };
    let following = async {
        let mut streams = vec![Box::pin(service.clone().follow_feed(TenantId::default(), None).await.unwrap())];
        streams.push(Box::pin(service.clone().follow_feed(TenantId::default(), Some(0)).await.unwrap()));
        let job = db.running().await;
        // Far more than a box holds and than the hub may be behind: while the second stream hears of each, the first is left.
        let (mut first, mut second) = (streams.remove(0), streams.remove(0));
        for n in 0..900 {
            db.store.append_event(lease(&job), "metrics", json!({"n": n}), db.now()).await.unwrap();
            if n % 3 == 0 {
                assert_eq!(second.next().await.unwrap().event.feed_seq, n / 3 + 1);
            }
        }
        for expected in 1..=902 {
            assert_eq!(first.next().await.unwrap().event.feed_seq, expected);
        }
        for expected in 301..=902 {
            assert_eq!(second.next().await.unwrap().event.feed_seq, expected);
        }
        // From here on it is told, and nothing comes twice.
        db.store.append_event(lease(&job), "metrics", json!({}), db.now()).await.unwrap();
        for stream in [&mut first, &mut second] {
            assert_eq!(stream.next().await.unwrap().event.feed_seq, 903);
        }
        stopping.cancel();
        assert!(first.next().await.is_none());
    };
    tokio::join!(delivering, following);
}

/// The numbers in the feed of the next events of a stream.
async fn numbers(stream: &mut (impl futures::Stream<Item = Arc<adaptd::service::Told>> + Unpin), n: usize) -> Vec<i64> {
    let mut seen = Vec::new();
    while seen.len() < n {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        seen.push(next.unwrap_or_else(|_| panic!("after {seen:?} nothing comes")).unwrap().event.feed_seq);
    }
    seen
}

#[tokio::test]
async fn what_did_not_fit_into_a_box_comes_though_nothing_follows_it() {
    let db = sqlite().await;
    let (service, stopping) = service(db.store.clone(), db.folder.path()).await;
    let delivering = service.deliver();
    let following = async {
        let mut stream = Box::pin(service.clone().follow_feed(TenantId::default(), None).await.unwrap());
        let job = db.running().await;
        assert_eq!(numbers(&mut stream, 2).await, [1, 2]);
        // With the first two, one more than a box holds, and then silence. The other stream tells that all were delivered.
        let mut other = Box::pin(service.clone().follow_feed(TenantId::default(), None).await.unwrap());
        for n in 3..=257 {
            db.store.append_event(lease(&job), "metrics", json!({"n": n}), db.now()).await.unwrap();
            assert_eq!(numbers(&mut other, 1).await, [n]);
        }
        assert_eq!(numbers(&mut stream, 255).await, (3..=257).collect::<Vec<_>>());
        stopping.cancel();
    };
    tokio::join!(delivering, following);
}

#[tokio::test]
async fn what_was_committed_while_nobody_delivered_is_found_though_others_spoke_last() {
    let db = sqlite().await;
    let (service, stopping) = service(db.store.clone(), db.folder.path()).await;
    let mut stream = Box::pin(service.clone().follow_feed(TenantId::default(), None).await.unwrap());
    let job = db.running().await;
    assert_eq!(numbers(&mut stream, 2).await, [1, 2]);
    db.store.append_event(lease(&job), "metrics", json!({}), db.now()).await.unwrap();
    // More commits of another tenant than the hub may be behind.
    let other = TenantId("b".into());
    let unbounded = adaptd::store::TenantRecord { id: other.clone(), max_running: None, max_queued: None };
    db.store.set_tenant(unbounded).await.unwrap();
    for _ in 0..300 {
        db.create(NewJob { tenant: other.clone(), ..db.new_job() }).await;
    }
    let following = async {
        assert_eq!(numbers(&mut stream, 1).await, [3]);
        stopping.cancel();
    };
    tokio::join!(service.deliver(), following);
}
