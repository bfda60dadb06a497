//! What is taken as it is: what somebody changed by hand, and files that only say the same in other
//! words.

use super::making::{ACCEPT, ROWS};
use super::{Making, row_value};
use crate::Migration;
use hive_contract::{Fields, Operation, Value};

impl Making<'_> {
    /// Takes it as it is. Nothing takes that back: what the step changes is what hive compares with,
    /// and that is what a plan shows again. Nobody has to be stopped for it.
    pub(super) fn accept(&self) -> Option<Operation> {
        let (drift, compared) = (self.drift, self.compared);
        if drift.is_empty() && compared.reworded.is_empty() {
            return None;
        }
        let list = self.material().migrations.list();
        let reworded: Vec<&Migration> = compared.reworded.iter().map(|at| &list[*at]).collect();
        let rows = reworded.iter().map(|it| row_value(it)).collect();
        let payload = Fields::from([
            (ROWS.to_owned(), Value::List(rows)),
            ("drift".to_owned(), Value::Bool(!drift.is_empty())),
        ]);
        let title = match drift.len() {
            0 => "take the files as they are now".to_owned(),
            1 => "take what was changed by hand as it is".to_owned(),
            count => format!("take {count} objects that were changed by hand as they are"),
        };
        let mut step = self.operation(ACCEPT, title, payload);
        step.notes = drift.iter().map(|(object, words)| format!("{object}: {words}")).collect();
        step.notes.extend(reworded.iter().map(|it| {
            format!("{}: only blanks or comments are other than when it was applied", it.up.file)
        }));
        step.notes.push("nothing of the data or the schema changes".to_owned());
        Some(step)
    }
}
