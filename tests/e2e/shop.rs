//! The stack with a database in a file, and the program that plays its service.

use crate::lab::examples;
use hive::stack::{self, Stack};
use hive_contract::{Address, FieldPath, Value, path};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A stack of the repository in one environment, which must be right.
pub(crate) fn declared(folder: &str, environment: &str) -> Stack {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (none, path) = (BTreeMap::new(), examples());
    let parsed = stack::parse(&folder, environment, None, &none, &none, Some(path.as_os_str()));
    let parsed = parsed.unwrap_or_else(|problems| panic!("{environment}: {problems:#?}"));
    parsed.finish(&BTreeMap::new()).expect("it takes nothing from other stacks")
}

/// What stands at a path of a resource's declared fields.
pub(crate) fn field(stack: &Stack, address: &str, field: &str) -> Option<Value> {
    let address: Address = address.parse().expect("an address");
    path::get(&stack.declared[&address].fields, &FieldPath::parse(field)).cloned()
}

/// What a resource waits for beyond its references.
pub(crate) fn uses(stack: &Stack, address: &str) -> Vec<String> {
    let address: Address = address.parse().expect("an address");
    stack.declared[&address].uses.iter().map(ToString::to_string).collect()
}

#[test]
fn the_shop_is_right_in_each_environment() {
    let (dev, staging) = (declared("stacks/shop", "dev"), declared("stacks/shop", "staging"));
    let addresses: Vec<String> = dev.declared.keys().map(ToString::to_string).collect();
    let expected = [
        "alert.shop-down",
        "backup.main",
        "check.orders",
        "database.main",
        "migrations.main",
        "service.shop",
    ];
    assert_eq!(addresses, expected);
    assert!(dev.declared.keys().eq(staging.declared.keys()));
    for (stack, path, undo, days) in
        [(&dev, "data/dev.db", "stay", 7), (&staging, "data/staging.db", "down", 30)]
    {
        assert_eq!(field(stack, "migrations.main", "of.path"), Some(Value::text(path)));
        assert_eq!(field(stack, "backup.main", "of.path"), Some(Value::text(path)));
        assert_eq!(field(stack, "migrations.main", "undo"), Some(Value::text(undo)));
        let within = field(stack, "backup.main", "keep.within");
        assert_eq!(within, Some(Value::Int(days * 24 * 60 * 60 * 1000)));
        let files = field(stack, "migrations.main", "files").expect("files");
        assert_eq!(files.as_list().map(<[Value]>::len), Some(6));
        assert_eq!(uses(stack, "service.shop"), ["migrations.main"]);
        assert_eq!(uses(stack, "migrations.main"), ["backup.main", "database.main"]);
    }
}

/// A running shop, killed at the end.
struct Shop {
    child: Child,
    address: String,
}

impl Shop {
    fn start(variables: &[(&str, &str)]) -> Self {
        // Given back at once: the next who asks for any port gets another.
        let free = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("address");
        let mut command = Command::new(examples().join("shop"));
        command.env_clear().env("PORT", free.port().to_string()).envs(variables.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("shop starts");
        let mut line = String::new();
        let stderr = child.stderr.as_mut().expect("a pipe");
        BufReader::new(stderr).read_line(&mut line).expect("it says that it listens");
        assert!(line.contains("takes orders"), "{line}");
        Self { child, address: free.to_string() }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")
            .expect("asks");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("is HTTP");
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        (status, body.to_owned())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_shop_takes_lists_and_loses_orders_on_every_schema_of_its_migrations() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("shop.db");
    let path = file.display().to_string();
    let shop = Shop::start(&[("DATABASE", &path)]);
    assert_eq!(shop.ask("GET", "/healthz", "").0, 500);
    assert!(!file.exists(), "it made a database");

    let database = rusqlite::Connection::open(&file).expect("opens");
    assert_eq!(shop.ask("GET", "/healthz", "").0, 500);
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("stacks/shop/migrations/main");
    let mut names: Vec<_> =
        std::fs::read_dir(migrations).expect("lists").flatten().map(|it| it.path()).collect();
    names.sort();
    let run = |ending: &str, each: &mut dyn FnMut()| {
        for path in names.iter().filter(|it| it.to_string_lossy().ends_with(ending)) {
            let text = std::fs::read_to_string(path).expect("reads");
            database.execute_batch(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            each();
        }
    };
    let mut orders = 0;
    run(".up.sql", &mut || {
        orders += 1;
        assert_eq!(shop.ask("POST", "/orders", " tea\n"), (200, format!("order {orders}\n")));
        assert_eq!(shop.ask("GET", "/healthz", ""), (200, "healthy\n".to_owned()));
    });
    assert_eq!(shop.ask("GET", "/orders", "").1, "1 tea\n2 tea\n3 tea\n");
    assert_eq!(shop.ask("POST", "/orders", " ").0, 400);
    assert_eq!(shop.ask("GET", "/nothing", "").0, 404);
    assert_eq!(shop.ask("DELETE", "/orders", "").1, "3 orders are lost\n");
    assert_eq!(shop.ask("GET", "/orders", ""), (200, String::new()));
    let broken = Shop::start(&[("DATABASE", &path), ("SHOP_BROKEN", "1"), ("RELEASE", "2")]);
    assert_eq!(broken.ask("GET", "/healthz", "").0, 500);
    assert_eq!(broken.ask("GET", "/", "").1, "the shop, release 2\n");

    names.reverse();
    for path in names.iter().filter(|it| it.to_string_lossy().ends_with(".down.sql")) {
        let text = std::fs::read_to_string(path).expect("reads");
        database.execute_batch(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }
    assert_eq!(shop.ask("GET", "/healthz", "").0, 500);
}
