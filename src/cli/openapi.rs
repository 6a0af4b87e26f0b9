//! `adaptd openapi`: prints the document that is committed as openapi.yaml.

/// # Errors
/// If the document cannot be written.
pub(super) fn run() -> anyhow::Result<()> {
    print!("{}", crate::api::document_yaml().map_err(anyhow::Error::msg)?);
    Ok(())
}
