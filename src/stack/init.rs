//! Begins a stack: the only file of this room that writes.

use super::model::Problem;
use super::read::STACK_FILE;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes a small stack that can be applied as it is, and gives the files written. The folder is
/// made where it does not exist; nothing that exists is written over.
///
/// # Errors
/// There is a stack already, the name is none, or the files cannot be written.
pub fn init(folder: &Path, name: &str) -> Result<Vec<PathBuf>, Problem> {
    if let Err(error) = hive_contract::address::check_name(name) {
        let help = "give the stack a name, as in `hive init shop`".to_owned();
        return Err(Problem::nowhere(error.to_string(), Some(help)));
    }
    let refused = |path: &Path, error: std::io::Error| {
        Problem::nowhere(format!("`{}` cannot be written: {error}", path.display()), None)
    };
    std::fs::create_dir_all(folder).map_err(|error| refused(folder, error))?;
    let stack = folder.join(STACK_FILE);
    let staging = folder.join("staging.toml");
    match create(&stack, &STACK.replace("NAME", name)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let message = format!("there is a stack here already: `{}`", stack.display());
            let help = format!("look at it with `hive plan {}`", folder.display());
            return Err(Problem::nowhere(message, Some(help)));
        }
        written => written.map_err(|error| refused(&stack, error))?,
    }
    match create(&staging, STAGING) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(vec![stack]),
        Err(error) => Err(refused(&staging, error)),
        Ok(()) => Ok(vec![stack, staging]),
    }
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

const STACK: &str = r#"# What this stack declares. `hive plan` shows what would happen, `hive apply` does it.
# Every key is explained in docs/language.md; `hive schema` gives editors what they need.

[stack]
name = "NAME"

# What varies from outside: `hive apply --var greeting=hi`.
[variables]
greeting = { default = "hello" }

# A file that hive writes.
[config.greeting]
content = { format = "{greeting} from NAME\n", greeting = { var = "greeting" } }

# A condition that must hold. It refers to the file, so it comes after it.
[check.greeting]
command = ["test", "-s", { from = "config.greeting.path" }]

# Something that runs and must be healthy: take the `#` away, and put your program in.
#
# [service.web]
# ports = { http = 8080 }
# environment = { LOG_LEVEL = "info", API_TOKEN = { env = "API_TOKEN" } }
# files = { "/etc/greeting.txt" = "config.greeting" }
# health = { http = "/healthz" }
#
# [service.web.process]
# command = ["./web"]
"#;

const STAGING: &str = r#"# What differs in staging: `hive apply -e staging`.
# Tables merge with those of stack.toml by key; lists and values replace.

[config.greeting]
content = "hello from staging\n"

# What this environment does not have, and what guards it:
#
# [environment]
# remove = ["check.greeting"]
# on_failure = "halt"
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::tests::{fields, finished, read};
    use hive_contract::Value;

    #[test]
    fn what_init_writes_is_a_stack_in_both_environments() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("new");
        let written = init(&folder, "shop").expect("written");
        assert_eq!(written, [folder.join("stack.toml"), folder.join("staging.toml")]);
        let dev = finished(read(&folder, "dev"));
        assert_eq!(fields(&dev, "config.greeting")["content"], Value::from("hello from shop\n"));
        let staging = finished(read(&folder, "staging"));
        let content = &fields(&staging, "config.greeting")["content"];
        assert_eq!(content, &Value::from("hello from staging\n"));
    }

    #[test]
    fn what_is_commented_out_is_right_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, service) = STACK.split_once("#\n# [service").expect("it is there");
        let service = format!("[service{}", service.replace("\n# ", "\n").replace("\n#\n", "\n"));
        let shown = STACK.replace("NAME", "shop");
        let text = format!("{shown}{}", service.replace("./web", "sh"));
        std::fs::write(folder.path().join("stack.toml"), text).expect("written");
        assert_eq!(finished(read(folder.path(), "dev")).declared.len(), 3);
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("staging.toml"), "mine").expect("written");
        assert_eq!(init(folder.path(), "shop").expect("written").len(), 1);
        let again = init(folder.path(), "shop").expect_err("it is there");
        assert!(again.message.starts_with("there is a stack here already"), "{}", again.message);
        let staging = std::fs::read_to_string(folder.path().join("staging.toml"));
        assert_eq!(staging.expect("read"), "mine");
        assert!(init(&folder.path().join("x"), "Not A Name").is_err());
        assert!(!folder.path().join("x").exists());
    }
}
