//! The only list of providers: which kind and part is served by which provider at which place.

use crate::plan::{LoweredPart, Verbs};
use hive_contract::address::MAIN;
use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Change, Declared, Failure, Fields, Invalid, Live, LowerScope, Lowered, Operation, Place,
    Provider, Rehearsal, StackMark, Value, WayBack,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Which provider holds the main part of which kind. Where a kind has several, the engine of a
/// resource says which: see [`ENGINES`]. A new provider is a line here and one in [`connect`].
const KINDS: &[(&str, &str)] = &[
    ("service", "process"),
    ("config", "file"),
    ("check", "check"),
    ("alert", "prometheus"),
    ("notify", "notify"),
    ("database", "sqlite"),
    ("database", "postgres"),
    ("migrations", "sqlite"),
    ("migrations", "postgres"),
    ("backup", "sqlite"),
    ("backup", "postgres"),
    ("backup", "archive"),
];

/// Which provider serves which engine: that of a database, or of what a resource is `of`.
const ENGINES: &[(&str, &str)] = &[
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
    ("folder", "archive"),
    ("repository", "archive"),
];

/// Connects one provider by its name, for a stack in this folder.
fn connect(name: &str, folder: &Path, settings: &Fields) -> Result<Arc<dyn Provider>, Failure> {
    Ok(match name {
        "process" => Arc::new(hive_process::Process::connect(folder, settings)?),
        "prometheus" => Arc::new(hive_prometheus::Prometheus::connect(folder, settings)?),
        "file" => Arc::new(hive_file::File::connect(folder, settings)?),
        "check" => Arc::new(hive_check::Check::connect(folder, settings)?),
        "notify" => Arc::new(hive_notify::Notify::connect(folder, settings)?),
        "sqlite" => Arc::new(hive_sqlite::Sqlite::connect(folder, settings)?),
        "postgres" => Arc::new(hive_postgres::Postgres::connect(folder, settings)?),
        "archive" => Arc::new(hive_archive::Archive::connect(folder, settings)?),
        other => {
            let kind = hive_contract::FailureKind::Invalid;
            return Err(Failure::new(kind, format!("this hive has no provider `{other}`")));
        }
    })
}

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

    /// The providers of a stack, each with the settings that the stack gives its platform.
    ///
    /// # Errors
    /// A provider's name, and why it cannot be connected.
    pub fn of_stack(
        owner: StackMark,
        folder: &Path,
        platforms: &BTreeMap<String, Fields>,
    ) -> Result<Self, (String, Failure)> {
        let mut providers = Self::new(owner);
        let mut places: BTreeMap<&str, String> = BTreeMap::new();
        for (kind, name) in KINDS.iter().copied() {
            let place = match places.get(name) {
                Some(place) => place.clone(),
                None => {
                    let settings = platforms.get(name).cloned().unwrap_or_default();
                    let provider = connect(name, folder, &settings)
                        .map_err(|failure| (name.to_owned(), failure))?;
                    let place = providers.add(provider);
                    places.insert(name, place.clone());
                    place
                }
            };
            providers.serve(kind, MAIN, &place);
        }
        Ok(providers)
    }

    /// Connects the recorded places that are not connected yet. One that turns out to be another
    /// system than the recorded one is left out: its objects cannot be reached from here.
    pub fn reach(&mut self, folder: &Path, places: &BTreeMap<String, Place>) {
        for (id, place) in places {
            if self.by_place.contains_key(id) {
                continue;
            }
            if let Ok(provider) = connect(&place.provider, folder, &place.settings)
                && provider.place().id() == *id
            {
                self.by_place.insert(id.clone(), provider);
            }
        }
    }

    /// The settings of each provider among these places: how a snapshot's own stack is connected.
    pub fn settings_of(places: &BTreeMap<String, Place>) -> BTreeMap<String, Fields> {
        places.values().map(|it| (it.provider.clone(), it.settings.clone())).collect()
    }

    /// Adds a connected provider and gives its place's id.
    pub fn add(&mut self, provider: Arc<dyn Provider>) -> String {
        let id = provider.place().id();
        self.by_place.insert(id.clone(), provider);
        id
    }

    /// Says that a kind's part is held at a place. Where several places hold the same part, a
    /// resource's engine chooses among them.
    pub fn serve(&mut self, kind: &str, part: &str, place: &str) {
        let parts = self.by_kind.entry(kind.to_owned()).or_default();
        parts.push((part.to_owned(), place.to_owned()));
    }

    /// The parts of a resource, each with its place. Of several providers of its kind those that
    /// serve its engine; all of them where it names none.
    fn parts(&self, declared: &Declared) -> Vec<&(String, String)> {
        let parts = self.by_kind.get(declared.address.kind()).into_iter().flatten();
        let Some(engine) = engine(declared) else { return parts.collect() };
        let of_engine = ENGINES.iter().find(|(name, _)| *name == engine).map(|(_, it)| *it);
        let serves = |(_, place): &&(String, String)| {
            let name = self.by_place.get(place).map(|it| it.name());
            name.is_some_and(|name| Some(name) == of_engine || !is_of_engine(name))
        };
        parts.filter(serves).collect()
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

/// What a resource is by itself, or is of: `engine`, or `of.engine`.
fn engine(declared: &Declared) -> Option<&str> {
    let fields = &declared.fields;
    let own = fields.get("engine").or_else(|| fields.get("of")?.as_map()?.get("engine"));
    own.and_then(Value::as_text)
}

/// Whether a provider serves engines, and not whole kinds.
fn is_of_engine(provider: &str) -> bool {
    ENGINES.iter().any(|(_, it)| *it == provider)
}

impl Verbs for Providers {
    fn lower(&self, declared: &Declared) -> Result<Vec<LoweredPart>, Vec<Invalid>> {
        let scope = LowerScope { owner: self.owner.clone() };
        let kind = declared.address.kind();
        let parts = self.parts(declared);
        if parts.is_empty() {
            let engine = engine(declared).map(|it| format!(" of {it}")).unwrap_or_default();
            return Err(vec![Invalid::at("", format!("no provider holds a {kind}{engine} here"))]);
        }
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

    fn objections(&self, place: &str, change: &Change) -> Vec<Invalid> {
        self.by_place.get(place).map(|it| it.objections(change)).unwrap_or_default()
    }

    fn ahead(
        &self,
        place: &str,
        desired: &Lowered,
        recorded: Option<&Declared>,
        live: &Live,
    ) -> Option<Fields> {
        self.by_place.get(place)?.ahead(desired, recorded, live)
    }

    fn remarks(
        &self,
        place: &str,
        desired: &Declared,
        recorded: Option<&Declared>,
        live: Option<&Live>,
    ) -> Vec<String> {
        let provider = self.by_place.get(place);
        provider.map(|it| it.remarks(desired, recorded, live)).unwrap_or_default()
    }

    fn can_rehearse(&self, place: &str, change: &Change) -> bool {
        self.by_place.get(place).is_some_and(|it| it.can_rehearse(change))
    }

    fn steps(&self, place: &str, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        self.by_place.get(place).map(|it| it.steps(change, rehearsal)).unwrap_or_default()
    }

    fn ways_back(
        &self,
        place: &str,
        change: &Change,
        rehearsal: Option<&Rehearsal>,
    ) -> Vec<WayBack> {
        self.by_place.get(place).map(|it| it.ways_back(change, rehearsal)).unwrap_or_default()
    }

    fn stop(&self, place: &str, change: &Change) -> Vec<Operation> {
        self.by_place.get(place).map(|it| it.stop(change)).unwrap_or_default()
    }

    fn start(&self, place: &str, change: &Change) -> Vec<Operation> {
        self.by_place.get(place).map(|it| it.start(change)).unwrap_or_default()
    }

    fn upgrade(&self, provider: &str, form: u32, fields: Fields) -> Upgraded {
        match self.by_place.values().find(|it| it.name() == provider) {
            Some(it) if it.form() == form => Ok(fields),
            Some(it) => it.upgrade(form, fields),
            None => Err(UpgradeError::Malformed { form, field: format!("provider `{provider}`") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::Address;
    use hive_contract::testing::{World, WorldProvider};

    fn providers(kinds: &[(&str, &'static str)]) -> Providers {
        let text = str::to_owned;
        let owner = StackMark { store: text("s"), stack: text("shop"), environment: text("dev") };
        let mut providers = Providers::new(owner);
        for (kind, name) in kinds {
            let world = WorldProvider::new(World::default(), name, Fields::new());
            let place = providers.add(Arc::new(world));
            providers.serve(kind, MAIN, &place);
        }
        providers
    }

    fn declared(address: &str, fields: &str) -> Declared {
        let address: Address = address.parse().expect("an address");
        Declared {
            address,
            fields: serde_json::from_str(fields).expect("fields"),
            uses: Default::default(),
            protect: false,
            ignore: Vec::new(),
        }
    }

    #[test]
    fn every_kind_of_the_language_has_a_provider() {
        let schema = crate::stack::schema();
        let top = schema["properties"].as_object().expect("a table");
        let sections = ["stack", "variables", "defaults", "environment", "platform", "state"];
        let kinds = top.keys().filter(|it| !sections.contains(&it.as_str()));
        let served = |kind: &str| KINDS.iter().any(|(it, _)| *it == kind);
        let without: Vec<_> = kinds.filter(|kind| !served(kind)).collect();
        assert!(without.is_empty(), "no provider for {without:?}");
    }

    #[test]
    fn no_line_stands_there_twice() {
        for table in [KINDS, ENGINES] {
            let once: std::collections::BTreeSet<_> = table.iter().collect();
            assert_eq!(once.len(), table.len(), "{table:?}");
        }
    }

    #[test]
    fn an_engine_chooses_among_the_providers_of_a_kind() {
        let all = ["sqlite", "postgres", "archive"];
        let kinds: Vec<(&str, &'static str)> = all.iter().map(|name| ("backup", *name)).collect();
        let providers = providers(&kinds);
        for (engine, expected) in ENGINES {
            let of = format!(r#"{{"of":{{"engine":"{engine}"}},"destination":"b"}}"#);
            let lowered = providers.lower(&declared("backup.a", &of)).expect("is lowered");
            let names: Vec<&str> = lowered.iter().map(|it| it.provider.as_str()).collect();
            assert_eq!(names, [*expected], "{engine}");
        }
        let wrong = providers.lower(&declared("database.a", r#"{"engine":"sqlite"}"#));
        let wrong = wrong.expect_err("nobody holds databases here");
        assert_eq!(wrong[0].message, "no provider holds a database of sqlite here");
    }

    #[test]
    fn a_kind_of_one_provider_asks_for_no_engine() {
        let providers = providers(&[("service", "process")]);
        for fields in ["{}", r#"{"engine":"steam"}"#] {
            let lowered = providers.lower(&declared("service.a", fields)).expect("is lowered");
            assert_eq!(lowered.len(), 1, "{fields}");
        }
    }
}
