//! SIGKILL of hive, and of the server, at every kind of boundary: the world ends as undisturbed.

use super::shop::Shop;
use crate::lab::{Lab, Ran, ended, kill, pause};
use crate::seed::Seed;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    Hive,
    #[cfg(feature = "real-parts")]
    Server,
}

/// What is under way when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A backup, an expand migration and a new version of the service.
    Apply,
    /// A contract behind a new version.
    Contract,
    /// A backup that is asked for.
    Backup,
    /// The data of an earlier snapshot.
    Restore,
}

/// One moment: behind which record group of the journal, and how long after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub way: Way,
    pub victim: Victim,
    pub behind: usize,
    pub wait: u64,
}

/// How long after a record group is there: at once, and into the effect that it announces.
const WAITS: [u64; 4] = [0, 4, 20, 80];

impl Way {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Apply | Self::Contract => &["apply", "-y"],
            Self::Backup => &["backup", "run", "-y"],
            Self::Restore => &["restore", "1", "--with-data", "-y"],
        }
    }
}

/// The moments to try: a sample that the seed draws, or with `HIVE_KILLS=all` every one.
pub fn sample(test: &str, all: Vec<Point>, of: usize) -> Vec<Point> {
    let mut seed = Seed::from_environment(test);
    let whole = every();
    let count = all.len();
    let mut drawn = all;
    if !whole {
        while drawn.len() > of {
            let at = usize::try_from(seed.below(drawn.len() as u64)).unwrap_or_default();
            drawn.remove(at);
        }
    }
    println!("{test}: {} of {count} moments", drawn.len());
    drawn
}

/// Whether every moment is asked for, and not a sample.
#[expect(clippy::disallowed_methods, reason = "a test is told from outside how much to try")]
pub fn every() -> bool {
    std::env::var("HIVE_KILLS").is_ok_and(|it| it == "all")
}

/// What the stages look like, and how many record groups each way writes, seen undisturbed.
pub struct Reference {
    data: BTreeMap<usize, String>,
    groups: BTreeMap<Way, usize>,
}

impl Reference {
    /// Walks every way once.
    pub fn of(shop: &Shop) -> Self {
        let mut data = BTreeMap::from([(1, shop.data())]);
        let mut groups = BTreeMap::new();
        let mut walk = |stage: usize, way: Way| {
            let before = journals(&shop.lab);
            shop.expect(0, way.arguments());
            data.insert(stage, shop.data());
            groups.insert(way, written(&shop.lab, &before));
        };
        shop.stage(2);
        walk(2, Way::Apply);
        walk(2, Way::Backup);
        shop.stage(3);
        walk(3, Way::Contract);
        walk(1, Way::Restore);
        shop.expect(0, &["unfreeze"]);
        println!("record groups of each way: {groups:?}");
        Self { data, groups }
    }

    /// Every moment of every way.
    pub fn points(&self, victims: &[Victim]) -> Vec<Point> {
        let mut points = Vec::new();
        for (way, groups) in &self.groups {
            for behind in 0..=*groups {
                for wait in WAITS {
                    for victim in victims {
                        points.push(Point { way: *way, victim: *victim, behind, wait });
                    }
                }
            }
        }
        points
    }
}

/// Disturbs the shop at each of the moments; says how many were hit before the command's end.
pub fn disturb_at(
    shop: &Shop,
    seen: &Reference,
    points: &[Point],
) -> BTreeMap<(Way, Victim), usize> {
    let mut hits = BTreeMap::new();
    for point in points {
        // From where the way begins.
        let (from, to) = match point.way {
            Way::Apply => (1, 2),
            Way::Backup => (2, 2),
            Way::Contract => (2, 3),
            Way::Restore => (2, 1),
        };
        bring_to(shop, seen, from);
        shop.stage(to.max(from));
        let (hit, ran) = disturb(shop, *point);
        if hit {
            *hits.entry((point.way, point.victim)).or_default() += 1;
        }
        let what = format!("{point:?}, hit: {hit}\n{ran}");
        // Already now nothing is lost, where the database can be asked.
        let settled = settle(shop, point.way);
        assert!([0, 3, 5].contains(&settled.code), "{what}\nthen {settled}");
        let data = data_or_again(shop, &format!("{what}\nthen {settled}"));
        let among: Vec<usize> =
            seen.data.iter().filter(|(_, it)| **it == data).map(|(stage, _)| *stage).collect();
        assert!(
            among.contains(&from) || among.contains(&to),
            "{what}\nthen {settled}\nthe data is none of {from} and {to}: {among:?}\n{data}"
        );
        // What halted says that it left all as it was.
        if !ran.says_halted() {
            assert_eq!(shop.leftovers(), Vec::<String>::new(), "{what}\nthen {settled}");
        }
        if point.way != Way::Restore {
            // The next apply ends as an undisturbed one.
            shop.lab.expect(0, &["apply", "-y"]);
            assert_eq!(shop.data(), seen.data[&to], "{what}");
            shop.is_settled(to.max(from), &seen.data[&to]);
        }
    }
    println!("killed before the end: {hits:?}");
    hits
}

/// What the database holds. Where the server was gone when hive wanted to open it again, the
/// command halted and said so: then the data of now lies aside, and the restore is done once more.
#[track_caller]
pub fn data_or_again(shop: &Shop, what: &str) -> String {
    shop.data_where_it_can_be_asked().unwrap_or_else(|| {
        assert!(what.contains("halted"), "{what}\nno database is left, and nobody said so");
        assert!(shop.kept_aside() > 0, "{what}\nno database is left, and none lies aside");
        let _ = shop.hive(&["unfreeze"]);
        let ran = shop.hive(&["restore", "1", "--with-data", "-y"]);
        assert_eq!(ran.code, 0, "{what}\nand once more {ran}");
        let _ = shop.hive(&["unfreeze"]);
        shop.data()
    })
}

/// Goes on with what was cut off, as a person would.
fn settle(shop: &Shop, way: Way) -> Ran {
    let ran = shop.hive(&["recover"]);
    if way == Way::Restore {
        // Frozen where it came that far.
        let _ = shop.hive(&["unfreeze"]);
    }
    ran
}

/// An undisturbed way to a stage.
fn bring_to(shop: &Shop, seen: &Reference, stage: usize) {
    if shop.data() != seen.data[&stage] || shop.running() != [stage.to_string()] {
        shop.expect(0, &["restore", "1", "--with-data", "-y"]);
        shop.expect(0, &["unfreeze"]);
        assert_eq!(shop.data(), seen.data[&1], "the first snapshot comes back");
        shop.stage(stage);
        shop.expect(0, &["apply", "-y"]);
    }
    assert_eq!(shop.data(), seen.data[&stage], "stage {stage} is there");
}

/// Runs a command and kills at the moment; whether it was still running.
fn disturb(shop: &Shop, point: Point) -> (bool, Ran) {
    let before = journals(&shop.lab);
    let mut child = shop.lab.spawn(point.way.arguments());
    let end = Instant::now() + Duration::from_secs(60);
    let mut over = false;
    while !over && written(&shop.lab, &before) < point.behind {
        over = matches!(child.try_wait(), Ok(Some(_)));
        assert!(Instant::now() < end, "{point:?} never came");
        pause(1);
    }
    if !over {
        pause(point.wait);
        over = matches!(child.try_wait(), Ok(Some(_)));
    }
    if over {
        return (false, ended(child));
    }
    match point.victim {
        Victim::Hive => {
            kill(child.id(), "KILL");
            (true, ended(child))
        }
        #[cfg(feature = "real-parts")]
        Victim::Server => {
            shop.kill_server();
            let ran = ended(child);
            shop.restart_server();
            (true, ran)
        }
    }
}

/// The journals that are there.
pub fn journals(lab: &Lab) -> BTreeSet<PathBuf> {
    let folders = fs::read_dir(lab.path(".hive/dev/journal")).into_iter().flatten().flatten();
    folders.map(|it| it.path()).collect()
}

/// How many record groups the journals hold that were not there before.
pub fn written(lab: &Lab, before: &BTreeSet<PathBuf>) -> usize {
    journals(lab).difference(before).map(|it| fs::read_dir(it).into_iter().flatten().count()).sum()
}
