//! The first stack that anybody reads, and the program that plays its services.

use hive::stack::{self, Stack};
use hive_contract::{Address, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn examples() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    test.ancestors().nth(2).expect("target/debug").join("examples")
}

fn quickstart(environment: &str) -> Stack {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stacks/quickstart");
    let (none, path) = (BTreeMap::new(), examples());
    let parsed = stack::parse(&folder, environment, None, &none, &none, Some(path.as_os_str()));
    let parsed = parsed.unwrap_or_else(|problems| panic!("{environment}: {problems:#?}"));
    parsed.finish(&BTreeMap::new()).expect("it takes nothing from other stacks")
}

fn field(stack: &Stack, address: &str, field: &str) -> Option<Value> {
    let address: Address = address.parse().expect("an address");
    let path = hive_contract::FieldPath::parse(field);
    hive_contract::path::get(&stack.declared[&address].fields, &path).cloned()
}

#[test]
fn the_quickstart_is_right_in_each_environment() {
    let (dev, staging) = (quickstart("dev"), quickstart("staging"));
    let addresses: Vec<String> = dev.declared.keys().map(ToString::to_string).collect();
    let expected = [
        "alert.greeter-down",
        "check.front",
        "config.greeting",
        "service.front",
        "service.greeter",
    ];
    assert_eq!(addresses, expected);
    assert!(dev.declared.keys().eq(staging.declared.keys()));
    let audience = |stack| field(stack, "service.greeter", "environment.AUDIENCE");
    assert_eq!(audience(&dev), Some(Value::text("developers")));
    assert_eq!(audience(&staging), Some(Value::text("testers")));
    assert_eq!(field(&staging, "service.greeter", "replicas"), Some(Value::Int(2)));
    assert_eq!(field(&staging, "alert.greeter-down", "severity"), Some(Value::text("page")));
}

/// A running greeter, killed at the end.
struct Greeter {
    child: Child,
    url: String,
}

impl Greeter {
    fn start(variables: &[(&str, &str)]) -> Self {
        // Given back at once: the next who asks for any port gets another.
        let free = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("address");
        let mut command = Command::new(examples().join("greeter"));
        command.env_clear().env("PORT", free.port().to_string()).envs(variables.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("greeter starts");
        let mut line = String::new();
        let stderr = child.stderr.as_mut().expect("a pipe");
        BufReader::new(stderr).read_line(&mut line).expect("it says that it listens");
        assert!(line.contains("greets"), "{line}");
        Self { child, url: format!("http://{free}") }
    }

    fn get(&self, path: &str) -> (String, String) {
        let address = self.url.strip_prefix("http://").expect("a url");
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("asks");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("is HTTP");
        (head.split(' ').nth(1).expect("a status").to_owned(), body.to_owned())
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn greeters_greet_and_ask_each_other() {
    let files = tempfile::tempdir().expect("folder");
    std::fs::create_dir(files.path().join("etc")).expect("folder");
    std::fs::write(files.path().join("etc/greeter.toml"), "greeting = \"Hi\"\n").expect("writes");
    let files = files.path().display().to_string();
    let greeter = Greeter::start(&[("HIVE_FILES", &files), ("RELEASE", "2"), ("AUDIENCE", "you")]);
    let front = Greeter::start(&[("UPSTREAM_URL", &greeter.url)]);
    let (ok, greeting) = ("200".to_owned(), "Hi, you! (release 2)\n".to_owned());
    assert_eq!(greeter.get("/"), (ok.clone(), greeting.clone()));
    assert_eq!(greeter.get("/healthz"), (ok.clone(), "healthy\n".to_owned()));
    let passed_on = "Hi, you! (release 2), passed on to world\n".to_owned();
    assert_eq!(front.get("/"), (ok.clone(), passed_on));
    assert_eq!(front.get("/upstream"), (ok, format!("{} says: {greeting}", greeter.url)));
    assert_eq!(greeter.get("/upstream").0, "404");
    drop(greeter);
    assert_eq!(front.get("/upstream").0, "502");
    assert_eq!(front.get("/").0, "502");
    assert_eq!(Greeter::start(&[("GREETER_BROKEN", "1")]).get("/healthz").0, "500");
}
