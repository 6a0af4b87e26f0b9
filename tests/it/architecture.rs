//! Holds the plan of the house: which room may use which, what only one room may name, that every
//! method and learner is registered under its file's name, and that ARCHITECTURE.md tells of what is
//! there. It reads source text; a line in a comment or a string does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of the service and the rooms each may use.
const SERVICE: &[(&str, &[&str])] = &[
    ("records", &[]),
    ("disk", &["records"]),
    ("faults", &[]),
    ("store", &["records", "disk", "faults"]),
    ("blobs", &["records", "disk", "faults"]),
    ("ingest", &["records"]),
    ("predictions", &["records"]),
    ("service", &["records", "disk", "store", "blobs", "ingest", "predictions"]),
    ("worker", &["records", "store", "blobs", "ingest", "predictions"]),
    ("counters", &[]),
    ("api", &["records", "service", "counters"]),
    ("config", &["records", "disk", "faults", "store", "blobs", "ingest", "predictions", "service", "worker", "api"]),
    ("telemetry", &["config"]),
    (
        "cli",
        &["records", "disk", "store", "blobs", "ingest", "service", "worker", "api", "config", "counters", "telemetry"],
    ),
    // Programs beside the service, which read data as it does.
    ("bin", &["ingest"]),
];

/// Rooms of the library in the order of floors: each may use those before it.
const LIBRARY: &[&str] = &[
    "linalg",
    "data",
    "context",
    "params",
    "parts",
    "features",
    "distances",
    "metrics",
    "learners",
    "methods",
    "evaluation",
    "engine",
];

/// Crates that only some rooms may name.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("axum", &["api", "cli"]),
    ("utoipa", &["api", "cli"]),
    ("object_store", &["blobs"]),
    ("faer", &["linalg"]),
    ("faer_ext", &["linalg"]),
    ("safetensors", &["engine"]),
    ("metrics_exporter_prometheus", &["counters"]),
    ("parquet", &["ingest", "predictions"]),
    ("csv", &["ingest", "predictions", "api"]),
    ("flate2", &["ingest"]),
    ("zstd", &["ingest"]),
    ("encoding_rs", &["ingest"]),
];

/// What the library must not know.
const NOT_IN_LIBRARY: &[&str] = &["tokio", "axum", "sqlx", "std::fs", "std::env", "std::net", "std::time::Instant"];

/// One mention of a path in a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mention {
    line: usize,
    path: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a source folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|e| e == "rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}

/// The source with comments and the insides of strings blanked, line by line.
fn code_lines(source: &str) -> Vec<String> {
    source
        .lines()
        .map(|line| {
            let mut out = String::new();
            let mut in_string = false;
            let mut previous = ' ';
            for (i, c) in line.char_indices() {
                if !in_string && line[i..].starts_with("//") {
                    break;
                }
                if c == '"' && previous != '\\' && previous != '\'' {
                    in_string = !in_string;
                } else if !in_string {
                    out.push(c);
                }
                previous = c;
            }
            out
        })
        .collect()
}

/// Every `a::b` path of a file, with groups `a::{b, c::d}` taken apart. Test modules count too.
fn mentions(source: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let lines = code_lines(source);
    let mut at = 0;
    while at < lines.len() {
        let begins_use = lines[at].trim_start().trim_start_matches("pub ").starts_with("use ");
        let first = at;
        let mut statement = lines[at].clone();
        while begins_use && !statement.contains(';') && at + 1 < lines.len() {
            at += 1;
            statement.push_str(lines[at].trim());
        }
        at += 1;
        if begins_use {
            let tree = statement.split("use ").nth(1).unwrap_or_default().trim().trim_end_matches(';');
            expand(tree, "", &mut |path| found.push(Mention { line: first + 1, path }));
        } else {
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let words = statement.split(|c| !is_path(c)).filter(|w| w.contains("::"));
            found.extend(words.map(|w| Mention { line: first + 1, path: w.to_owned() }));
        }
    }
    found
}

/// Takes a use tree apart.
fn expand(tree: &str, prefix: &str, found: &mut impl FnMut(String)) {
    let mut depth = 0;
    let mut start = 0;
    let mut items = Vec::new();
    for (i, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&tree[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    items.push(&tree[start..]);
    for item in items.into_iter().map(str::trim).filter(|i| !i.is_empty()) {
        match item.split_once('{') {
            Some((head, rest)) => expand(rest.trim_end().trim_end_matches('}'), &format!("{prefix}{head}"), found),
            None => found(format!("{prefix}{item}")),
        }
    }
}

/// The room that a path of this file leads to, if it leads into the same package.
fn room_of(path: &str, modules: &[String]) -> Option<String> {
    if let Some(rest) = path.strip_prefix("crate::") {
        return rest.split("::").next().map(str::to_owned);
    }
    // `super::super::x` may leave the room.
    let mut at = modules.to_vec();
    let mut rest = path;
    while let Some(after) = rest.strip_prefix("super::") {
        at.pop();
        rest = after;
    }
    if rest.len() == path.len() {
        return None;
    }
    at.push(rest.split("::").next().unwrap_or_default().to_owned());
    at.into_iter().next()
}

/// The module path of a file below `src`.
fn modules_of(file: &Path, src: &Path) -> Vec<String> {
    let relative = file.strip_prefix(src).expect("below src").with_extension("");
    let mut modules: Vec<String> = relative.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    if matches!(modules.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        modules.pop();
    }
    modules
}

/// Violations of one file: rooms it may not use, crates it may not name.
fn violations(room: &str, source: &str, modules: &[String], may_use: &[&str], all: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for mention in mentions(source) {
        if let Some(other) = room_of(&mention.path, modules)
            && other != room
            && all.contains(&other.as_str())
            && !may_use.contains(&other.as_str())
        {
            found.push(format!("{}: {room} may not use {other}", mention.line));
        }
        for (name, owners) in OWNED_CRATES {
            let named = mention.path == *name || mention.path.starts_with(&format!("{name}::"));
            if named && !owners.contains(&room) {
                found.push(format!("{}: {room} may not name {name}", mention.line));
            }
        }
    }
    found
}

fn check_package(src: &Path, rooms: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    let all: Vec<&str> = rooms.keys().copied().collect();
    let mut found = Vec::new();
    for file in rust_files(src) {
        let modules = modules_of(&file, src);
        let Some(room) = modules.first() else { continue };
        let source = fs::read_to_string(&file).expect("a source file");
        match rooms.get(room.as_str()) {
            Some(may_use) => {
                let here = violations(room, &source, &modules, may_use, &all);
                found.extend(here.into_iter().map(|v| format!("{}:{v}", file.display())));
            }
            None => found.push(format!("{}:1: room {room} is not on the plan", file.display())),
        }
    }
    found
}

#[test]
fn rooms_of_the_service_use_only_what_they_may() {
    let rooms = SERVICE.iter().map(|(room, may)| (*room, may.to_vec())).collect();
    let found = check_package(&root().join("src"), &rooms);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn rooms_of_the_library_use_only_floors_below() {
    let rooms = LIBRARY.iter().enumerate().map(|(i, room)| (*room, LIBRARY[..i].to_vec())).collect();
    let src = root().join("crates/adaptation/src");
    let mut found = check_package(&src, &rooms);
    for file in rust_files(&src) {
        let source = fs::read_to_string(&file).expect("a source file");
        for mention in mentions(&source) {
            for name in NOT_IN_LIBRARY {
                if mention.path == *name || mention.path.starts_with(&format!("{name}::")) {
                    found.push(format!("{}:{}: the library may not know {name}", file.display(), mention.line));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_plan_has_no_circle() {
    // Rooms are taken away once all they may use is gone; a circle would remain.
    let mut left: BTreeMap<&str, BTreeSet<&str>> =
        SERVICE.iter().map(|(room, may)| (*room, may.iter().copied().collect())).collect();
    while let Some(free) = left.iter().find(|(_, may)| may.is_empty()).map(|(room, _)| *room) {
        left.remove(free);
        left.values_mut().for_each(|may| {
            may.remove(free);
        });
    }
    assert!(left.is_empty(), "a circle among {:?}", left.keys());
}

#[test]
fn methods_do_not_import_methods() {
    let src = root().join("crates/adaptation/src/methods");
    let ids: Vec<&str> = adaptation::methods::METHODS.iter().map(|m| m.card().id).collect();
    let mut found = Vec::new();
    for file in rust_files(&src).into_iter().filter(|f| f.file_name().is_some_and(|n| n != "mod.rs")) {
        let own = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&file).expect("a source file");
        for mention in mentions(&source) {
            if mention.path.split("::").any(|part| part != own && ids.contains(&part)) {
                found.push(format!("{}:{}: {}", file.display(), mention.line, mention.path));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_of_a_registry_is_registered_under_its_name() {
    let library = root().join("crates/adaptation/src");
    let stems = |files: Vec<PathBuf>, not: &[&str]| -> BTreeSet<String> {
        let stem = |f: &PathBuf| f.file_stem().expect("a name").to_string_lossy().into_owned();
        files.iter().map(stem).filter(|s| !not.contains(&s.as_str())).collect()
    };
    let methods: BTreeSet<String> = adaptation::methods::METHODS.iter().map(|m| m.card().id.to_owned()).collect();
    assert_eq!(stems(rust_files(&library.join("methods")), &["mod", "contract"]), methods);
    let learners: BTreeSet<String> = adaptation::learners::LEARNERS.iter().map(|l| l.card().id.to_owned()).collect();
    let shared = ["mod", "contract", "tests", "linear", "descent", "pseudo_labels"];
    assert_eq!(stems(rust_files(&library.join("learners")), &shared), learners);
}

#[test]
fn every_path_that_the_architecture_page_names_exists() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page");
    assert!(page.lines().count() <= 150, "the page has at most 150 lines");
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|w| {
            (w.contains('/') || w.ends_with(".rs") || w.ends_with(".toml")) && !w.contains([' ', '*', '{', ':', '<'])
        })
        .filter(|w| !w.starts_with('/'))
        .collect();
    assert!(named.len() > 20, "the page names its rooms");
    let missing: Vec<&&str> = named.iter().filter(|p| !root().join(p).exists()).collect();
    assert!(missing.is_empty(), "not there: {missing:?}");
}

#[test]
fn the_reader_of_paths_sees_what_breaks_the_plan() {
    let source = "use crate::{records::JobId, api::router};\nfn f() { super::super::store::x(); sqlx::query(\"crate::api\"); }\n// crate::cli::x\n";
    let modules = ["service".to_owned(), "jobs".to_owned()];
    let rooms: Vec<&str> = SERVICE.iter().map(|(room, _)| *room).collect();
    assert_eq!(
        violations("service", source, &modules, &["records"], &rooms),
        ["1: service may not use api", "2: service may not use store", "2: service may not name sqlx"]
    );
}

#[test]
fn every_test_that_the_page_of_guarantees_names_is_there() {
    let page = std::fs::read_to_string(root().join("docs/guarantees.md")).expect("the page");
    let named: Vec<(&str, &str)> = page.split('`').filter_map(|word| word.split_once(".rs::")).collect();
    assert!(named.len() > 20, "{} tests are named", named.len());
    for (file, test) in named {
        let text = std::fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(text.contains(&format!("fn {test}()")), "{file}.rs has no test {test}");
    }
}
