//! What a plan depends on beyond store and providers: other stacks, and files that steps run.

use super::error::FlowError;
use super::foreign;
use super::session::Session;
use crate::apply::Outside;
use crate::plan::{BoundFile, Plan, Read};
use crate::stack::ForeignRef;
use hive_contract::{Fingerprint, Task};

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
            Err(FlowError::Foreign { .. }) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}
