//! The README's tour, command by command, in a copy of the repository as git has it.

use crate::lab::{Ran, examples};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One block of commands of the README and the exit code that it must end with.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    line: usize,
    code: i32,
    commands: String,
}

fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = readme.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let Some(head) = line.strip_prefix("<!-- tour").and_then(|it| it.strip_suffix(" -->"))
        else {
            continue;
        };
        let code = head.strip_prefix(": exit ").map_or(0, |it| it.parse().expect("a code"));
        let (at, fence) = lines.next().expect("a block follows");
        assert_eq!(fence, "```sh", "line {}", at + 1);
        let commands: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        blocks.push(Block { line: at + 2, code, commands: commands.join("\n") });
    }
    blocks
}

/// A copy of everything that git has or would take, as a clone would give it.
fn copy(to: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args(["ls-files", "-z", "-co", "--exclude-standard", "README.md", "stacks"])
        .current_dir(root)
        .output()
        .expect("git lists files");
    for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
        let target = to.join(name);
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::copy(root.join(name), &target).expect("copies");
    }
}

fn shell(folder: &Path, script: &str) -> Ran {
    let bin = Path::new(env!("CARGO_BIN_EXE_hive")).parent().expect("a folder").to_owned();
    let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", bin.display(), examples().display());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder)
        .env("USER", "tester")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    Ran::of(output)
}

/// Takes everything down, also when the tour fails half-way.
struct Clean(PathBuf);

impl Drop for Clean {
    fn drop(&mut self) {
        for stack in ["stacks/quickstart", "stacks/shop"] {
            for environment in ["dev", "staging"] {
                let script = format!(
                    "hive unfreeze {stack} -e {environment}; hive destroy {stack} -e {environment} -y"
                );
                shell(&self.0, &script.replace("; ", " || true; "));
            }
        }
    }
}

#[test]
fn every_command_of_the_tour_does_what_the_readme_says() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    copy(folder.path());
    let _clean = Clean(folder.path().to_owned());
    let readme = fs::read_to_string(folder.path().join("README.md")).expect("a README");
    let blocks = blocks(&readme);
    assert!(blocks.len() >= 13, "the tour has only {} blocks", blocks.len());

    // The first command, but for the build, which cargo has done.
    let first = shell(folder.path(), "hive apply stacks/quickstart -y");
    assert_eq!(first.code, 0, "{first}");
    let mut said = Vec::new();
    for block in &blocks {
        let ran = shell(folder.path(), &block.commands);
        assert_eq!(ran.code, block.code, "README.md:{}\n{}\n{ran}", block.line, block.commands);
        said.push(ran.out);
    }
    let said_by = |part: &str| {
        let at = blocks.iter().position(|it| it.commands.contains(part)).expect("stands there");
        (at, &said[at])
    };
    let answered = |part: &str, greeting: &str| {
        let (at, said) = said_by(part);
        let passed_on = |it: &str| it.starts_with(greeting) && it.ends_with("passed on to you");
        assert!(said.lines().any(passed_on), "README.md:{} {said}", blocks[at].line);
    };
    answered("hive status", "Hello, ");
    answered("s/Hello/Welcome/", "Welcome, ");
    answered("hive restore 1", "Hello, ");
    let (_, plan) = said_by("hive migrate new");
    let (backup, migration) = (plan.find("back up database.main"), plan.find("0004_add_note"));
    assert!(backup.is_some() && migration.is_some(), "{plan}");
    let (_, back) = said_by("--with-data");
    assert!(back.contains("1 orders are lost") && back.lines().any(|it| it == "1 tea"), "{back}");
    let (_, kept) = said_by("ls stacks/shop/data");
    let backups = kept.lines().filter(|it| it.starts_with("20")).count();
    assert!(kept.contains("dev.db") && backups >= 3, "{kept}");
}
