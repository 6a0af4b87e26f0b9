//! `adaptd keys`: makes, lists and revokes keys in the data folder of a service that does not run. One that runs does the
//! same by `/v1/keys`.

use anyhow::bail;
use clap::{Args, Subcommand};

use super::in_folder::Folder;
use crate::records::{Clock as _, Cursor, KeyId, KeyRecord, PageRequest, Scope, SystemClock, TenantId};
use crate::service::{NewKey, NewRateLimit, make_key};
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    folder: Folder,
    /// Whose keys these are
    #[arg(long, value_name = "NAME", default_value = "default", global = true, value_parser = super::in_folder::tenant)]
    tenant: TenantId,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key; its secret is printed this once
    Create {
        /// What people call it
        #[arg(long, value_name = "TEXT")]
        name: String,
        /// What it allows, separated by commas
        #[arg(long, value_name = "SCOPES", value_delimiter = ',', required = true, value_parser = scope)]
        scopes: Vec<Scope>,
        /// When it expires, as an ISO 8601 duration such as P90D; never by default
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<String>,
        /// How often it may ask, as requests/duration such as 600/PT1M; as often as it likes by default
        #[arg(long, value_name = "LIMIT", value_parser = rate_limit)]
        rate_limit: Option<NewRateLimit>,
    },
    /// List keys, newest first
    List,
    /// Revoke a key
    Revoke {
        /// Its id, key_…
        #[arg(value_name = "ID")]
        id: String,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    text.trim().parse().map_err(|()| format!("scopes are {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

fn rate_limit(text: &str) -> Result<NewRateLimit, String> {
    let parts = text.split_once('/').and_then(|(n, window)| Some((n.parse().ok()?, window.to_owned())));
    let (requests, window) = parts.ok_or("a limit is requests/duration, such as 600/PT1M")?;
    Ok(NewRateLimit { requests, window })
}

/// # Errors
/// If the service runs, or what is asked for cannot be.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let store = arguments.folder.open().await?;
    let done = act(store.as_ref(), arguments.tenant, arguments.command).await;
    store.close().await;
    done
}

async fn act(store: &dyn Store, tenant: TenantId, command: Command) -> anyhow::Result<()> {
    let now = SystemClock.now();
    match command {
        Command::Create { name, scopes, expires_in, rate_limit } => {
            let fresh = make_key(store, tenant, NewKey { name, scopes, expires_in, rate_limit }, now).await?;
            eprintln!("{} is made; this is its secret, which is not shown again:", fresh.record.id);
            println!("{}", fresh.token);
        }
        Command::List => {
            let mut page = PageRequest { after: None, limit: 200 };
            loop {
                let keys = store.keys(&tenant, &page).await?;
                keys.iter().for_each(print);
                let Some(last) = keys.last().filter(|_| keys.len() == page.limit as usize) else { break };
                page.after = Some(Cursor(last.id.to_string()));
            }
        }
        Command::Revoke { id } => {
            let Ok(id) = id.parse::<KeyId>() else { bail!("{id:?} is not the id of a key") };
            if store.revoke_key(&tenant, id, now).await?.is_none() {
                bail!("{} has no key {id}", tenant.0);
            }
            eprintln!("{id} is revoked");
        }
    }
    Ok(())
}

fn print(key: &KeyRecord) {
    let scopes: Vec<&str> = key.scopes.iter().map(|s| s.as_str()).collect();
    let end = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) => format!("expires {at}"),
        (None, None) => "does not expire".to_owned(),
    };
    println!("{}  {}  {}  {end}  {:?}", key.id, key.created_at, scopes.join(","), key.name);
}
