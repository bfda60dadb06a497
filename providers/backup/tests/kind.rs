//! The kind `backup` as a provider of one file: what every engine shares, run through the suite that
//! every provider passes, and through runs, retention and deaths.

#[path = "kind/conforms.rs"]
mod conforms;
#[path = "kind/lowers.rs"]
mod lowers;
#[cfg(feature = "real-parts")]
#[path = "kind/minio.rs"]
mod minio;
#[path = "kind/runs.rs"]
mod runs;
#[path = "kind/toy.rs"]
mod toy;
