//! Declared things, written shortly.

use hive_contract::{Address, Declared, Fields, Format, OutputRef, SecretRef, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What one stack declares.
pub type Stack = BTreeMap<Address, Declared>;

/// One declared thing under construction.
#[derive(Clone, Debug)]
pub struct Thing(Declared);

/// An address from its text.
pub fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

/// A live object.
pub fn thing(name: &str) -> Thing {
    of_kind("thing", name)
}

/// A step without effect that must hold.
pub fn gate(name: &str) -> Thing {
    of_kind("gate", name).with("gate", true)
}

/// Nothing live.
pub fn notice(name: &str) -> Thing {
    of_kind("notice", name).with("notice", true)
}

fn of_kind(kind: &str, name: &str) -> Thing {
    Thing(Declared {
        address: Address::new(kind, name).expect("an address"),
        fields: Fields::new(),
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    })
}

/// A stack of these things.
pub fn stack(things: impl IntoIterator<Item = Thing>) -> Stack {
    things.into_iter().map(|Thing(it)| (it.address.clone(), it)).collect()
}

impl Thing {
    /// The same with a field.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.fields.insert(key.to_owned(), value.into());
        self
    }

    /// The same without a field.
    pub fn without(mut self, key: &str) -> Self {
        self.0.fields.remove(key);
        self
    }

    /// The same with a field that no live object can change.
    pub fn fixed(mut self, value: i64) -> Self {
        let table = Fields::from([("size".to_owned(), Value::Int(value))]);
        self.0.fields.insert("immutable".to_owned(), Value::Map(table));
        self
    }

    /// The same with a field that is another's output.
    pub fn from(self, key: &str, on: &str, output: &str) -> Self {
        let reference = OutputRef { address: address(on), output: output.to_owned() };
        self.with(key, Value::Output(reference))
    }

    /// The same with a field that is text around another's output.
    pub fn around(self, key: &str, on: &str, output: &str) -> Self {
        let reference = OutputRef { address: address(on), output: output.to_owned() };
        let values = Fields::from([("it".to_owned(), Value::Output(reference))]);
        self.with(key, Value::Format(Format { template: "<{it}>".to_owned(), values }))
    }

    /// The same with a field that is a secret.
    pub fn secret(self, key: &str, name: &str) -> Self {
        self.with(key, Value::Secret(SecretRef::env(name)))
    }

    /// The same, using another.
    pub fn uses(mut self, on: &str) -> Self {
        self.0.uses.insert(address(on));
        self
    }

    /// The same, verified by a gate once it is there.
    pub fn verified_by(self, gate: &str) -> Self {
        let verify = Value::List(vec![gate.into()]);
        self.with("rollout", Value::Map(Fields::from([("verify".to_owned(), verify)])))
    }
}
