//! Randomness that can be repeated: the seed is printed, and `HIVE_SEED` gives it again.

/// A small generator (splitmix64).
pub struct Seed(u64);

impl Seed {
    /// A generator of its own.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of a test: from `HIVE_SEED`, else from the time.
    #[expect(clippy::disallowed_methods, reason = "a test is told its seed from outside")]
    pub fn from_environment(test: &str) -> Self {
        let given = std::env::var("HIVE_SEED").ok().and_then(|it| it.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map(|it| it.as_nanos() as u64).unwrap_or(1)
        });
        println!("{test}: HIVE_SEED={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
