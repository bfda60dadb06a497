//! What a folder or a repository holds, counted so that two of them can be compared.

use hive_contract::fingerprint::hex;
use hive_sql::manifest::Table;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Counts by sort: `files`, `folders`, `links`, `refs`. Their order does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<&'static str, Sum>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    bytes: u64,
    xor: [u8; 32],
    sum: u128,
}

impl Tally {
    /// Counts one thing by all that is to be equal of it.
    pub(crate) fn add(&mut self, sort: &'static str, bytes: u64, parts: &[&[u8]]) {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let sum = self.0.entry(sort).or_default();
        sum.rows += 1;
        sum.bytes += bytes;
        sum.xor.iter_mut().zip(hash).for_each(|(all, one)| *all ^= one);
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        sum.sum = sum.sum.wrapping_add(u128::from_be_bytes(half));
    }

    /// As a manifest holds it.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let one = |(sort, sum): (&&str, &Sum)| Table {
            name: (*sort).to_owned(),
            rows: sum.rows,
            xor: hex(&sum.xor),
            sum: format!("{:x}", sum.sum),
            bytes: sum.bytes,
        };
        self.0.iter().map(one).collect()
    }
}
