//! Names of declared things: `service.api`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// One declared resource by kind and name, written `kind.name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    kind: String,
    name: String,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No dot, or more than one.
    #[error("`{0}` is not an address: write `kind.name`, as in `service.api`")]
    Shape(String),
    /// A character that no kind or name may have.
    #[error(
        "`{0}` is not a name: use lower-case letters, digits and `-`, begin with a letter, at most 63"
    )]
    Name(String),
}

impl Address {
    /// Makes an address from its two halves.
    ///
    /// # Errors
    /// Either half is not a name.
    pub fn new(kind: &str, name: &str) -> Result<Self, AddressError> {
        check_name(kind)?;
        check_name(name)?;
        Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// The sort of thing, such as `service`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name within its kind.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Checks one half of an address. Names become host names, file names and labels, so they are
/// DNS labels and nothing else.
///
/// # Errors
/// The text is not a DNS label that begins with a letter.
pub fn check_name(text: &str) -> Result<(), AddressError> {
    let good = text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good { Ok(()) } else { Err(AddressError::Name(text.to_owned())) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) =
            text.split_once('.').ok_or_else(|| AddressError::Shape(text.to_owned()))?;
        if name.contains('.') {
            return Err(AddressError::Shape(text.to_owned()));
        }
        Self::new(kind, name)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The part of a resource that every kind has, and most have alone.
pub const MAIN: &str = "main";

/// What one provider holds of a resource: written `service.api`, or `backup.main#schedule`
/// where the part is not [`MAIN`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The resource.
    pub address: Address,
    /// Which of its parts.
    pub part: String,
}

impl Target {
    /// The main part of a resource.
    pub fn main(address: Address) -> Self {
        Self { address, part: MAIN.to_owned() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part == MAIN {
            self.address.fmt(f)
        } else {
            write!(f, "{}#{}", self.address, self.part)
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('#') {
            None => Ok(Self::main(text.parse()?)),
            Some((address, part)) => {
                check_name(part)?;
                Ok(Self { address: address.parse()?, part: part.to_owned() })
            }
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
