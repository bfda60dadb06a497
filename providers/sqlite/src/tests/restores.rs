//! Backups and the way back through them.

use super::world::World;
use crate::conforms::{ONE, TWO};
use hive_sql::manifest::Manifest;
use std::fs;

fn two() -> Vec<(&'static str, &'static str)> {
    ONE.into_iter().chain(TWO).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_brings_back_every_row_and_keeps_a_safety_copy() {
    let world = World::new();
    world.migrated(&ONE.to_vec()).await;
    world.sql("INSERT INTO orders VALUES (1, 10), (2, 20), (3, 30)");
    let then = world.picture();
    let id = world.backed_up().await;
    world.sql("DELETE FROM orders WHERE id > 1; INSERT INTO orders VALUES (7, 70)");
    let now = world.picture();
    let change = world.restore(&id, &ONE.to_vec()).await;
    let done = world.apply(&change, None).await.well();
    assert_eq!(done.requests.len(), 3);
    assert_eq!(world.picture(), then);
    let kept = &done.requests[0].1.kept;
    assert!(kept.starts_with("safety copy "), "{kept}");
    world.undo(&change, &done).await.expect("goes back");
    assert_eq!(world.picture(), now);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_file_comes_back_and_is_brought_up() {
    let world = World::new();
    world.migrated(&ONE.to_vec()).await;
    world.sql("INSERT INTO orders VALUES (1, 10)");
    let id = world.backed_up().await;
    crate::site::remove(&world.path()).expect("removes");
    let change = world.restore(&id, &two()).await;
    let done = world.apply(&change, None).await.well();
    assert_eq!(done.requests.len(), 2);
    assert_eq!(world.number("SELECT count(*) FROM orders WHERE status = 'new'"), 1);
    let live = world.live(&world.list(&two(), "stay")).await;
    assert_eq!(live.fields["head"].as_text(), Some("0002_status"));
    assert!(live.mark.is_some() && live.status.ready, "{live:?}");
}

/// The manifest says more rows than there are, under a digest that is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_what_the_manifest_says_is_not_swapped_in() {
    let world = World::new();
    world.migrated(&ONE.to_vec()).await;
    world.sql("INSERT INTO orders VALUES (1, 10), (2, 20), (3, 30)");
    let id = world.backed_up().await;
    world.sql("DELETE FROM orders WHERE id > 1");
    let now = world.picture();
    let path = world.folder.path().join("backups/main").join(&id).join("manifest.json");
    let mut manifest = Manifest::from_json(&fs::read(&path).expect("reads")).expect("a manifest");
    for table in &mut manifest.tables {
        table.rows += 1;
    }
    fs::write(&path, manifest.to_json().expect("JSON")).expect("writes");
    let change = world.restore(&id, &ONE.to_vec()).await;
    let done = world.apply(&change, None).await;
    assert!(done.failed.is_some(), "it was swapped in");
    assert!(done.failure().message.contains("orders has 3 rows"), "{:?}", done.failure());
    assert_eq!(world.picture(), now);
}

/// A file that is nobody's: an empty one gives its place, and any other is refused by the first step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_gives_its_place_and_a_full_one_does_not() {
    let world = World::new();
    world.migrated(&ONE.to_vec()).await;
    world.sql("INSERT INTO orders VALUES (1, 10)");
    let then = world.picture();
    let id = world.backed_up().await;
    crate::site::remove(&world.path()).expect("removes");
    world.sql("CREATE TABLE theirs (n integer)");
    let theirs = world.picture();
    let change = world.restore(&id, &ONE.to_vec()).await;
    let done = world.apply(&change, None).await;
    assert!(done.failed.is_some(), "it was taken");
    assert!(done.failure().message.ends_with("holds table `theirs`"), "{:?}", done.failure());
    assert!(done.requests.is_empty());
    assert_eq!(world.picture(), theirs);
    let mut database = world.database();
    assert!(world.look(&database).await.expect("is read").is_none());
    database.access.insert("restores".to_owned(), true.into());
    assert!(world.look(&database).await.is_err());

    world.sql("DROP TABLE theirs; VACUUM");
    assert!(world.look(&database).await.expect("is read").is_none());
    world.apply(&change, None).await.well();
    assert_eq!(world.picture(), then);
}
