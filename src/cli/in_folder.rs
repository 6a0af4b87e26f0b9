//! The data folder of a service that does not run, as commands open it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::records::{Name, TenantId};
use crate::store::{SqliteOptions, SqliteStore, Store};

/// Which folder.
#[derive(Debug, Args)]
pub struct Folder {
    /// The folder of the service
    #[arg(long, value_name = "DIR", env = "ADAPTD_DATA", default_value = "adaptd-data", global = true)]
    data: PathBuf,
}

impl Folder {
    /// The store in it, made if it is not there.
    ///
    /// # Errors
    /// If the service runs, or the folder cannot be used.
    pub(super) async fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        let shown = self.data.display();
        std::fs::create_dir_all(&self.data).with_context(|| shown.to_string())?;
        let store = SqliteStore::open(&self.data.join("adaptd.db"), SqliteOptions::default()).await;
        Ok(Arc::new(store.with_context(|| format!("{shown}: if the service runs, stop it"))?))
    }
}

/// Tenants are named as domains are.
pub(super) fn tenant(text: &str) -> Result<TenantId, String> {
    text.parse::<Name>().map(|name| TenantId(name.to_string())).map_err(|e| e.to_string())
}
