//! The provider of the in-memory world: as strict as the contract allows.
use crate::Secrets;

use super::lower;
use super::world::World;
use crate::change::Change;
use crate::declared::Declared;
use crate::live::{Ask, Facts, Live, Observation, Observed};
use crate::lowered::{Invalid, Lowered};
use crate::mark::StackMark;
use crate::operation::Operation;
use crate::outcome::{Failure, Outcome, Resolution, UpgradeError, Upgraded};
use crate::place::Place;
use crate::provider::{Context, LowerScope, Perform, Provider, Rehearsal, Task};
use crate::value::{Fields, Value};

/// The form in which the world's provider writes fields today. Form 1 said `size` for `weight`.
pub const FORM: u32 = 2;

/// Acts on a [`World`]. Settings: `ports` (`"20000-29999"`), `batch` (how many parts `observe`
/// reads in one round trip, 100 where nothing is said).
#[derive(Clone)]
pub struct WorldProvider {
    pub(super) world: World,
    pub(super) place: String,
    name: &'static str,
    settings: Fields,
}

impl WorldProvider {
    /// Connects to a place of a world. Places with other settings hold other objects.
    pub fn new(world: World, name: &'static str, settings: Fields) -> Self {
        let mut provider = Self { world, place: String::new(), name, settings };
        provider.place = provider.place().id();
        provider
    }

    /// The world it acts on.
    pub fn world(&self) -> &World {
        &self.world
    }

    fn batch(&self) -> u64 {
        let batch = self.settings.get("batch").and_then(Value::as_int);
        batch.and_then(|it| u64::try_from(it).ok()).unwrap_or(100)
    }

    fn ports(&self) -> Option<(u16, u16)> {
        let (from, to) = self.settings.get("ports")?.as_text()?.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    }

    fn look_at(&self, ask: &Ask) -> Result<Observation, Failure> {
        let mut inside = self.world.inside();
        let identities: Vec<&str> = ask.parts.iter().map(|it| it.identity.as_str()).collect();
        inside.count("observe", &identities, self.batch());
        let mut observation = Observation::default();
        for one in &ask.parts {
            let spot = (self.place.clone(), one.identity.clone());
            let found = match (inside.script.troubled(&one.identity), inside.objects.get(&spot)) {
                (Some(failure), _) => Err(failure.clone()),
                (None, None) => Ok(Observed::Absent),
                (None, Some(object)) => Ok(Observed::Present(object.live(&spot))),
            };
            observation.found.insert(one.target.clone(), found);
        }
        if let Some(owner) = &ask.marked {
            if let Some(failure) = inside.script.troubled("*") {
                return Err(failure.clone());
            }
            let here = inside.objects.iter().filter(|(spot, _)| spot.0 == self.place);
            let lives = here.map(|(spot, object)| object.live(spot));
            observation.marked = lives.filter(|live| belongs(live, owner)).collect();
        }
        if ask.facts {
            observation.facts = Facts { ports: self.ports(), taken_ports: inside.ports() };
        }
        Ok(observation)
    }
}

/// Whether something carries a stack's mark, whatever its store.
fn belongs(live: &Live, owner: &StackMark) -> bool {
    live.mark.as_ref().is_some_and(|mark| {
        mark.owner.stack == owner.stack && mark.owner.environment == owner.environment
    })
}

impl Provider for WorldProvider {
    fn name(&self) -> &'static str {
        self.name
    }

    fn place(&self) -> Place {
        Place {
            provider: self.name.to_owned(),
            settings: self.settings.clone(),
            system: "memory".to_owned(),
        }
    }

    fn form(&self) -> u32 {
        FORM
    }

    fn upgrade(&self, form: u32, mut fields: Fields) -> Upgraded {
        match form {
            1 => {
                if let Some(size) = fields.remove("size") {
                    if size.as_int().is_none() {
                        return Err(UpgradeError::Malformed { form, field: "size".to_owned() });
                    }
                    fields.insert("weight".to_owned(), size);
                }
                Ok(fields)
            }
            FORM => Ok(fields),
            0 => Err(UpgradeError::Malformed { form, field: "form".to_owned() }),
            newer => Err(UpgradeError::Newer { form: newer, known: FORM }),
        }
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        lower::lower(declared, scope)
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        _secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        Box::pin(async move { self.look_at(ask) })
    }

    fn rehearse<'a>(
        &'a self,
        changes: &'a [Change],
        _context: &'a Context<'a>,
    ) -> Task<'a, Vec<Result<Rehearsal, Failure>>> {
        Box::pin(async move {
            let identities: Vec<&str> = changes.iter().map(|it| it.identity.as_str()).collect();
            self.world.inside().count("rehearse", &identities, self.batch());
            let tried = |change: &Change| Rehearsal {
                facts: [("took".to_owned(), "no time".to_owned())].into(),
                fields: change.desired.as_ref().map(|it| it.fields.clone()).unwrap_or_default(),
            };
            changes.iter().map(|change| Ok(tried(change))).collect()
        })
    }

    fn steps(&self, change: &Change, _rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        lower::steps(change)
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(super::perform::perform(self, request, context))
    }

    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        Box::pin(super::resolve::resolve(self, request, context))
    }

    fn stop(&self, change: &Change) -> Vec<Operation> {
        lower::stop(change)
    }

    fn start(&self, change: &Change) -> Vec<Operation> {
        vec![lower::start(change)]
    }
}
