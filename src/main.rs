//! Parses the command line and hands over.

use std::process::ExitCode;

use adaptd::cli::{self, Cli};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    spare_huge_pages();
    raise_descriptor_limit();
    match cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("adaptd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the kernel to back memory by small pages. The allocator asks for huge ones, of which an idle service would fill
/// sixteen MiB and an upload would have more cleared than it uses; matrix products are no slower for it (measured).
fn spare_huge_pages() {
    // Where the kernel will not, memory is only less well used.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Takes as many descriptors as the system gives: every stream that is open takes one, and shells start with 1,024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, the limit stays.
    let _ = setrlimit(Resource::Nofile, limit);
}
