//! What a plan depends on beyond store and providers: other stacks, and files that steps run.

use super::foreign::{self, NoValue};
use super::session::Session;
use crate::apply::Outside;
use crate::plan::{BoundFile, Plan, Read};
use crate::stack::ForeignRef;
use hive_contract::{Fingerprint, Task};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Larger files are bound by digest alone and not copied into the store: programs may be large.
const KEPT: u64 = 1024 * 1024;

impl Outside for Session {
    fn moved<'a>(&'a self, plan: &'a Plan) -> Task<'a, Result<Vec<String>, String>> {
        Box::pin(async move {
            let mut moved: Vec<String> =
                plan.files.iter().filter_map(|file| self.file_moved(file)).collect();
            for read in &plan.reads {
                if let Read::Foreign { stack, environment, output, fingerprint } = read
                    && !self.foreign_holds(stack, environment, output, fingerprint).await?
                {
                    moved.push(crate::apply::read_words(read));
                }
            }
            Ok(moved)
        })
    }

    fn content<'a>(&'a self, file: &'a BoundFile) -> Task<'a, Result<Option<Vec<u8>>, String>> {
        Box::pin(async move { kept(&self.at.folder, file) })
    }
}

/// The content of a bound file that is not too large; it must still be the one that was planned.
fn kept(folder: &Path, file: &BoundFile) -> Result<Option<Vec<u8>>, String> {
    let unreadable = |error| format!("the file `{}` cannot be read: {error}", file.path);
    let opened = File::open(folder.join(&file.path)).map_err(unreadable)?;
    let mut bytes = Vec::new();
    opened.take(KEPT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > KEPT {
        return Ok(None);
    }
    match Fingerprint::of_bytes(&bytes) == file.digest {
        true => Ok(Some(bytes)),
        false => Err(format!("the file `{}` moved", file.path)),
    }
}

impl Session {
    fn file_moved(&self, file: &BoundFile) -> Option<String> {
        match std::fs::read(self.at.folder.join(&file.path)) {
            Ok(bytes) if Fingerprint::of_bytes(&bytes) == file.digest => None,
            Ok(_) => Some(format!("the file `{}` moved", file.path)),
            Err(error) => Some(format!("the file `{}` cannot be read: {error}", file.path)),
        }
    }

    async fn foreign_holds(
        &self,
        stack: &str,
        environment: &str,
        output: &str,
        fingerprint: &Fingerprint,
    ) -> Result<bool, String> {
        let Some((address, output)) = output.rsplit_once('.') else { return Ok(false) };
        let reference = ForeignRef {
            stack: stack.to_owned(),
            environment: environment.to_owned(),
            address: address.parse().map_err(|error| format!("{error}"))?,
            output: output.to_owned(),
        };
        match foreign::value(&self.at.folder, &reference).await {
            Ok(value) => Ok(Fingerprint::of(&value) == *fingerprint),
            Err(NoValue::Unknown(_)) => Ok(false),
            Err(NoValue::Store(error)) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_kept_a_large_one_not_and_another_one_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let bound = |content: &[u8]| {
            std::fs::write(folder.path().join("f"), content).expect("writes");
            BoundFile { path: "f".to_owned(), digest: Fingerprint::of_bytes(content) }
        };
        let at_most = vec![b'x'; usize::try_from(KEPT).expect("fits")];
        let largest = bound(&at_most);
        assert_eq!(kept(folder.path(), &largest), Ok(Some(at_most.clone())));
        let larger = bound(&[at_most, vec![b'x']].concat());
        assert_eq!(kept(folder.path(), &larger), Ok(None));
        bound(b"another");
        assert_eq!(kept(folder.path(), &largest), Err("the file `f` moved".to_owned()));
        std::fs::remove_file(folder.path().join("f")).expect("removes");
        assert!(kept(folder.path(), &largest).expect_err("gone").contains("cannot be read"));
    }
}
