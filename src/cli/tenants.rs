//! `adaptd tenants`: how many jobs of a tenant may run and wait, where it is not as the service's options say. For a
//! service that does not run, as it is for `adaptd keys`.

use clap::{Args, Subcommand};

use super::in_folder::Folder;
use crate::store::{Store, TenantRecord};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List tenants with their bounds
    List,
    /// Set the bounds of a tenant; one that is not named is as the service's options say
    Set {
        /// The tenant, as keys name it; made if it is not there
        #[arg(value_name = "TENANT", value_parser = super::in_folder::tenant)]
        id: crate::records::TenantId,
        /// Jobs that may run at a time; 0 has all of them wait
        #[arg(long, value_name = "N")]
        max_running: Option<u32>,
        /// Jobs that may wait; beyond it, new ones are answered 429 quota_exceeded
        #[arg(long, value_name = "N")]
        max_queued: Option<u32>,
    },
}

/// # Errors
/// If the service runs, or what is asked for cannot be.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let store = arguments.folder.open().await?;
    let done = act(store.as_ref(), arguments.command).await;
    store.close().await;
    done
}

async fn act(store: &dyn Store, command: Command) -> anyhow::Result<()> {
    if let Command::Set { id, max_running, max_queued } = command {
        store.set_tenant(TenantRecord { id, max_running, max_queued }).await?;
    }
    let shown = |bound: Option<u32>| bound.map_or("as the service says".to_owned(), |n| n.to_string());
    for TenantRecord { id, max_running, max_queued } in store.tenants().await? {
        println!("{}  running: {}  queued: {}", id.0, shown(max_running), shown(max_queued));
    }
    Ok(())
}
