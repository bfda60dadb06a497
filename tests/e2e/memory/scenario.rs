//! Small stories that every law is tried on: what was there, and what is asked next.

use super::lab::{Lab, Wish};
use super::thing::{Stack, Thing, address, gate, notice, stack, thing};
use hive::plan::{Asked, Command};
use hive_contract::testing::{Fault, World};
use hive_contract::{Fields, Value};
use hive_state::Ending;

/// One story.
pub struct Scenario {
    pub name: &'static str,
    /// What is applied before, one after the other.
    pub before: Vec<Stack>,
    /// What somebody else does then.
    pub meanwhile: fn(&Lab),
    /// What is asked, and killed.
    pub asks: Asks,
    /// How it ends when nobody disturbs it.
    pub ending: Ending,
}

/// What is asked.
pub enum Asks {
    This(Box<Wish>),
    Restore(u64),
}

impl Scenario {
    /// A lab in which everything before has happened.
    pub async fn set_up(&self, world: World) -> Lab {
        let lab = Lab::on(world);
        for stack in &self.before {
            lab.run(&Wish::apply(stack.clone())).await;
        }
        (self.meanwhile)(&lab);
        lab
    }

    /// What is asked, as a wish.
    pub async fn wish(&self, lab: &Lab) -> Wish {
        match &self.asks {
            Asks::This(wish) => (**wish).clone(),
            Asks::Restore(number) => lab.restore(*number).await,
        }
    }
}

fn scenario(name: &'static str, before: Vec<Stack>, asks: Wish) -> Scenario {
    Scenario {
        name,
        before,
        meanwhile: |_| {},
        asks: Asks::This(Box::new(asks)),
        ending: Ending::Applied,
    }
}

/// A base that others stand on: a chain with outputs, a gate before and one after, a notice.
pub fn base() -> Vec<Thing> {
    vec![
        thing("db").with("weight", 1).with("ports", names()),
        gate("ready").with("watches", "dev/thing.db").uses("thing.db"),
        thing("api").with("weight", 1).from("db-url", "thing.db", "url").uses("gate.ready"),
        thing("web").around("api-url", "thing.api", "url").verified_by("gate.smoke"),
        gate("smoke").with("watches", "dev/thing.web"),
        notice("ops").with("on", "applied"),
    ]
}

fn names() -> Value {
    Value::List(vec!["http".into()])
}

/// The base with one thing exchanged.
fn base_with(things: impl IntoIterator<Item = Thing>) -> Stack {
    let mut all = stack(base());
    all.extend(stack(things));
    all
}

/// The base without these.
fn base_without(gone: &[&str]) -> Stack {
    let mut all = stack(base());
    for name in gone {
        all.remove(&address(name));
    }
    all
}

fn diamond(weight: i64) -> Stack {
    stack([
        thing("root").with("weight", weight),
        thing("left").from("up", "thing.root", "url").with("settle_ms", 300),
        thing("right").from("up", "thing.root", "url").with("settle_ms", 100),
        thing("tip").from("l", "thing.left", "url").from("r", "thing.right", "url"),
    ])
}

/// Every story.
pub fn all() -> Vec<Scenario> {
    let mut all = plain();
    all.extend(replacing());
    all.extend(failing());
    all.extend(owning());
    all.extend(super::data::all());
    all
}

fn plain() -> Vec<Scenario> {
    let api_2 =
        || thing("api").with("weight", 2).from("db-url", "thing.db", "url").uses("gate.ready");
    vec![
        scenario("create", vec![], Wish::apply(stack(base()))),
        scenario("update", vec![stack(base())], Wish::apply(base_with([api_2()]))),
        scenario(
            "update a chain",
            vec![stack(base())],
            Wish::apply(base_with([thing("db").with("weight", 7).with("ports", names())])),
        ),
        scenario(
            "delete",
            vec![stack(base())],
            Wish::apply(base_without(&["thing.web", "gate.smoke", "notice.ops"])),
        ),
        scenario("destroy", vec![stack(base())], Wish::destroy()),
        scenario("diamond", vec![diamond(1)], Wish::apply(diamond(2))),
        scenario("create a diamond", vec![], Wish::apply(diamond(1))),
        scenario(
            "many operations",
            vec![stack([slow("a", 1), slow("b", 1).from("up", "thing.a", "url")])],
            Wish::apply(stack([slow("a", 2), slow("b", 2).from("up", "thing.a", "url")])),
        ),
        scenario(
            "secrets",
            vec![stack([thing("a").secret("password", "ONE")])],
            Wish::apply(stack([
                thing("a").secret("password", "TWO"),
                thing("b").secret("token", "THREE").from("up", "thing.a", "url"),
            ])),
        ),
        scenario(
            "only the record",
            vec![stack(base())],
            Wish::apply(base_with([notice("ops").with("on", "failed"), notice("more")])),
        ),
        Scenario {
            asks: Asks::Restore(1),
            ..scenario(
                "restore",
                vec![
                    stack(base()),
                    base_with([api_2(), thing("extra").uses("thing.web")]),
                    base_without(&["thing.web", "gate.smoke"]),
                ],
                Wish::destroy(),
            )
        },
        Scenario {
            meanwhile: |lab| {
                let drifted = Fields::from([("weight".to_owned(), Value::Int(50))]);
                lab.world.meddle(&lab.spot("thing.api"), "a passer-by", drifted);
                lab.world.wreck(&lab.spot("thing.web"));
            },
            ..scenario("mend drift", vec![stack(base())], Wish::apply(stack(base())))
        },
        Scenario {
            meanwhile: |lab| lab.world.script("dev/thing.db", [Fault::Throttle, Fault::Throttle]),
            ..scenario("throttled", vec![], Wish::apply(stack(base())))
        },
    ]
}

/// A thing whose change is two writes, settles, and leaves something to prune.
fn slow(name: &str, weight: i64) -> Thing {
    thing(name).with("weight", weight).with("writes", 2).with("steps", 2).with("settle_ms", 200)
}

fn replacing() -> Vec<Scenario> {
    let fixed = |size: i64, order: &str| {
        stack([
            thing("root").with("weight", 1),
            thing("body").fixed(size).with("replace", order).from("up", "thing.root", "url"),
            thing("head").from("up", "thing.body", "url"),
        ])
    };
    vec![
        scenario(
            "replace, delete first",
            vec![fixed(1, "delete-first")],
            Wish::apply(fixed(2, "delete-first")),
        ),
        scenario(
            "replace, create first",
            vec![fixed(1, "create-first")],
            Wish::apply(fixed(2, "create-first")),
        ),
    ]
}

fn failing() -> Vec<Scenario> {
    let doomed = |how: &str| {
        let mut things = base_with([
            thing("db").with("weight", 2).with("ports", names()),
            thing("web").around("api-url", "thing.api", "url").with("doomed", how),
            thing("extra").from("up", "thing.db", "url"),
        ]);
        things.remove(&address("notice.ops"));
        Wish::apply(things)
    };
    let doomed_gate = || {
        let smoke = gate("smoke").with("watches", "dev/thing.web").with("doomed", "unhealthy");
        let web = thing("web").with("weight", 9).verified_by("gate.smoke");
        Wish::apply(base_with([smoke.with("deadline_ms", 400), web]))
    };
    let before = || vec![stack(base())];
    let rolls_back =
        |name, asks| Scenario { ending: Ending::RolledBack, ..scenario(name, before(), asks) };
    let halts = |name, asks: Wish| Scenario {
        ending: Ending::Halted,
        ..scenario(name, before(), asks.halting())
    };
    let replaced = |size: i64, order: &str, how: Option<&str>| {
        let last = thing("last").from("up", "thing.body", "url");
        stack([
            thing("body").fixed(size).with("replace", order),
            match how {
                Some(how) => last.with("doomed", how),
                None => last.without("doomed"),
            },
        ])
    };
    let mut all = vec![
        rolls_back("unhealthy, rolled back", doomed("unhealthy")),
        rolls_back("refused, rolled back", doomed("refused")),
        rolls_back("a gate does not hold, rolled back", doomed_gate()),
        halts("unhealthy, halted", doomed("unhealthy")),
        halts("a gate does not hold, halted", doomed_gate()),
    ];
    for (name, order) in [
        ("a replacement rolled back, delete first", "delete-first"),
        ("a replacement rolled back, create first", "create-first"),
    ] {
        all.push(Scenario {
            ending: Ending::RolledBack,
            ..scenario(
                name,
                vec![replaced(1, order, None)],
                Wish::apply(replaced(2, order, Some("unhealthy"))),
            )
        });
    }
    all.push(Scenario {
        ending: Ending::RolledBack,
        ..scenario(
            "many operations rolled back",
            vec![stack([slow("a", 1)])],
            Wish::apply(stack([
                slow("a", 2),
                slow("b", 1).uses("thing.a"),
                thing("c").uses("thing.b").with("doomed", "unhealthy"),
            ])),
        )
    });
    all
}

fn owning() -> Vec<Scenario> {
    vec![
        Scenario {
            meanwhile: |lab| {
                let found = Fields::from([("weight".to_owned(), Value::Int(3))]);
                lab.world.meddle(&lab.spot("thing.found"), "somebody", found);
            },
            ..scenario(
                "adopt",
                vec![stack(base())],
                Wish::about(
                    Command::Adopt,
                    base_with([thing("found").with("weight", 4)]),
                    &[("thing.found", Asked::Adopt { take_over: false })],
                ),
            )
        },
        scenario(
            "forget",
            vec![stack(base())],
            Wish::about(Command::Forget, stack(base()), &[("thing.web", Asked::Forget)]),
        ),
        scenario(
            "move",
            vec![stack([thing("a").with("weight", 1)])],
            Wish::about(
                Command::Move,
                stack([thing("b").with("weight", 1)]),
                &[("thing.b", Asked::MovedFrom(address("thing.a")))],
            ),
        ),
        scenario(
            "restart",
            vec![stack(base())],
            Wish::about(Command::Restart, stack(base()), &[("thing.api", Asked::Run)]),
        ),
    ]
}
