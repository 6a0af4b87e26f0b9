//! What a client has seen of a thing before it changes it.

/// What has to hold of a stored thing, for a change of it to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The client does not say.
    Unsaid,
    /// That it is not there yet.
    Absent,
    /// That it is there, whatever became of it.
    Present,
    /// That it stands at one of these revisions.
    At(Vec<i64>),
}

impl Expected {
    /// Whether it holds of a thing at this revision; `None` is a thing that is not there.
    pub fn holds(&self, revision: Option<i64>) -> bool {
        match self {
            Expected::Unsaid => true,
            Expected::Absent => revision.is_none(),
            Expected::Present => revision.is_some(),
            Expected::At(any) => revision.is_some_and(|r| any.contains(&r)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Expected::{Absent, At, Present, Unsaid};

    #[test]
    fn what_is_not_there_has_no_revision() {
        let hold = |expected: super::Expected| [None, Some(3)].map(|r| expected.holds(r));
        assert_eq!(hold(Unsaid), [true, true]);
        assert_eq!(hold(Absent), [true, false]);
        assert_eq!(hold(Present), [false, true]);
        assert_eq!(hold(At(vec![2, 3])), [false, true]);
        assert_eq!(hold(At(vec![])), [false, false]);
    }
}
