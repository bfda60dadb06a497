//! The suite that every provider passes, for each way of looking.

use crate::Check;
use hive_contract::testing::conformance::{self, Fixtures};
use hive_contract::{Declared, Fields, Provider, SecretRef, StackMark, Value};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

struct Looks {
    holds: Fields,
    does_not: Fields,
    secret: Option<Fields>,
}

fn declare(fields: &Fields) -> Declared {
    Declared {
        address: "check.smoke".parse().expect("address"),
        fields: fields.clone(),
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    }
}

impl Fixtures for Looks {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Check::connect(Path::new("/"), &Fields::new()).expect("connects"))
    }

    fn owner(&self) -> StackMark {
        let text = str::to_owned;
        StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
    }

    fn declared(&self, version: u32) -> Declared {
        declare(if version == 1 { &self.holds } else { &self.does_not })
    }

    fn with_secret(&self) -> Option<Declared> {
        self.secret.as_ref().map(declare)
    }
}

fn fields(all: &[(&str, Value)]) -> Fields {
    let timeout = ("timeout".to_owned(), Value::Int(300));
    let all = all.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    all.chain([timeout]).collect()
}

#[tokio::test]
async fn a_command_conforms() {
    let script = |text: &str| Value::List(vec!["sh".into(), "-c".into(), text.into()]);
    let pw = Value::Map(Fields::from([("PW".to_owned(), Value::Secret(SecretRef::env("PW")))]));
    let looks = Looks {
        holds: fields(&[("command", script("true"))]),
        does_not: fields(&[("command", script("sleep 60"))]),
        secret: Some(fields(&[("command", script("echo $PW")), ("environment", pw)])),
    };
    assert_eq!(conformance::run(&looks).await.expect("conforms"), ["upgrade"]);
}

#[tokio::test]
async fn tcp_conforms() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let there = listener.local_addr().expect("address").to_string();
    let every = ("every", Value::Int(10));
    let looks = Looks {
        holds: fields(&[("tcp", Value::text(there)), every.clone()]),
        does_not: fields(&[("tcp", Value::text("127.0.0.1:9")), every]),
        secret: None,
    };
    assert_eq!(conformance::run(&looks).await.expect("conforms"), ["secret", "upgrade"]);
}
