//! One page of a list, by keyset: the items after a key, newest first or in order of the key.

/// The key of the last item of the page before; opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    pub after: Option<Cursor>,
    /// 1..=200
    pub limit: u32,
}
