//! What the targets share: the one place that calls the readers, options taken from the input, and what must hold of
//! every table that is read.

mod documents;
mod model;

use adaptd::ingest::{self, Format, IngestError, Ingested, Limits, Options, Source, stored};
use bytes::Bytes;

pub use documents::{job, predict_document};
pub use model::{model, model_parts};

/// Bounds that a few kilobytes of input can reach, so that what is behind each is met too.
fn limits() -> Limits {
    Limits {
        bytes: 1 << 20,
        decompressed_bytes: 8 << 20,
        rows: 20_000,
        columns: 300,
        cells: 200_000,
        ..Limits::default()
    }
}

/// The only call of the readers: what keeps the table and what stores it as it is read say the same.
fn read(data: &[u8], options: &Options) -> Result<Ingested, IngestError> {
    let source = Source::from(Bytes::copy_from_slice(data));
    let found = ingest::read(&source, options);
    let file = tempfile::NamedTempFile::new().expect("a file");
    match (&found, ingest::store(&source, options, file.reopen().expect("the file"))) {
        (Ok(found), Ok(stored)) => {
            let table = Source::file(file.path().to_owned()).expect("the file");
            let table = stored::read_rows(&table, 0, usize::MAX).expect("what was stored is read");
            assert_eq!(table, found.table);
            assert_eq!((&stored.roles, &stored.notes, stored.task), (&found.roles, &found.notes, found.task));
        }
        (Err(kept), Err(stored)) => assert_eq!(kept.to_string(), stored.to_string()),
        (kept, stored) => panic!("kept: {kept:?}; stored: {stored:?}"),
    }
    found
}

/// CSV, with what a client may say of it taken from the first bytes.
pub fn csv(data: &[u8]) {
    if let Some((options, data)) = csv_options(data) {
        cut(data, &options);
        upload(data, Format::Csv, options);
    }
}

/// JSON lines, whole and cut.
pub fn ndjson(data: &[u8]) {
    lines(data, Format::Ndjson);
}

/// Svmlight, whole and cut.
pub fn svmlight(data: &[u8]) {
    lines(data, Format::Svmlight);
}

fn lines(data: &[u8], format: Format) {
    let options = Options { format: Some(format), ..Options::default() };
    cut(data, &options);
    upload(data, format, options);
}

pub fn json_rows(data: &[u8]) {
    upload(data, Format::JsonRows, Options::default());
}

pub fn npy(data: &[u8]) {
    upload(data, Format::Npy, Options::default());
}

pub fn npz(data: &[u8]) {
    upload(data, Format::Npz, Options::default());
}

/// Wants [`only_ours_may_not_panic`].
pub fn parquet(data: &[u8]) {
    upload(data, Format::Parquet, Options::default());
}

/// Wants [`only_ours_may_not_panic`].
pub fn arrow(data: &[u8]) {
    upload(data, Format::Arrow, Options::default());
}

/// Tables at rest. Wants [`only_ours_may_not_panic`]: the decoder is not ours, and a panic there would fail one job.
pub fn stored(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let _ = std::panic::catch_unwind(|| {
        let _ = stored::read_rows(&bytes.clone().into(), 1, 2);
        if let Ok(table) = stored::read_parquet(bytes) {
            let again = stored::write_parquet(&table).expect("what was read can be stored");
            let _ = stored::read_parquet(again.into()).expect("what was stored is read");
        }
    });
}

/// Reads an upload of a format, and holds the table to what is promised of it.
fn upload(data: &[u8], format: Format, options: Options) {
    let options = Options { format: Some(format), limits: limits(), ..options };
    match read(data, &options) {
        Ok(found) => {
            check(&found, &options.limits);
            assert_eq!(read(data, &options).as_ref(), Ok(&found), "the same bytes give the same table");
        }
        Err(error) => check_error(&error),
    }
}

/// The words for what is wrong are short, whatever was sent.
fn check_error(error: &IngestError) {
    let message = error.to_string();
    assert!(message.len() < 4000 && !message.is_empty(), "{} bytes: {message}", message.len());
    assert!(!message.chars().any(|c| c.is_control()), "{message:?}");
    let _ = (error.code(), error.place());
}

/// A table of a shape that is accepted, with distinct names, which comes back from its stored form as it was.
fn check(found: &Ingested, limits: &Limits) {
    let (table, n) = (&found.table, found.table.columns().len());
    assert!(table.n_rows() > 0 && table.n_rows() <= limits.rows && n > 0 && n <= limits.columns);
    assert_eq!((found.roles.len(), found.statistics.len()), (n, n));
    let mut names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    let bytes = Bytes::from(stored::write_parquet(table).expect("a table can be stored"));
    assert_eq!(&stored::read_parquet(bytes.clone()).expect("what was stored is read"), table);
    let part = stored::read_rows(&bytes.into(), 1, 2).expect("a part of it is read");
    assert_eq!(part.n_rows(), (table.n_rows() - 1).min(2));
}

/// Options by the first bytes of an input, `0` being the default of each, and the rest of it.
fn csv_options(data: &[u8]) -> Option<(Options, &[u8])> {
    let (head, rest) = data.split_at_checked(6)?;
    let pick = |i: usize, words: &[&'static str]| words[usize::from(head[i].wrapping_sub(b'0')) % words.len()];
    let mut options = Options::default();
    options.csv.delimiter = pick(0, &["", ",", ";", "tab", "|", " ", "\"", ":"]).parse().ok();
    options.csv.quote = pick(1, &["", "\"", "'", "none", ","]).parse().ok();
    options.csv.encoding =
        pick(2, &["", "utf-8", "windows-1252", "utf-16le", "utf-16be", "shift_jis", "iso-2022-jp", "gb18030"])
            .parse()
            .ok();
    options.csv.missing = pick(3, &["", "?", "-,none", "0", "NA,-999,x"]).parse().unwrap_or_default();
    options.media_type =
        Some(pick(4, &["", "text/csv", "text/tab-separated-values", "text/csv; charset=utf-16"]).into());
    options.csv.header = match head[5] & 3 {
        1 => ingest::HeaderRow::Present,
        2 => ingest::HeaderRow::None,
        _ => ingest::HeaderRow::Auto,
    };
    roles(&mut options, head[5] >> 2);
    Some((options, rest))
}

fn roles(options: &mut Options, bits: u8) {
    let named = |bit: u8, name: &str| (bits & bit != 0).then(|| name.to_owned());
    options.roles.label = named(1, "a").filter(|_| bits & 8 == 0);
    options.roles.id = named(2, "b").filter(|_| bits & 8 == 0);
    options.roles.ignore = named(16, "x0").into_iter().collect();
}

/// The first whole lines of a cut file are read as a file.
fn cut(data: &[u8], options: &Options) {
    let options = Options { limits: limits(), ..options.clone() };
    if let Ok(lines) = ingest::whole_lines(&Bytes::copy_from_slice(data), &options) {
        assert!(data.starts_with(&lines));
        let _ = read(&lines, &options);
    }
}

/// Unpacks and, where that goes well, reads what it is; wants [`only_ours_may_not_panic`]. No more is unpacked than is allowed.
pub fn packed(data: &[u8]) {
    use ingest::Coding::{Deflate, Gzip, Zstd};
    let limits = limits();
    for coding in [Gzip, Zstd, Deflate] {
        match ingest::unpack(&mut &data[..], coding, &limits) {
            Ok(unpacked) => {
                assert!(unpacked.len() as u64 <= limits.bytes);
                let start = ingest::unpack_start(&mut &data[..], coding, 100).expect("the start of what is whole");
                assert!(unpacked.starts_with(&start) && start.len() == unpacked.len().min(100));
                let options = Options { limits: limits.clone(), ..Options::default() };
                if let Ok(found) = read(&unpacked, &options) {
                    check(&found, &limits);
                }
            }
            Err(error) => check_error(&error),
        }
    }
}

/// Lets decoders of others panic where the readers catch it; a panic in our own files still ends the run.
pub fn only_ours_may_not_panic() {
    std::panic::set_hook(Box::new(|info| {
        let of_others = info.location().is_some_and(|l| {
            l.file().contains("/registry/") || l.file().contains("/rustc/") || l.file().contains("/library/")
        });
        if !of_others {
            eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
            std::process::abort();
        }
    }));
}
