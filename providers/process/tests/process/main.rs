//! The process platform with real processes. What is really there is told by `/proc` and by the
//! services' own start log, never by the provider.

mod conformance;
mod faults;
mod life;
mod world;
