//! A service under attack, and what must hold of each of its answers.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{ADELIE, Answer, TestApp};

/// In every text that could become a file, so that such a file is found.
const MARK: &str = "adaptd-hostile";

/// What no answer holds, unless the text itself does.
const SECRETS: &[&str] = &[
    "theirs-",
    "panicked",
    "src/",
    ".rs:",
    ".cargo",
    "/rustc",
    "backtrace",
    "sqlite",
    "sqlx",
    "adaptd.db",
    "select ",
    "insert into",
    "update ",
    "delete from",
    "tenant_id",
    "blobs/",
    "incoming/",
    "os error",
    env!("CARGO_MANIFEST_DIR"),
];

/// A service that holds something of two tenants; requests are sent as one of them.
pub(super) struct Attacked {
    pub(super) app: TestApp,
    bearer: String,
    secrets: Vec<String>,
}

impl Attacked {
    pub(super) fn start() -> Self {
        let (app, [ours, theirs]) = TestApp::with_keys(["ours", "theirs"]);
        for (token, prefix) in [(&ours, "a"), (&theirs, "theirs-domain")] {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str())];
            let made = app.send("PUT", &format!("/v1/domains/{prefix}"), &headers, ADELIE);
            assert_eq!(made.status, 201, "{}", made.text);
            let spec = json!({"kind": "adapt", "sources": [prefix], "target": prefix, "method": {"id": "source_only"},
                              "model": prefix, "labels": {"name": format!("{prefix}-label")}});
            let headers = [("authorization", bearer.as_str()), ("prefer", "wait=60")];
            let job = app.send("POST", "/v1/jobs", &headers, spec.to_string().as_bytes());
            assert_eq!(job.json()["state"], "succeeded", "{}", job.text);
        }
        let key = json!({"name": "theirs-key", "scopes": ["jobs:read"]});
        assert_eq!(app.ask(&theirs, "POST", "/v1/keys", &key).status, 201);
        let folder = app.folder().to_str().expect("a path").to_owned();
        let secrets = SECRETS.iter().map(|s| s.to_lowercase()).chain([folder.to_lowercase()]).collect();
        Self { app, bearer: format!("Bearer {ours}"), secrets }
    }

    pub(super) fn json(&self, text: &str, method: &str, path: &str, body: &Value) {
        self.send(text, method, path, "content-type: application/json", body.to_string().as_bytes());
    }

    /// Sends one request with one more header and looks at its answer.
    pub(super) fn send(&self, text: &str, method: &str, path: &str, header: &str, body: &[u8]) {
        let (name, value) = header.split_once(": ").expect("a header");
        let headers = [("authorization", self.bearer.as_str()), (name, value)];
        // A header that stands twice is another test's business.
        let headers = if name == "authorization" { &headers[1..] } else { &headers[..] };
        // A refusal that comes before the body is read ends the connection, which the client may have kept for this one.
        let answer = (0..5).find_map(|_| self.app.try_send(method, path, headers, body).ok());
        let answer = answer.unwrap_or_else(|| panic!("no answer to {method} {path:?} {header:?}"));
        self.check(text, &format!("{method} {path:.100} {header:.100}"), &answer);
    }

    pub(super) fn check(&self, text: &str, request: &str, answer: &Answer) {
        assert!(answer.status < 500, "{request}: {} {}", answer.status, answer.text);
        assert!(answer.headers.get("x-injected").is_none(), "{request}: {:?}", answer.headers);
        self.check_told(text, request, &answer.text);
        for (name, value) in &answer.headers {
            self.check_told(text, &format!("{request}, {name}"), &String::from_utf8_lossy(value.as_bytes()));
        }
        if answer.status >= 400 && request.contains(" /v1/") {
            let problem: Value = serde_json::from_str(&answer.text).unwrap_or_default();
            assert!(
                problem["code"].is_string() && problem["detail"].is_string(),
                "{request}: {} {}",
                answer.status,
                answer.text
            );
            assert!(answer.text.len() < 64 << 10, "{request}: {} bytes", answer.text.len());
        }
    }

    pub(super) fn check_told(&self, text: &str, request: &str, told: &str) {
        let (told, text) = (told.to_lowercase(), text.to_lowercase());
        let found = self.secrets.iter().find(|secret| told.contains(*secret) && !text.contains(*secret));
        assert!(found.is_none(), "{request}: {found:?} in {told}");
    }
}

impl Drop for Attacked {
    /// No file is called as a client wants, in the folder of the service or around it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut files = Vec::new();
        below(self.app.folder(), &mut files);
        assert!(files.len() > 2, "{files:?}");
        for file in files.iter().filter_map(|f| f.strip_prefix(self.app.folder()).ok()) {
            assert!(is_ours(file), "{file:?}");
        }
        let around = self.app.folder().ancestors().skip(1).chain([Path::new("."), Path::new("/etc"), Path::new("src")]);
        for entry in around.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten()) {
            assert!(!entry.file_name().to_string_lossy().contains(MARK), "{:?}", entry.path());
        }
    }
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() { below(&entry, files) } else { files.push(entry) }
    }
}

/// The database with its companions, the lock, and blobs under their hashes, whose first two digits are a folder.
fn is_ours(file: &Path) -> bool {
    let text = file.to_string_lossy();
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let hash = text.strip_prefix("blobs/").map(|b| b.replacen('/', "", 1));
    text == "lock"
        || text == "ballast"
        || text.starts_with("adaptd.") && !text.contains('/')
        || hash.is_some_and(|h| h.len() == 64 && h.bytes().all(digit))
}
