//! P1 to P8, kills and ways back on SQLite, which needs nothing installed.

use crate::data::kills::{self, Reference, Victim};
use crate::data::shop::Shop;
use crate::data::{cancels, pairs, promises, quiet, rebuilds};
use std::fs;

/// A test of the same name whose body holds on every engine.
macro_rules! on_sqlite {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                promises::$name(Shop::sqlite());
            }
        )*
    };
}

on_sqlite! {
    p1_a_plan_is_refused_when_the_schema_moved
    p1_a_plan_is_refused_when_its_migration_was_applied_meanwhile
    p1_rows_written_meanwhile_do_not_refuse_a_plan
    p1_the_newest_applied_file_that_is_removed_is_named
    p3_a_statement_that_fails_leaves_the_schema_as_it_was
    p3_half_a_file_that_stays_is_no_rollback
    p3_a_backup_that_cannot_be_read_back_is_no_success
    p4_a_failed_release_takes_the_service_back_and_the_expand_stays
    p4_with_rollback_all_the_down_script_runs_too
    p4_on_an_empty_database_nothing_is_past_the_point_of_no_return
    p4_a_contract_stands_behind_the_point_of_no_return
    p5_a_snapshot_comes_back_with_its_data_and_without_its_files
    p5_a_rollback_with_data_brings_back_what_was_before
    p5_a_rollback_by_down_scripts_loses_no_row
    p6_an_encrypted_backup_shows_no_row_and_no_key
    p8_every_way_ends_with_an_empty_plan
    p8_what_a_failed_release_left_becomes_whole
    p8_an_older_snapshot_without_its_data_ends_with_an_empty_plan
}

#[test]
fn a_backup_that_is_interrupted_is_none_or_whole() {
    cancels::a_backup_that_is_interrupted_is_none_or_whole(Shop::sqlite());
}

#[test]
fn a_migration_that_is_interrupted_leaves_nothing() {
    cancels::a_migration_that_is_interrupted_leaves_nothing(Shop::sqlite());
}

#[test]
fn p2_killed_at_every_kind_of_boundary_it_ends_as_undisturbed() {
    let shop = Shop::sqlite().with_orders();
    let seen = Reference::of(&shop);
    let points = kills::sample("sqlite kills", seen.points(&[Victim::Hive]), 10);
    let hits = kills::disturb_at(&shop, &seen, &points);
    assert!(hits.values().sum::<usize>() >= points.len() / 3, "few kills hit: {hits:?}");
}

#[test]
fn p4_every_pair_of_failures_of_the_way_back_ends_in_old_or_new() {
    pairs::each_pair(Shop::sqlite(), false, 4, written_to);
}

/// A session that has begun to write.
fn written_to(shop: &Shop) -> rusqlite::Connection {
    let file = shop.open();
    file.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    file
}

#[test]
fn nobody_runs_while_a_migration_runs_in_the_quiet() {
    quiet::nobody_runs_while_it_does(Shop::sqlite(), written_to);
}

#[test]
fn killed_in_the_quiet_it_is_ended_by_the_next() {
    quiet::killed_in_the_quiet_it_is_ended_by_the_next(Shop::sqlite(), written_to);
}

#[test]
fn in_the_quiet_one_that_changes_too_is_started_in_its_new_form() {
    quiet::one_that_changes_too_is_started_in_its_new_form(Shop::sqlite());
}

#[test]
fn in_the_quiet_one_that_fails_leaves_the_service_on_the_data_of_before() {
    quiet::one_that_fails_leaves_the_service_on_the_data_of_before(Shop::sqlite());
}

#[test]
fn in_the_quiet_a_release_that_fails_is_taken_back() {
    quiet::a_release_that_fails_behind_it_is_taken_back(Shop::sqlite());
}

#[test]
fn an_expand_behind_a_contract_is_refused_or_runs_in_the_quiet() {
    quiet::an_expand_behind_a_contract_is_refused_or_runs_in_the_quiet(Shop::sqlite());
}

#[test]
fn p7_what_is_unchanged_costs_no_write() {
    let shop = Shop::sqlite().with_orders();
    let file = || {
        let data = fs::metadata(shop.file()).expect("the database is there");
        (data.modified().expect("a time"), data.len())
    };
    let (before, journals) = (file(), kills::journals(&shop.lab));
    for _ in 0..2 {
        shop.expect(0, &["plan", "--exit-code"]);
        shop.expect(0, &["apply", "-y"]);
        shop.expect(0, &["status"]);
    }
    assert_eq!(file(), before);
    assert_eq!(kills::journals(&shop.lab), journals, "nothing to do has no journal");
}

#[test]
fn p7_a_plan_does_not_grow_with_what_is_applied() {
    let size = |applied: usize| {
        let shop = Shop::sqlite();
        shop.stage(1);
        for n in 0..applied {
            let name = format!("{:04}_table_{n}", n + 100);
            let up = format!("CREATE TABLE t{n} (n integer);\n");
            shop.migration(&name, &up, &format!("DROP TABLE t{n};\n"));
        }
        shop.expect(0, &["apply", "-y"]);
        shop.migration("9999_last", "CREATE TABLE last (n integer);\n", "DROP TABLE last;\n");
        shop.expect(0, &["plan", "-o", "plan.json", "--no-rehearse"]);
        let steps = shop.expect(0, &["plan", "--format", "json", "--no-rehearse"]).out;
        (fs::metadata(shop.lab.path("plan.json")).expect("a plan").len(), steps.len())
    };
    let (few, many) = (size(2), size(40));
    println!("plan of one pending file: {few:?} bytes behind 3 files, {many:?} behind 41");
    assert!(many.1 < few.1 * 2, "what is shown of one pending file grows: {few:?} {many:?}");
}

#[test]
fn the_drill_brings_everything_back_by_one_command() {
    promises::the_drill(Shop::sqlite(), lose);
}

#[test]
fn every_row_comes_back_in_the_time_that_is_told() {
    rebuilds::every_row_comes_back_in_the_time_that_is_told(Shop::sqlite(), lose);
}

#[test]
fn a_damaged_newest_is_named_with_the_one_before() {
    rebuilds::a_damaged_newest_is_named_with_the_one_before(Shop::sqlite(), lose);
}

#[test]
fn what_was_put_aside_never_comes_back_by_itself() {
    rebuilds::what_was_put_aside_never_comes_back_by_itself(Shop::sqlite(), lose);
}

#[test]
fn an_exercise_finds_a_damaged_newest_out() {
    rebuilds::an_exercise_finds_a_damaged_newest_out(Shop::sqlite(), lose);
}

#[test]
fn a_lost_database_is_not_quietly_made_anew() {
    rebuilds::a_lost_database_is_not_quietly_made_anew(Shop::sqlite(), lose);
}

#[test]
fn a_lost_database_is_given_up_by_name() {
    rebuilds::a_lost_database_is_given_up_by_name(Shop::sqlite(), lose);
}

#[test]
fn an_empty_one_is_taken_and_a_full_one_is_not() {
    rebuilds::an_empty_one_is_taken_and_a_full_one_is_not(Shop::sqlite(), lose, |shop| {
        shop.lab.write("data/shop.db", "");
    });
}

#[test]
fn what_is_lost_behind_a_restore_comes_back() {
    rebuilds::what_is_lost_behind_a_restore_comes_back(Shop::sqlite(), lose);
}

fn lose(shop: &Shop) {
    fs::remove_dir_all(shop.lab.path("data")).expect("the database is lost");
}
