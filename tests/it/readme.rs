//! README's walk by hand, run as it is written: only the port is another.

use std::process::Command;

use crate::process::{Process, free_port};

/// The commands of the section "By hand".
fn walk() -> String {
    let readme = include_str!("../../README.md");
    let section = readme.split("## By hand").nth(1).expect("the section");
    let block = section.split("```sh\n").nth(1).and_then(|b| b.split("```").next()).expect("its commands");
    block.to_owned()
}

#[test]
fn the_walk_by_hand_runs_as_written() {
    let data = tempfile::tempdir().expect("a folder");
    let work = tempfile::tempdir().expect("a folder");
    for name in ["adelie.csv", "gentoo.csv"] {
        let from = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/penguins/").to_owned() + name;
        std::fs::copy(from, work.path().join(name)).expect("a copy");
    }
    let port = free_port();
    let _process = Process::start(data.path(), port, &[]);
    let script = format!("set -eu\n{}", walk().replace("localhost:8080", &format!("127.0.0.1:{port}")));
    let output = Command::new("bash").args(["-c", &script]).current_dir(work.path()).output().expect("bash and curl");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(walk().lines().count() <= 12, "ten lines or so");
    for expected in ["event: state", "\"terminal\":true", "\"accuracy\"", "\"label\":\"female\"", "female,"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let job = std::fs::read_to_string(work.path().join("job.json")).expect("the job");
    assert!(job.contains("\"state\":\"succeeded\""), "{job}");
}
