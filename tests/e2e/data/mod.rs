//! What holds for data, whatever the engine: the bodies of the tests of `sqlite` and `real`. The
//! witness asks the database itself and shares no code with hive.

pub mod cancels;
pub mod damage;
pub mod disk;
pub mod kills;
pub mod pairs;
pub mod promises;
pub mod quiet;
pub mod rebuilds;
pub mod shop;
