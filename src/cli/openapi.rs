//! `adaptd openapi`: prints the document that is committed as openapi.yaml.

/// # Errors
/// If the document cannot be written.
pub(super) fn run() -> Result<(), String> {
    print!("{}", crate::api::document_yaml()?);
    Ok(())
}
