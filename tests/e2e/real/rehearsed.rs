//! What a migration is tried on while its database is in use.

use super::unwilling::{end, session};
use crate::data::damage::{KEYS, encrypt};
use crate::data::shop::Shop;

/// Only rows show what is wrong with it.
const STRICT: (&str, &str) = (
    "ALTER TABLE orders ADD CONSTRAINT few CHECK (id < 10);\n",
    "ALTER TABLE orders DROP CONSTRAINT few;\n",
);

#[test]
fn a_database_in_use_is_tried_on_its_newest_proven_backup_with_its_key() {
    let shop = Shop::postgres();
    let identity = KEYS.1;
    shop.lab.write("secret/key", identity);
    let encrypt = encrypt();
    shop.stage_with(1, false, &encrypt);
    shop.expect(0, &["apply", "-y"]);
    shop.order(1, 20);
    shop.expect(0, &["backup", "run", "-y"]);
    shop.expect(0, &["backup", "verify", "-y"]);
    let user = session(&shop, "SELECT 1");

    shop.stage_with(2, false, &encrypt);
    shop.expect(0, &["migrate", "rehearse"]).says("the backup").says("restored");
    shop.migration("0003_few", STRICT.0, STRICT.1);
    let ran = shop.expect(1, &["migrate", "rehearse"]);
    ran.says("0003_few.up.sql").says("few").says("is violated by some row");
    assert!(!ran.all().contains(identity.trim()), "the key is said");

    // Without the key it says so, and tries the schema alone.
    shop.lab.write("secret/key", "");
    let ran = shop.expect(0, &["migrate", "rehearse"]);
    ran.says("not tried on the newest backup").says("without rows");
    end(&shop, user);
}
