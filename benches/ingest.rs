//! What an upload costs: megabytes a CPU second of the server and its peak of memory, for files of the formats that come
//! in bulk; and what the server takes before it has done anything.
//!
//! `cargo bench --bench ingest -- MB` writes files of so many megabytes (default 100) to a temporary folder, uploads each
//! to a server of its own, and prints a Markdown table. The client runs in this process; CPU time and memory of the
//! server are read from the kernel.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and starts threads")]

#[allow(dead_code, reason = "another benchmark uses the rest")]
mod load;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use load::{N_FEATURES, Server, table};
use parquet::arrow::ArrowWriter;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows that are written at a time.
const BLOCK_ROWS: usize = 10_000;

/// A format, and how blocks of its rows are written.
struct Kind {
    name: &'static str,
    write: fn(&Path, usize) -> anyhow::Result<()>,
}

const KINDS: [Kind; 4] = [
    Kind { name: "csv", write: write_csv },
    Kind { name: "ndjson", write: write_ndjson },
    Kind { name: "npy", write: write_npy },
    Kind { name: "parquet", write: write_parquet },
];

fn main() -> anyhow::Result<()> {
    // Cargo adds its own flags.
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let megabytes: usize = arguments.next().map_or(Ok(100), |a| a.parse()).context("megabytes")?;
    let folder = tempfile::tempdir()?;
    let began = Instant::now();
    let server = Server::ours(&folder.path().join("idle"))?;
    let cold = began.elapsed().as_secs_f64() * 1e3;
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_adaptd"))?.len() as f64 / 1e6;
    println!("listening after {cold:.0} ms; {:.1} MiB when idle; the program is {size:.0} MB", server.rss_mib()?);
    drop(server);
    println!("\n| upload | MB | seconds | CPU seconds | MB a CPU second | MiB beyond idle |");
    println!("|---|---|---|---|---|---|");
    for Kind { name, write } in KINDS {
        let file = folder.path().join(name);
        write(&file, megabytes * 1_000_000)?;
        let mb = std::fs::metadata(&file)?.len() as f64 / 1e6;
        let server = Server::ours(&folder.path().join("data"))?;
        let (idle, cpu, began) = (server.rss_mib()?, server.cpu()?, Instant::now());
        server.upload(&format!("/v1/domains/{name}?format={name}"), &file)?;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), server.cpu()? - cpu);
        let peak = server.peak_mib()? - idle;
        println!("| {name} | {mb:.0} | {seconds:.2} | {cpu:.2} | {:.0} | {peak:.0} |", mb / cpu);
        drop(server);
        std::fs::remove_file(&file)?;
        std::fs::remove_dir_all(folder.path().join("data"))?;
    }
    Ok(())
}

/// Appends blocks until the file has the size.
fn grow(
    path: &Path,
    size: usize,
    mut block: impl FnMut(&mut BufWriter<File>) -> anyhow::Result<usize>,
) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut n = 0;
    while n < size {
        n += block(&mut file)?;
    }
    Ok(file.flush()?)
}

fn write_csv(path: &Path, size: usize) -> anyhow::Result<()> {
    let block = table(BLOCK_ROWS, 0.0);
    let (_, rows) = block.split_once('\n').context("a header")?;
    let mut is_first = true;
    grow(path, size, |file| {
        let text = if std::mem::take(&mut is_first) { &block } else { rows };
        file.write_all(text.as_bytes())?;
        Ok(text.len())
    })
}

fn write_ndjson(path: &Path, size: usize) -> anyhow::Result<()> {
    let block = table(BLOCK_ROWS, 0.0);
    let mut lines = block.lines();
    let names: Vec<&str> = lines.next().context("a header")?.split(',').collect();
    let rows: String = lines
        .map(|line| {
            let cells = names.iter().zip(line.split(','));
            let quote = |cell: &str| if cell.starts_with('c') { format!("{cell:?}") } else { cell.to_owned() };
            let cells: Vec<String> = cells.map(|(name, cell)| format!("{name:?}:{}", quote(cell))).collect();
            format!("{{{}}}\n", cells.join(","))
        })
        .collect();
    grow(path, size, |file| {
        file.write_all(rows.as_bytes())?;
        Ok(rows.len())
    })
}

fn write_npy(path: &Path, size: usize) -> anyhow::Result<()> {
    let n_rows = (size / (8 * N_FEATURES)).div_ceil(BLOCK_ROWS) * BLOCK_ROWS;
    let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({n_rows}, {N_FEATURES}), }}\n");
    let block: Vec<u8> = numbers(BLOCK_ROWS * N_FEATURES).into_iter().flat_map(f64::to_le_bytes).collect();
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&u16::try_from(text.len())?.to_le_bytes())?;
    file.write_all(text.as_bytes())?;
    (0..n_rows / BLOCK_ROWS).try_for_each(|_| file.write_all(&block))?;
    Ok(file.flush()?)
}

fn write_parquet(path: &Path, size: usize) -> anyhow::Result<()> {
    let column = |j: usize| -> (String, ArrayRef) {
        (format!("feature_{j}"), Arc::new(Float64Array::from(numbers(BLOCK_ROWS + j)[j..].to_vec())))
    };
    let batch = RecordBatch::try_from_iter((0..N_FEATURES).map(column))?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?;
    while writer.bytes_written() + writer.in_progress_size() < size {
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(())
}

fn numbers(n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    (0..n).map(|_| rng.random::<f64>()).collect()
}
