//! Where one alert lies: its identity and its rule file.

use crate::Base;
use hive_contract::{Failure, FailureKind};
use hive_objects::Claims;
use std::path::PathBuf;

/// The place of one alert. Its identity is `shop/dev/alert.api-down`: a folder of rules may be
/// shared by many stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The stack's name.
    pub(crate) stack: String,
    /// The environment, with its instance.
    pub(crate) environment: String,
    /// The alert's name.
    pub(crate) name: String,
}

impl Spot {
    /// The spot of an identity.
    ///
    /// # Errors
    /// It is not an identity that `lower` gives.
    pub(crate) fn parse(identity: &str) -> Result<Self, Failure> {
        let parts = || {
            let (stack, rest) = identity.split_once('/')?;
            let (environment, name) = rest.split_once("/alert.")?;
            Some([stack, environment, name])
        };
        let is_one_name = |text: &&str| {
            !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\0', '\n'])
        };
        match parts().filter(|parts| parts.iter().all(is_one_name)) {
            Some([stack, environment, name]) => Ok(Self {
                stack: stack.to_owned(),
                environment: environment.to_owned(),
                name: name.to_owned(),
            }),
            None => Err(Failure::new(
                FailureKind::Malformed,
                format!("`{identity}` is not an alert's identity"),
            )),
        }
    }

    /// What the live system knows it by.
    pub(crate) fn identity(&self) -> String {
        format!("{}/{}/alert.{}", self.stack, self.environment, self.name)
    }

    /// The name of the rule group, and of the file without its ending. No name has a dot, so no two
    /// alerts share it. It never changes for an identity: Prometheus carries a firing alert over a
    /// reload only by file, group, name and labels.
    pub(crate) fn group(&self) -> String {
        format!("{}.{}.{}", self.stack, self.environment, self.name)
    }

    /// The rule file.
    pub(crate) fn file(&self, base: &Base) -> PathBuf {
        base.rules.join(format!("{}.yml", self.group()))
    }

    /// The rule file as a person would name it.
    pub(crate) fn shown(&self, base: &Base) -> String {
        format!("{}/{}.yml", base.named, self.group())
    }
}

impl Base {
    /// What steps prepare. Prometheus loads `*.yml` of the folder itself and nothing below it.
    pub(crate) fn claims(&self) -> Claims {
        Claims::new(self.rules.join(".steps"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_back() {
        let spot = Spot::parse("shop/dev+one/alert.api-down").expect("parses");
        assert_eq!(spot.identity(), "shop/dev+one/alert.api-down");
        assert_eq!(spot.group(), "shop.dev+one.api-down");
        for wrong in ["shop/dev", "shop/alert.x", "a/b/c/alert.x", "../dev/alert.x", "a/b/alert."] {
            assert!(Spot::parse(wrong).is_err(), "{wrong}");
        }
    }
}
