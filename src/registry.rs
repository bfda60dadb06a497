//! The only list of providers: which kind and part is served by which provider at which place.

use crate::plan::{LoweredPart, Verbs};
use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Change, Declared, Fields, Invalid, LowerScope, Operation, Place, Provider, StackMark,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The connected providers of one stack in one environment.
pub struct Providers {
    owner: StackMark,
    by_place: BTreeMap<String, Arc<dyn Provider>>,
    by_kind: BTreeMap<String, Vec<(String, String)>>,
}

impl Providers {
    /// No provider yet.
    pub fn new(owner: StackMark) -> Self {
        Self { owner, by_place: BTreeMap::new(), by_kind: BTreeMap::new() }
    }

    /// Adds a connected provider and gives its place's id.
    pub fn add(&mut self, provider: Arc<dyn Provider>) -> String {
        let id = provider.place().id();
        self.by_place.insert(id.clone(), provider);
        id
    }

    /// Says that a kind's part is held at a place.
    pub fn serve(&mut self, kind: &str, part: &str, place: &str) {
        let parts = self.by_kind.entry(kind.to_owned()).or_default();
        parts.push((part.to_owned(), place.to_owned()));
    }

    /// The provider at a place.
    pub fn at(&self, place: &str) -> Option<&Arc<dyn Provider>> {
        self.by_place.get(place)
    }

    /// All places, by id.
    pub fn places(&self) -> BTreeMap<String, Place> {
        self.by_place.iter().map(|(id, it)| (id.clone(), it.place())).collect()
    }

    /// Whose resources these providers serve.
    pub fn owner(&self) -> &StackMark {
        &self.owner
    }
}

impl Verbs for Providers {
    fn lower(&self, declared: &Declared) -> Result<Vec<LoweredPart>, Vec<Invalid>> {
        let scope = LowerScope { owner: self.owner.clone() };
        let kind = declared.address.kind();
        let Some(parts) = self.by_kind.get(kind) else {
            return Err(vec![Invalid::at("", format!("no provider holds a {kind} here"))]);
        };
        let mut lowered = Vec::new();
        let mut wrong = Vec::new();
        for (part, place) in parts {
            let Some(provider) = self.by_place.get(place) else { continue };
            match provider.lower(declared, &scope) {
                Ok(it) => lowered.push(LoweredPart {
                    part: part.clone(),
                    provider: provider.name().to_owned(),
                    form: provider.form(),
                    place: place.clone(),
                    lowered: it,
                }),
                Err(invalid) => wrong.extend(invalid),
            }
        }
        if wrong.is_empty() { Ok(lowered) } else { Err(wrong) }
    }

    fn steps(&self, place: &str, change: &Change) -> Vec<Operation> {
        self.by_place.get(place).map(|it| it.steps(change, None)).unwrap_or_default()
    }

    fn upgrade(&self, provider: &str, form: u32, fields: Fields) -> Upgraded {
        match self.by_place.values().find(|it| it.name() == provider) {
            Some(it) if it.form() == form => Ok(fields),
            Some(it) => it.upgrade(form, fields),
            None => Err(UpgradeError::Malformed { form, field: format!("provider `{provider}`") }),
        }
    }
}
