//! The in-memory world and the conformance suite.
