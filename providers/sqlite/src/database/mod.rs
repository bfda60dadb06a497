//! The kind `database`: a file that hive may make, and never takes away.

pub(crate) mod claim;
pub(crate) mod lower;
pub(crate) mod steps;

/// Makes the file where it is absent, and puts hive's mark on it.
pub(crate) const CLAIM: &str = "claim";
/// Takes hive's mark off; the data stays.
pub(crate) const RELEASE: &str = "release";

/// Payload and access: the database's declared fields.
pub(crate) const OF: &str = "of";
/// Payload of [`CLAIM`]: a mark other than the step's own, for an undo.
pub(crate) const MARK: &str = "mark";
/// Payload of [`RELEASE`]: it stays known as nobody's, as after a forget.
pub(crate) const KEEPS: &str = "keeps";
