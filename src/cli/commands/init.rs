//! `hive init`: a small stack to begin with.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::flow::FlowError;
use crate::render::{Site, words};
use crate::stack;
use std::path::{Path, PathBuf};

/// Writes a small stack into a folder that has none.
///
/// # Errors
/// There is one, or it cannot be written.
pub fn run(desk: &Desk, args: args::OfFolder) -> Result<Exit, Ended> {
    let here = &desk.outside.folder;
    let folder = args.folder.as_ref().map_or_else(|| here.clone(), |it| here.join(it));
    let name = name_of(&folder);
    let files = stack::init(&folder, &name)
        .map_err(|problem| Ended::Flow(FlowError::Stack(vec![problem])))?;
    let shown = |path: &PathBuf| path.strip_prefix(here).unwrap_or(path).display().to_string();
    let files: Vec<String> = files.iter().map(shown).collect();
    let site = Site::of(here, &folder, None, None);
    let wrote = format!("wrote {}; `hive plan` shows what would happen\n", words::list(&files));
    desk.screen.result(&site.complete(&wrote));
    Ok(Exit::Done)
}

/// A name for the stack, made of the folder's.
fn name_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = folder.file_name().map(|it| it.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(40)
        .collect();
    match name.trim_end_matches('-') {
        "" => "stack".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_has_a_name() {
        for (folder, name) in [
            ("/nowhere/My Shop 2", "my-shop-2"),
            ("/nowhere/7up", "up"),
            ("/nowhere/été", "t"),
            ("/", "stack"),
        ] {
            let name_of = name_of(Path::new(folder));
            assert_eq!(name_of, name);
            assert!(hive_contract::address::check_name(&name_of).is_ok());
        }
    }
}
