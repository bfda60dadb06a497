//! What a wrong stack gets: file, line, column, message and what to do.

use super::{folder, parse, read, shown};
use std::collections::BTreeMap;

/// The problems of `[stack] name = "s"` followed by this text, which begins in line 3.
fn problems(text: &str) -> String {
    of(&[("stack.toml", &format!("[stack]\nname = \"s\"\n{text}"))], "dev")
}

fn of(files: &[(&str, &str)], environment: &str) -> String {
    let folder = folder(files);
    let problems = read(folder.path(), environment).expect_err("it is wrong");
    shown(&problems).replace(folder.path().to_str().expect("text"), "HERE")
}

const PROCESS: &str = "process = { command = [\"sh\"] }\n";

#[test]
fn print_all() {
    println!(
        "{}",
        problems(
            "[service.api]\nreplica = 2\nreplicas = \"three\"\nimage = \"x\"\nprocess = { command = [1] }\n"
        )
    );
    println!("{}", problems("[database.main]\n[servce.x]\n[config.Bad]\n"));
    println!(
        "{}",
        problems(&format!(
            "[service.a]\nuses=[\"service.b\"]\n{PROCESS}[service.b]\nenvironment = {{ X = {{ from = \"service.a.url\" }} }}\n{PROCESS}"
        ))
    );
}
