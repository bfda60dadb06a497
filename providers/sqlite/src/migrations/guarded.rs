//! What a migration's SQL may do: SQLite asks while it prepares each statement.

use crate::books;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// A connection on which only a migration's SQL runs, until it is dropped.
pub(super) struct Guarded<'c> {
    connection: &'c Connection,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    refused: Option<String>,
    touched: BTreeSet<String>,
}

impl<'c> Guarded<'c> {
    /// Guards a connection.
    pub(super) fn new(connection: &'c Connection) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let inside = Arc::clone(&seen);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            let mut seen = inside.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(table) = touched(&context.action) {
                seen.touched.insert(table.to_lowercase());
            }
            match refused(&context.action) {
                None => Authorization::Allow,
                Some(why) => {
                    seen.refused.get_or_insert(why);
                    Authorization::Deny
                }
            }
        }));
        Self { connection, seen }
    }

    /// Why the last statement was refused.
    pub(super) fn refused(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }

    /// The tables whose rows or columns the statements so far may have changed, in lower case.
    pub(super) fn touched(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).touched.clone()
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    }
}

fn touched<'a>(action: &AuthAction<'a>) -> Option<&'a str> {
    let table = match action {
        AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateVtable { table_name, .. }
        | AuthAction::DropVtable { table_name, .. }
        | AuthAction::Update { table_name, .. } => table_name,
        _ => return None,
    };
    (!table.starts_with("sqlite_")).then_some(table)
}

fn refused(action: &AuthAction<'_>) -> Option<String> {
    match action {
        AuthAction::Transaction { .. } => {
            Some("a migration may not begin or end a transaction: hive does".to_owned())
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Some("a migration may not open another database".to_owned())
        }
        AuthAction::Pragma { pragma_name, pragma_value: Some(_) }
            if pragma_name.eq_ignore_ascii_case("writable_schema") =>
        {
            Some("a migration may not write SQLite's own tables".to_owned())
        }
        AuthAction::CreateIndex { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::CreateTempTrigger { table_name, .. }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::DropTrigger { table_name, .. }
        | AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::AlterTable { table_name, .. }
            if books::is_own(table_name) =>
        {
            Some(format!("`{table_name}` is hive's own"))
        }
        _ => None,
    }
}
