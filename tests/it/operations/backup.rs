//! Backups made beside a service that works, and data folders made of them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{adaptd, examined, long, quick};
use crate::process::{Http, Process, free_port};
use crate::support::{ADELIE, GENTOO, TestApp};

/// What is done to a backup.
type Damage = fn(&Path);

fn backup(data: &Path, to: &Path) -> Output {
    adaptd(["backup", "--data", data.to_str().unwrap(), "--to", to.to_str().unwrap()])
}

fn restore(from: &Path, data: &Path) -> Output {
    adaptd(["restore", "--from", from.to_str().unwrap(), "--data", data.to_str().unwrap()])
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// One line that says why, and nothing in the place.
#[track_caller]
fn refused(output: &Output, why: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(why) && text.lines().count() == 1, "{why:?}: {output:?}");
}

fn blobs(folder: &Path) -> Vec<PathBuf> {
    let read = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let mut found: Vec<PathBuf> = read(&folder.join("blobs")).iter().flat_map(|folder| read(folder)).collect();
    found.sort();
    found
}

/// A folder with two domains and a model, whose service has ended.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), free_port(), &[]);
    let http = Http::new(process.port);
    penguins(&http);
    let id = http.post("/v1/jobs", &quick("birds"), None).unwrap().1["id"].as_str().unwrap().to_owned();
    assert_eq!(http.get(&format!("/v1/jobs/{id}?wait=60")).unwrap().1["state"], "succeeded");
    assert!(process.terminate().1);
    folder
}

fn penguins(http: &Http) {
    for (name, csv) in [("adelie", ADELIE), ("gentoo", GENTOO)] {
        assert_eq!(http.put(&format!("/v1/domains/{name}?label=label"), csv).unwrap().0, 201);
    }
}

#[test]
fn a_backup_of_a_service_at_work_becomes_a_service_that_goes_on() {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let process = Process::start(data.path(), free_port(), &["--job-threads", "1"]);
    let http = Http::new(process.port);
    penguins(&http);
    let submit = |spec: &Value| http.post("/v1/jobs", spec, None).unwrap().1["id"].as_str().unwrap().to_owned();
    let done = submit(&quick("birds"));
    assert_eq!(http.get(&format!("/v1/jobs/{done}?wait=60")).unwrap().1["state"], "succeeded");
    let (running, queued) = (submit(&long("later")), submit(&quick("last")));
    while http.get(&format!("/v1/jobs/{running}")).unwrap().1["state"] == "queued" {}

    let (to, restored, busy) = (place.path().join("backup"), place.path().join("new/data"), AtomicBool::new(true));
    std::thread::scope(|threads| {
        // Domains come and go meanwhile.
        let churn = threads.spawn(|| {
            let http = Http::new(process.port);
            for n in (0..).take_while(|_| busy.load(Ordering::SeqCst)) {
                let csv = format!("a,b\n{n},1\n2,{n}\n");
                assert_eq!(http.put("/v1/domains/churn", csv.as_bytes()).unwrap().0, 201);
                if n % 3 == 2 {
                    assert_eq!(http.delete("/v1/domains/churn").unwrap().0, 204);
                }
            }
        });
        let backed_up = backup(data.path(), &to);
        busy.store(false, Ordering::SeqCst);
        churn.join().unwrap();
        succeeded(&backed_up);
    });
    let manifest: Value = serde_json::from_slice(&std::fs::read(to.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"), "{manifest}");
    assert_eq!(manifest["counts"]["jobs"], json!(3), "{manifest}");
    assert_eq!(manifest["blobs"].as_object().unwrap().len(), blobs(&to).len());
    refused(&backup(data.path(), &to), "is there already");

    // Beside the first, which is not disturbed.
    succeeded(&restore(&to, &restored));
    assert_eq!(examined(&restored, &["--deep"]), (1, vec!["running_without_process".to_owned()]));
    let second = Process::start(&restored, free_port(), &["--job-threads", "1"]);
    let other = Http::new(second.port);
    assert_eq!(other.get("/v1/models/birds").unwrap().1["version"]["version"], json!(1));
    let lost = &other.get(&format!("/v1/jobs/{running}/events")).unwrap().1["data"][2];
    assert_eq!((&lost["state"], &lost["error"]["code"]), (&json!("queued"), &json!("job.worker_lost")), "{lost}");
    for http in [&http, &other] {
        assert_eq!(http.post(&format!("/v1/jobs/{running}/cancel"), &Value::Null, None).unwrap().0, 202);
        let job = http.get(&format!("/v1/jobs/{queued}?wait=60")).unwrap().1;
        assert_eq!((&job["state"], &job["result"]), (&json!("succeeded"), &json!({"model": "last@1"})), "{job}");
    }
    assert!(second.terminate().1 && process.terminate().1);
    assert_eq!(examined(&restored, &["--deep"]), (0, vec![]));
}

#[test]
fn a_backup_is_one_file_where_that_is_asked_for() {
    let (data, place) = (made(), tempfile::tempdir().unwrap());
    let (file, folder) = (place.path().join("backup.zip"), place.path().join("restored"));
    succeeded(&backup(data.path(), &file));
    assert!(file.is_file());
    succeeded(&restore(&file, &folder));
    assert_eq!(examined(&folder, &["--deep"]), (0, vec![]));
    assert_eq!(blobs(&folder).len(), 3);
    let entries = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(entries, 2, "nothing unfinished is left");

    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(!restore(&file, &place.path().join("damaged")).status.success());
    assert!(!place.path().join("damaged").exists());
}

#[test]
fn what_is_not_whole_is_not_restored_and_no_place_is_taken_from_another() {
    let (data, place) = (made(), tempfile::tempdir().unwrap());
    let (good, new) = (place.path().join("good"), place.path().join("new"));
    succeeded(&backup(data.path(), &good));
    let damages: [(&str, &str, Damage); 5] = [
        ("one byte of a blob", "damaged", |b| flip(&blobs(b)[0], 40)),
        ("a blob", "is not stored", |b| std::fs::remove_file(&blobs(b)[1]).unwrap()),
        ("one byte of the database", "adaptd.db is damaged", |b| flip(&b.join("adaptd.db"), 5000)),
        ("the database", "adaptd.db", |b| std::fs::remove_file(b.join("adaptd.db")).unwrap()),
        ("the manifest", "not a backup", |b| std::fs::remove_file(b.join("manifest.json")).unwrap()),
    ];
    for (what, why, damage) in damages {
        let bad = tempfile::tempdir().unwrap();
        let bad = bad.path().join("bad");
        succeeded(&backup(data.path(), &bad));
        damage(&bad);
        refused(&restore(&bad, &new), why);
        assert!(!new.exists(), "{what}");
    }
    // The manifest of another: a named blob that it does not list.
    let text = std::fs::read_to_string(good.join("manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    let first = manifest["blobs"].as_object().unwrap().keys().next().unwrap().clone();
    manifest["blobs"].as_object_mut().unwrap().remove(&first);
    std::fs::write(good.join("manifest.json"), manifest.to_string()).unwrap();
    refused(&restore(&good, &new), "is not in the backup");
    std::fs::write(good.join("manifest.json"), text).unwrap();

    std::fs::create_dir(&new).unwrap();
    std::fs::write(new.join("mine"), b"x").unwrap();
    refused(&restore(&good, &new), "is not empty");
    let app = TestApp::start();
    refused(&restore(&good, app.folder()), "an adaptd uses this folder");
    std::fs::remove_file(new.join("mine")).unwrap();
    succeeded(&restore(&good, &new));
    assert_eq!(examined(&new, &[]), (0, vec![]));
}

#[test]
fn a_folder_with_a_blob_missing_is_not_backed_up_as_if_it_were_whole() {
    let (data, place) = (made(), tempfile::tempdir().unwrap());
    let to = place.path().join("backup");
    let lost = blobs(data.path()).remove(0);
    let bytes = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    refused(&backup(data.path(), &to), "is not there");
    std::fs::write(&lost, &bytes[1..]).unwrap();
    refused(&backup(data.path(), &to), "damaged");
    refused(&backup(&place.path().join("none"), &to), "there is no adaptd.db in it");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
